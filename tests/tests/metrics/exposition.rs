//! A strict reader of Prometheus's text format 0.0.4: whatever the format does not permit is a failed test.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// One family as it was served.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Name with its suffix, labels, number.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

/// All families of a page, by name.
pub(crate) type Page = BTreeMap<String, Family>;

/// Reads a page.
///
/// # Panics
/// It is not what the format permits.
pub(crate) fn read(text: &str) -> Page {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut page = Page::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line:?}"));
            assert_name(name);
            let family = Family { kind: String::new(), help: help.to_owned(), samples: Vec::new() };
            assert!(page.insert(name.to_owned(), family).is_none(), "{name} is told twice");
            current = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line:?}"));
            assert_eq!(current.as_deref(), Some(name), "a type without help: {line:?}");
            let family = page.get_mut(name).unwrap();
            assert!(family.kind.is_empty() && family.samples.is_empty(), "{line:?} comes late");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line:?}");
            kind.clone_into(&mut family.kind);
        } else {
            let (name, labels, number) = sample(line);
            let family =
                page.get_mut(current.as_deref().unwrap_or_default()).unwrap_or_else(|| panic!("whose is {line:?}?"));
            let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            let family_name = current.as_deref().unwrap_or_default();
            let suffix = name.strip_prefix(family_name).unwrap_or_else(|| panic!("{line:?} is not of {family_name}"));
            assert!(!family.kind.is_empty() && suffixes.contains(&suffix), "{line:?}");
            family.samples.push((name, labels, number));
        }
    }
    page.iter().for_each(|(name, family)| check(name, family));
    page
}

/// Each sample once; counters are whole and not negative; buckets increase and end with the count.
fn check(name: &str, family: &Family) {
    let each: BTreeSet<_> = family.samples.iter().map(|(name, labels, _)| (name, labels)).collect();
    assert_eq!(each.len(), family.samples.len(), "{name}: a sample comes twice");
    assert!(!family.samples.is_empty(), "{name} has no sample");
    match family.kind.as_str() {
        "counter" => {
            assert!(name.ends_with("_total"), "{name}");
            let whole = |number: f64| number >= 0.0 && number.fract() == 0.0;
            assert!(family.samples.iter().all(|(.., number)| whole(*number)), "{name}: {family:?}");
        }
        "histogram" => {
            let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for (_, labels, number) in family.samples.iter().filter(|(of, ..)| of.ends_with("_bucket")) {
                let mut labels = labels.clone();
                let limit = labels.remove("le").unwrap_or_else(|| panic!("{name}: a bucket without a limit"));
                series.entry(labels).or_default().push((self::number(&limit), *number));
            }
            for (labels, buckets) in series {
                let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
                assert!(buckets.windows(2).all(rises), "{name}{labels:?}: {buckets:?}");
                let part = |suffix: &str| {
                    let of = format!("{name}{suffix}");
                    family.samples.iter().find(|(name, found, _)| *name == of && *found == labels).unwrap().2
                };
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, part("_count"))), "{name}{labels:?}");
                assert!(part("_sum") >= 0.0 && (part("_sum") > 0.0) == (part("_count") > 0.0), "{name}{labels:?}");
            }
        }
        _ => {}
    }
}

fn sample(line: &str) -> (String, Labels, f64) {
    let name_end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no number: {line:?}"));
    let (name, rest) = line.split_at(name_end);
    assert_name(name);
    let mut labels = Labels::new();
    let mut rest = rest;
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, value) = inner.split_once("=\"").unwrap_or_else(|| panic!("a label without a value: {line:?}"));
            assert_name(label);
            let (value, after) = quoted(value);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line:?}");
            match after.strip_prefix(',') {
                Some(next) => inner = next,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("labels without an end: {line:?}"));
                    break;
                }
            }
        }
    }
    let text = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no number: {line:?}"));
    (name.to_owned(), labels, number(text))
}

/// A label's value, and what comes behind its closing quote.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped @ ('\\' | '"'))) => escaped,
                other => panic!("no such escape: {other:?}"),
            }),
            _ => value.push(char),
        }
    }
    panic!("a label's value without an end: {text:?}")
}

fn number(text: &str) -> f64 {
    match text {
        "NaN" => f64::NAN,
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        _ => text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}")),
    }
}

fn assert_name(name: &str) {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(!name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()), "{name:?}");
}
