//! Which tag a name in the file becomes, and in which unit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;

use super::units::Conversion;
use crate::failure::{Exit, Failure};

/// What the first line of a mapping may name.
const KEYS: [&str; 6] = ["column", "tag", "unit", "from", "scale", "offset"];

#[derive(Debug, Args)]
pub(super) struct MappingArguments {
    /// A CSV file that says what becomes of the names in the file: columns `column`, and as far as needed `tag`, `unit`, `from`
    /// (the unit in the file), `scale` and `offset`. Other names are left out.
    #[arg(long, value_name = "FILE.csv")]
    map: Option<PathBuf>,
    /// The name in the file and the tag that it becomes; may be given several times, and other names are left out
    /// [default: every name is a tag].
    #[arg(long, value_name = "NAME=TAG", conflicts_with = "map")]
    column: Vec<String>,
    /// The unit of a tag, or that of the file and that of the tag; may be given several times.
    #[arg(long, value_name = "TAG=[FROM:]UNIT", conflicts_with = "map")]
    unit: Vec<String>,
}

/// What a name in the file becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Becomes {
    pub(super) tag: String,
    pub(super) unit: String,
    pub(super) conversion: Conversion,
}

/// What all names become.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mapping {
    /// By the name in the file; without any every name is a tag.
    named: Option<BTreeMap<String, Becomes>>,
    /// By the tag: units that were said beside it.
    units: BTreeMap<String, (String, Conversion)>,
}

impl Mapping {
    pub(super) fn read(arguments: &MappingArguments) -> Result<Self, Failure> {
        if let Some(path) = &arguments.map {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error))?;
            let named = Some(rules(&text).map_err(|why| unfit(path, &why))?);
            return Ok(Self { named, units: BTreeMap::new() });
        }
        let usage = |why: String| Failure::new(Exit::Usage, why);
        let mut named = BTreeMap::new();
        for given in &arguments.column {
            let (name, tag) = halves(given, "--column", "NAME=TAG").map_err(usage)?;
            named.insert(name.to_owned(), Becomes { tag: tag.to_owned(), ..Becomes::default() });
        }
        let mut units = BTreeMap::new();
        for given in &arguments.unit {
            let (tag, unit) = halves(given, "--unit", "TAG=UNIT or TAG=FROM:UNIT").map_err(usage)?;
            let (from, to) = unit.split_once(':').unwrap_or((unit, unit));
            let conversion = Conversion::between(from, to).map_err(|why| usage(format!("--unit {given}: {why}")))?;
            units.insert(tag.to_owned(), (to.to_owned(), conversion));
        }
        let mapping = Self { named: (!named.is_empty()).then_some(named), units };
        mapping.each_tag_once().map_err(usage)?;
        Ok(mapping)
    }

    /// What a name in the file becomes; `None` if it is left out.
    pub(super) fn of(&self, name: &str) -> Option<Becomes> {
        let mut becomes = match &self.named {
            Some(named) => named.get(name)?.clone(),
            None => of_heading(name),
        };
        if let Some((unit, conversion)) = self.units.get(&becomes.tag) {
            (becomes.unit, becomes.conversion) = (unit.clone(), *conversion);
        }
        Some(becomes)
    }

    /// The names that have to be in the file.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().flatten().map(|(name, _)| name.as_str())
    }

    /// The tags that a unit was said for.
    pub(super) fn tags_with_units(&self) -> impl Iterator<Item = &str> {
        self.units.keys().map(String::as_str)
    }

    fn each_tag_once(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        let twice = self.named.iter().flatten().find(|(_, becomes)| !seen.insert(becomes.tag.as_str()));
        twice.map_or(Ok(()), |(name, becomes)| Err(format!("{name} and another name both become {}", becomes.tag)))
    }
}

/// A heading as CoreRL's own exports have it: the name, and the unit in brackets.
fn of_heading(name: &str) -> Becomes {
    let bare = name.trim_matches(['{', '}']);
    let parts = bare.strip_suffix(']').and_then(|rest| rest.rsplit_once(" ["));
    let (tag, unit) = parts.unwrap_or((bare, ""));
    Becomes { tag: tag.to_owned(), unit: unit.to_owned(), conversion: Conversion::default() }
}

fn halves<'a>(given: &'a str, option: &str, form: &str) -> Result<(&'a str, &'a str), String> {
    let halves = given.split_once('=').filter(|(name, tag)| !name.is_empty() && !tag.is_empty());
    halves.ok_or_else(|| format!("{option} {given}: write {form}"))
}

