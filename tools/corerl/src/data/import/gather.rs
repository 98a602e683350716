//! From rows to values of tags, and what is refused on the way.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use archive::Old;
use clap::ValueEnum;

use super::clock::Clock;
use super::file::Cell;
use super::layout::{Layout, Shape};
use super::mapping::{Becomes, Mapping};
use crate::failure::{Exit, Failure};

/// Values at most, of all tags together: 1.6 GB.
const VALUES_MAX: usize = 1 << 26;
/// Refusals that are told; all of them are in the file.
const TOLD: usize = 20;

/// How a quality is written in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Quality {
    /// OPC DA and most historians: 192 and above good, 64 uncertain, 0 bad.
    Da,
    /// OPC UA status codes: 0 good, 0x40000000 uncertain, 0x80000000 bad.
    Ua,
}

/// A tag and what was found of it.
#[derive(Debug)]
pub(super) struct Gathered {
    /// In the file.
    pub(super) name: String,
    pub(super) becomes: Becomes,
    pub(super) values: Vec<Old>,
}

/// All tags that were found.
pub(super) struct Gathering<'a> {
    clock: &'a Clock,
    mapping: &'a Mapping,
    quality: Option<Quality>,
    decimal_comma: bool,
    is_long: bool,
    pub(super) tags: Vec<Gathered>,
    /// Of a long table: where the tag of a name is, unless it is left out.
    places: HashMap<String, Option<usize>>,
    pub(super) rows: u64,
    values: usize,
}

/// What was refused.
pub(super) struct Refusals {
    file: Option<BufWriter<File>>,
    pub(super) count: u64,
    pub(super) told: Vec<String>,
}

impl Refusals {
    pub(super) fn new(path: Option<&Path>) -> Result<Self, Failure> {
        let create = |path: &Path| {
            let file = File::create(path);
            file.map_err(|error| Failure::io(format_args!("cannot write {}", path.display()), &error))
        };
        Ok(Self { file: path.map(create).transpose()?.map(BufWriter::new), count: 0, told: Vec::new() })
    }

    pub(super) fn add(&mut self, what: &str) -> Result<(), Failure> {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(what.to_owned());
        }
        let written = self.file.as_mut().map_or(Ok(()), |file| writeln!(file, "{what}"));
        written.map_err(|error| Failure::io("what is refused cannot be written", &error))
    }

    /// All of it is in the file.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let flushed = self.file.as_mut().map_or(Ok(()), BufWriter::flush);
        flushed.map_err(|error| Failure::io("what is refused cannot be written", &error))
    }
}

impl<'a> Gathering<'a> {
    pub(super) fn new(
        layout: Layout,
        clock: &'a Clock,
        mapping: &'a Mapping,
        quality: Option<Quality>,
        decimal_comma: bool,
    ) -> Self {
        let is_long = layout.shape == Shape::Long;
        let columns = match layout.shape {
            Shape::Wide(columns) => columns,
            Shape::Long => Vec::new(),
        };
        let tags = columns.into_iter().map(|(name, becomes)| Gathered { name, becomes, values: Vec::new() });
        let tags = tags.collect();
        Self { clock, mapping, quality, decimal_comma, is_long, tags, places: HashMap::new(), rows: 0, values: 0 }
    }

