//! Where in a file what is: a wide table has a column for each tag, a long one a row for each value.

use clap::Args;
use history::TIME_NAMES;

use super::mapping::{Becomes, Mapping};

/// What the columns of a long table are called, in small letters, unless it is said.
const TAG_NAMES: [&str; 6] = ["tag", "name", "tagname", "tag_name", "point", "signal"];
const VALUE_NAMES: [&str; 4] = ["value", "val", "fields", "reading"];
const QUALITY_NAMES: [&str; 3] = ["quality", "status", "statuscode"];

#[derive(Debug, Args)]
pub(super) struct LayoutArguments {
    /// The column with the time [default: the one that is called so].
    #[arg(long, value_name = "NAME")]
    time_column: Option<String>,
    /// Of a long table: the column with the tag [default: tag, name, point …].
    #[arg(long, value_name = "NAME")]
    tag_column: Option<String>,
    /// Of a long table: the column with the value [default: value, val, fields …].
    #[arg(long, value_name = "NAME")]
    value_column: Option<String>,
    /// Of a long table: the column with the quality [default: quality, status, if there is one].
    #[arg(long, value_name = "NAME")]
    quality_column: Option<String>,
}

/// Which columns are read, and what they are.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    /// Places in the file: the time's, then those that the shape speaks of.
    pub(super) wanted: Vec<usize>,
    pub(super) shape: Shape,
}

#[derive(Debug, PartialEq)]
pub(super) enum Shape {
    /// What each column behind the time becomes, with its name.
    Wide(Vec<(String, Becomes)>),
    /// Behind the time come tag and value, and the quality, if there is one.
    Long,
}

impl Layout {
    /// Finds out what is where; or says what is missing.
    pub(super) fn of(names: &[String], arguments: &LayoutArguments, mapping: &Mapping) -> Result<Self, String> {
        let find = |asked: &Option<String>, usual: &[&str]| match asked {
            Some(asked) => one(names, asked).map(Some),
            None => Ok(names.iter().position(|name| usual.contains(&name.to_lowercase().as_str()))),
        };
        let time = find(&arguments.time_column, &TIME_NAMES)?.ok_or_else(|| {
            let usual = TIME_NAMES.join(", ");
            format!("no column is called {usual}: say with --time-column which one has the time")
        })?;
        let tag = find(&arguments.tag_column, &TAG_NAMES)?;
        let value = find(&arguments.value_column, &VALUE_NAMES)?;
        let quality = find(&arguments.quality_column, &QUALITY_NAMES)?;
        match (tag, value) {
            (Some(tag), Some(value)) => {
                let wanted = [time, tag, value].into_iter().chain(quality).collect();
                Ok(Self { wanted, shape: Shape::Long })
            }
            (None, Some(_)) if arguments.value_column.is_some() => {
                Err("a long table needs a column with the tag: say which with --tag-column".to_owned())
            }
            (Some(_), None) if arguments.tag_column.is_some() => {
                Err("a long table needs a column with the value: say which with --value-column".to_owned())
            }
            _ => Self::wide(names, time, mapping),
        }
    }

    fn wide(names: &[String], time: usize, mapping: &Mapping) -> Result<Self, String> {
        for name in mapping.names() {
            one(names, name)?;
        }
        let of = |(place, name): (usize, &String)| {
            let becomes = (place != time).then(|| mapping.of(name)).flatten()?;
            Some((place, (name.clone(), becomes)))
        };
        let found: Vec<_> = names.iter().enumerate().filter_map(of).collect();
        let mut tags: Vec<_> = found.iter().map(|(_, (_, becomes))| becomes.tag.as_str()).collect();
        tags.sort_unstable();
        if let Some(twice) = tags.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("two columns would be the tag {}: name one with --column", twice[0]));
        }
        if let Some(unknown) = mapping.tags_with_units().find(|tag| tags.binary_search(tag).is_err()) {
            return Err(format!("--unit names {unknown}, which no column becomes"));
        }
        if found.is_empty() {
            return Err("there is no column beside the time: each further one is a tag".to_owned());
        }
        let (places, columns): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Ok(Self { wanted: std::iter::once(time).chain(places).collect(), shape: Shape::Wide(columns) })
    }
}

/// The place of the column of this name.
fn one(names: &[String], name: &str) -> Result<usize, String> {
    names.iter().position(|known| known == name).ok_or_else(|| {
        let near: Vec<_> =
            names.iter().filter(|known| known.to_lowercase() == name.to_lowercase()).map(String::as_str).collect();
        let hint = if near.is_empty() { names.join(", ") } else { near.join(", ") };
        format!("there is no column {name}; there is {hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(names: &[&str], arguments: &LayoutArguments) -> Result<Layout, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Layout::of(&names, arguments, &Mapping::default())
    }

    const UNSAID: LayoutArguments =
        LayoutArguments { time_column: None, tag_column: None, value_column: None, quality_column: None };

    #[test]
    fn a_table_with_tag_and_value_is_long_and_any_other_wide() {
        let long = layout(&["name", "Time", "fields", "status"], &UNSAID).unwrap();
        assert_eq!((long.wanted, long.shape), (vec![1, 0, 2, 3], Shape::Long));
        let wide = layout(&["PH", "Timestamp", "LEVEL [m]"], &UNSAID).unwrap();
        assert_eq!(wide.wanted, [1, 0, 2]);
        let Shape::Wide(columns) = wide.shape else { panic!("wide") };
        assert_eq!(columns.iter().map(|(_, of)| of.tag.as_str()).collect::<Vec<_>>(), ["PH", "LEVEL"]);
    }

    #[test]
    fn what_is_missing_is_said_with_the_option_that_helps() {
        let asks = |name: &str| Some(name.to_owned());
        for (names, arguments, what) in [
            (&["when", "PH"][..], UNSAID, "--time-column"),
            (&["time"], UNSAID, "no column beside the time"),
            (&["time", "A", "A [m]"], UNSAID, "two columns would be the tag A"),
            (&["time", "ph"], LayoutArguments { value_column: asks("PH"), ..UNSAID }, "there is ph"),
            (&["time", "x"], LayoutArguments { value_column: asks("x"), ..UNSAID }, "--tag-column"),
            (&["time", "x"], LayoutArguments { tag_column: asks("x"), ..UNSAID }, "--value-column"),
        ] {
            let why = layout(names, &arguments).unwrap_err();
            assert!(why.contains(what), "{why}");
        }
    }
}