fn unfit(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::BadConfiguration, format!("{}: {why}", path.display()))
}

/// The lines of a mapping.
fn rules(text: &str) -> Result<BTreeMap<String, Becomes>, String> {
    let delimiter = history::delimiter_of(text.lines().next().unwrap_or_default());
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| error.to_string())?.clone();
    let keys: Vec<String> = headers.iter().map(|key| key.trim_start_matches('\u{feff}').to_lowercase()).collect();
    if let Some(unknown) = keys.iter().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("line 1: `{unknown}` is none of {}", KEYS.join(", ")));
    }
    if !keys.iter().any(|key| key == "column") {
        return Err("line 1: one column has to be called `column`, with the names in the file".to_owned());
    }
    let mut named = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |key: &str| {
            let place = keys.iter().position(|known| known == key);
            place.and_then(|place| record.get(place)).filter(|text| !text.is_empty())
        };
        let column = cell("column").ok_or_else(|| format!("line {line}: it names no column"))?;
        let becomes = rule(column, cell).map_err(|why| format!("line {line}: {why}"))?;
        if named.insert(column.to_owned(), becomes).is_some() {
            return Err(format!("line {line}: {column} is named twice"));
        }
    }
    let mapping = Mapping { named: Some(named), ..Mapping::default() };
    mapping.each_tag_once()?;
    Ok(mapping.named.unwrap_or_default())
}

fn rule<'a>(column: &str, cell: impl Fn(&str) -> Option<&'a str>) -> Result<Becomes, String> {
    let number = |key: &str, usual: f64| {
        let parsed = cell(key).map_or(Ok(usual), str::parse::<f64>);
        parsed.ok().filter(|number| number.is_finite()).ok_or_else(|| format!("its {key} is no number"))
    };
    let unit = cell("unit").unwrap_or_default();
    let is_linear = cell("scale").or_else(|| cell("offset")).is_some();
    let conversion = match (cell("from"), is_linear) {
        (Some(_), true) => return Err("give either `from`, or `scale` and `offset`".to_owned()),
        (Some(from), false) => Conversion::between(from, unit)?,
        (None, true) => Conversion::linear(number("scale", 1.0)?, number("offset", 0.0)?),
        (None, false) => Conversion::default(),
    };
    let tag = cell("tag").unwrap_or(column);
    Ok(Becomes { tag: tag.to_owned(), unit: unit.to_owned(), conversion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_tags_units_and_how_numbers_become_theirs() {
        let named = rules("column;tag;from;unit;scale\nTI-7;TEMP;°F;°C;\nFLOW raw;FLOW;;m³/h;0.5\nPH;;;;\n").unwrap();
        assert_eq!((named["TI-7"].tag.as_str(), named["TI-7"].conversion.of(212.0)), ("TEMP", 100.0));
        assert_eq!((named["FLOW raw"].unit.as_str(), named["FLOW raw"].conversion.of(3.0)), ("m³/h", 1.5));
        assert_eq!(named["PH"], Becomes { tag: "PH".into(), ..Becomes::default() });
        let mapping = Mapping { named: Some(named), ..Mapping::default() };
        assert_eq!(mapping.of("elsewhere"), None);
    }

    #[test]
    fn what_is_wrong_with_a_mapping_is_said_with_its_line() {
        for (text, what) in [
            ("column,tagg\n", "`tagg` is none of"),
            ("tag\nPH\n", "called `column`"),
            ("column,tag\na,x\nb,x\n", "both become x"),
            ("column,tag\na,x\na,y\n", "line 3: a is named twice"),
            ("column,from,unit\na,bar,°C\n", "line 2: nobody knows"),
            ("column,from,unit,scale\na,bar,Pa,2\n", "line 2: give either"),
            ("column,scale\na,two\n", "line 2: its scale is no number"),
        ] {
            let why = rules(text).unwrap_err();
            assert!(why.contains(what), "{why}");
        }
    }

    #[test]
    fn without_a_mapping_a_heading_is_a_tag_with_its_unit() {
        let becomes = Mapping::default().of("LEVEL [m]").unwrap();
        assert_eq!((becomes.tag.as_str(), becomes.unit.as_str()), ("LEVEL", "m"));
        assert_eq!(Mapping::default().of("{PH}").unwrap().tag, "PH");
    }
}