    /// Takes a row; what is refused of it is told with its place.
    pub(super) fn take(
        &mut self,
        place: u64,
        row: Result<&[Cell<'_>], String>,
        refusals: &mut Refusals,
    ) -> Result<(), Failure> {
        self.rows += 1;
        let word = |why: &str| format!("line {place}: {why}");
        let timed = row.and_then(|cells| {
            let (time, rest) = cells.split_first().ok_or("it has no time")?;
            Ok((self.clock.read(time)?, rest))
        });
        let (unix_ns, cells) = match timed {
            Ok(timed) => timed,
            Err(why) => return refusals.add(&word(&why)),
        };
        if self.is_long {
            if let Err(why) = self.long(unix_ns, cells) {
                refusals.add(&word(&why))?;
            }
        } else {
            for (index, cell) in cells.iter().enumerate() {
                if let Err(why) = self.put(index, unix_ns, cell, 0) {
                    refusals.add(&word(&format!("column {}: {why}", self.tags[index].name)))?;
                }
            }
        }
        if self.values > VALUES_MAX {
            let why = format!("it has more than {VALUES_MAX} values: bring it in in several files");
            return Err(Failure::new(Exit::Unavailable, why));
        }
        Ok(())
    }

    fn long(&mut self, unix_ns: u64, cells: &[Cell<'_>]) -> Result<(), String> {
        let [name, value, quality @ ..] = cells else { return Err("it has no tag and value".to_owned()) };
        let Cell::Text(name) = name else { return Err("it has no tag".to_owned()) };
        let state = quality.first().map_or(Ok(0), |cell| self.state(cell))?;
        let Some(index) = self.place(name) else { return Ok(()) };
        self.put(index, unix_ns, value, state).map_err(|why| format!("tag {name}: {why}"))
    }

    /// Where the tag of this name is; `None` if it is left out.
    fn place(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.mapping.of(name).map(|becomes| {
            self.tags.push(Gathered { name: name.to_owned(), becomes, values: Vec::new() });
            self.tags.len() - 1
        });
        self.places.insert(name.to_owned(), place);
        place
    }

    fn put(&mut self, index: usize, unix_ns: u64, cell: &Cell<'_>, state: u32) -> Result<(), String> {
        let Some(value) = number(cell, self.decimal_comma)? else { return Ok(()) };
        let Gathered { becomes, values, .. } = &mut self.tags[index];
        let converted = becomes.conversion.of(value);
        if value.is_finite() && !converted.is_finite() {
            return Err(format!("{value} is no number in its unit"));
        }
        // What says that there is no value is bad.
        let (value, state) = if converted.is_finite() { (converted, state) } else { (f64::NAN, BAD) };
        values.push(Old { unix_ns, value, state, age_us: 0 });
        self.values += 1;
        Ok(())
    }

    /// A quality as the archive numbers it.
    fn state(&self, cell: &Cell<'_>) -> Result<u32, String> {
        let whole = match *cell {
            Cell::Nothing => return Ok(0),
            Cell::Text(text) => match text.to_lowercase().as_str() {
                "good" | "ok" => return Ok(0),
                "uncertain" => return Ok(1),
                "bad" => return Ok(BAD),
                other => number_of(other)
                    .ok_or_else(|| format!("`{text}` is no quality: good, uncertain, bad or a number"))?,
            },
            Cell::Whole(whole) => whole,
            Cell::Number(number) => number as i64,
            Cell::Instant { .. } => return Err("its quality is a time".to_owned()),
        };
        self.state_of(whole)
    }

    fn state_of(&self, code: i64) -> Result<u32, String> {
        // A status code may come as a signed number of 32 bits.
        let code = if code < 0 { code & 0xffff_ffff } else { code };
        match (self.quality, code) {
            (Some(Quality::Ua), _) | (None, 256..) => Ok(((code >> 30) as u32).min(BAD)),
            (Some(Quality::Da), _) | (None, 1..256) => Ok(match code & 0xc0 {
                0xc0 => 0,
                0x40 => 1,
                _ => BAD,
            }),
            (None, _) => Err("a quality of 0 is bad in OPC DA and good in OPC UA: say which with --quality".to_owned()),
        }
    }
}

/// The archive's number of a bad quality.
const BAD: u32 = 2;

fn number_of(text: &str) -> Option<i64> {
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| i64::from_str_radix(digits, 16).ok())
}

/// The number in a cell, infinite for one that says that there is no value; nothing for an empty one.
fn number(cell: &Cell<'_>, decimal_comma: bool) -> Result<Option<f64>, String> {
    match *cell {
        Cell::Nothing => Ok(None),
        Cell::Whole(whole) => Ok(Some(whole as f64)),
        Cell::Number(number) => Ok(Some(number)),
        Cell::Instant { .. } => Err("it holds a time".to_owned()),
        Cell::Text(text) => match history::Cell::read(fields(text).as_deref().unwrap_or(text), decimal_comma) {
            Some(history::Cell::Nothing) => Ok(None),
            Some(history::Cell::Bad) => Ok(Some(f64::INFINITY)),
            Some(history::Cell::Value(value)) => Ok(Some(value)),
            None => Err(format!("`{text}` is no number: leave it empty where there is no value")),
        },
    }
}

/// The value as CoreRL's Python services kept it in their sensor database: `{"val": 1.5}`.
fn fields(text: &str) -> Option<String> {
    let parsed: serde_json::Value = text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()?;
    match parsed.get("val")? {
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Twice;
    use super::*;

    const CLOCK: Clock = Clock { zone: None, twice: Twice::Refuse, format: None };

    fn long(quality: Option<Quality>, rows: &[&[Cell<'_>]]) -> (Vec<Gathered>, Vec<String>) {
        let mapping = Mapping::default();
        let layout = Layout { wanted: vec![0, 1, 2, 3], shape: Shape::Long };
        let mut gathering = Gathering::new(layout, &CLOCK, &mapping, quality, false);
        let mut refusals = Refusals::new(None).unwrap();
        for (at, row) in (2..).zip(rows) {
            gathering.take(at, Ok(row), &mut refusals).unwrap();
        }
        (gathering.tags, refusals.told)
    }

    fn row<'a>(tag: &'a str, value: &'a str, quality: Cell<'a>) -> [Cell<'a>; 4] {
        [Cell::Whole(1_782_900_000), Cell::Text(tag), Cell::Text(value), quality]
    }

    #[test]
    fn a_long_table_has_values_with_their_quality_also_as_the_old_sensor_database_had_them() {
        let rows = [
            row("PH", r#"{"val": 7.5}"#, Cell::Whole(192)),
            row("PH", "7", Cell::Text("Uncertain")),
            row("LEVEL", "bad", Cell::Nothing),
            row("LEVEL", "1e1", Cell::Text("0x80340000")),
            // The same as a database without unsigned numbers has it.
            row("LEVEL", "11", Cell::Whole(-2_144_075_776)),
        ];
        let (tags, refused) = long(None, &rows.each_ref().map(|row| &row[..]));
        assert_eq!(refused, Vec::<String>::new());
        let told: Vec<_> =
            tags.iter().map(|tag| tag.values.iter().map(|old| (old.value, old.state)).collect::<Vec<_>>()).collect();
        assert_eq!(told[0], [(7.5, 0), (7.0, 1)]);
        assert!(told[1][0].0.is_nan());
        assert_eq!((told[1][0].1, told[1][1], told[1][2]), (2, (10.0, 2), (11.0, 2)));
    }

    #[test]
    fn what_is_refused_is_told_by_line_and_the_rest_is_taken() {
        let rows = [
            row("PH", "seven", Cell::Nothing),
            row("PH", "7", Cell::Whole(0)),
            row("PH", "7", Cell::Text("so so")),
            [Cell::Nothing, Cell::Text("PH"), Cell::Text("7"), Cell::Nothing],
            row("PH", "7", Cell::Nothing),
        ];
        let rows = rows.each_ref().map(|row| &row[..]);
        let (tags, refused) = long(None, &rows);
        assert_eq!(tags[0].values.len(), 1);
        for (told, (place, why)) in refused.iter().zip([
            ("line 2: ", "no number"),
            ("line 3: ", "--quality"),
            ("line 4: ", "no quality"),
            ("line 5: ", "no time"),
        ]) {
            assert!(told.starts_with(place) && told.contains(why), "{told}");
        }
        assert_eq!((refused.len(), long(Some(Quality::Ua), &rows).0[0].values[0].state), (4, 0));
        assert_eq!(long(Some(Quality::Da), &rows).0[0].values[0].state, 2);
    }
}
