//! Whether numbers mean on the server what the site file says: their units and ranges (Part 8, 5.3.2.3).
//!
//! A controller that takes millimetres for metres does harm with values that look good. So a scale that contradicts the site
//! file, or that changes while the runtime runs, is a reason to read and write nothing until a person has looked at it.

use ua_session::Scale;

use super::BoundNode;

/// Everything that the server's scales contradict, one complaint for each.
pub(super) fn contradictions(inputs: &[BoundNode], outputs: &[BoundNode], scales: &[Scale]) -> Vec<String> {
    let (read, written) = scales.split_at_checked(inputs.len()).unwrap_or((scales, &[]));
    let read = inputs.iter().zip(read).flat_map(|(node, found)| [unit(node, found), apart(node, found)]);
    let written = outputs.iter().zip(written).flat_map(|(node, found)| [unit(node, found), beyond(node, found)]);
    read.chain(written).flatten().collect()
}

/// What has changed between two looks at the same nodes. A server that says nothing of a node any more, or says it for the
/// first time, has changed nothing.
pub(super) fn changes<'a>(nodes: impl Iterator<Item = &'a BoundNode>, before: &[Scale], now: &[Scale]) -> Vec<String> {
    let changed = |(node, (before, now)): (&BoundNode, (&Scale, &Scale))| {
        let ranges = before.range.zip(now.range).filter(|(before, now)| before != now);
        let units = before.unit.as_ref().zip(now.unit.as_ref()).filter(|(before, now)| !is_same_unit(before, now));
        let range = ranges.map(|(before, now)| format!("range was {} and is {}", show(before), show(now)));
        let unit = units.map(|(before, now)| format!("unit was {before} and is {now}"));
        range.or(unit).map(|what| {
            let BoundNode { name, address, .. } = node;
            format!(
                "tag `{name}`: on the server the {what} (node {address}): make sure that the site file fits, and restart the \
                 runtime"
            )
        })
    };
    nodes.zip(before.iter().zip(now)).filter_map(changed).collect()
}

/// Adds to what is known of the nodes what was not said before.
pub(super) fn remember(known: &mut Vec<Scale>, found: Vec<Scale>) {
    known.resize(found.len(), Scale::default());
    for (known, found) in known.iter_mut().zip(found) {
        known.range = known.range.or(found.range);
        known.unit = known.unit.take().or(found.unit);
    }
}

fn unit(BoundNode { name, address, scale, .. }: &BoundNode, found: &Scale) -> Option<String> {
    let (ours, theirs) = scale.unit.as_ref().zip(found.unit.as_ref())?;
    (!is_same_unit(ours, theirs)).then(|| {
        format!(
            "tag `{name}`: the site file says {ours}, and the server says {theirs} of node {address}: correct `unit` in the site \
             file, or EngineeringUnits on the server"
        )
    })
}

/// A measured value may go beyond its range; one that is never within it has another scale.
fn apart(BoundNode { name, address, scale, .. }: &BoundNode, found: &Scale) -> Option<String> {
    let (ours, theirs) = scale.range.zip(found.range)?;
    (ours.1 < theirs.0 || theirs.1 < ours.0).then(|| {
        format!(
            "tag `{name}`: operating_range is {}, and the server's range of node {address} is {}: correct the one or the other",
            show(ours),
            show(theirs)
        )
    })
}

fn beyond(BoundNode { name, address, scale, .. }: &BoundNode, found: &Scale) -> Option<String> {
    let (ours, theirs) = scale.range.zip(found.range)?;
    (ours.0 < theirs.0 || ours.1 > theirs.1).then(|| {
        format!(
            "tag `{name}`: runtime.limits lets it go from {}, and the server's range of node {address} is {}: narrow the limits, \
             or correct the server",
            show(ours),
            show(theirs)
        )
    })
}

fn show((low, high): (f64, f64)) -> String {
    format!("{low} to {high}")
}

/// Two ways to write one unit: with raised digits or without, with a micro sign or a letter.
fn is_same_unit(one: &str, other: &str) -> bool {
    let plain = |text: &str| -> String {
        let characters = text.chars().filter(|character| !character.is_whitespace() && *character != '^');
        let plain = characters.map(|character| match character {
            '²' => '2',
            '³' => '3',
            'µ' | 'μ' => 'u',
            '·' | '*' => '.',
            other => other,
        });
        plain.collect()
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Demand;

    fn node(unit: Option<&str>, range: Option<(f64, f64)>) -> BoundNode {
        BoundNode {
            name: "LEVEL".into(),
            address: "ns=2;s=Level".parse().unwrap(),
            demand: Demand::Number,
            scale: scale(unit, range),
        }
    }

    fn scale(unit: Option<&str>, range: Option<(f64, f64)>) -> Scale {
        Scale { range, unit: unit.map(str::to_owned) }
    }

    #[test]
    fn f63_another_unit_or_a_range_that_cannot_be_the_same_is_a_contradiction() {
        let ours = [node(Some("m³/h"), Some((0.0, 2.0)))];
        let complaints = |found: Scale| {
            let found = [found];
            [contradictions(&ours, &[], &found), contradictions(&[], &ours, &found)].map(|complaints| complaints.len())
        };
        assert_eq!(complaints(Scale::default()), [0, 0]);
        assert_eq!(complaints(scale(Some("m3/h"), Some((0.0, 2.0)))), [0, 0]);
        assert_eq!(complaints(scale(Some("M3/h"), None)), [1, 1]);
        assert_eq!(complaints(scale(Some("l/s"), Some((5.0, 9.0)))), [2, 2]);
        // A sensor may be operated in a part of its range and beyond it; a setpoint may not be written beyond it.
        assert_eq!(complaints(scale(None, Some((1.0, 3.0)))), [0, 1]);
        assert_eq!(complaints(scale(None, Some((0.0, 1.0)))), [0, 1]);
        assert_eq!(complaints(scale(None, Some((-1.0, 3.0)))), [0, 0]);
        let unsaid = [node(None, None)];
        assert_eq!(contradictions(&unsaid, &unsaid, &vec![scale(Some("m"), Some((0.0, 1.0))); 2]), [] as [String; 0]);
    }

    #[test]
    fn f63_a_scale_that_changes_is_named_with_what_it_was_and_is() {
        let nodes = [node(None, None)];
        let changes = |before: Scale, now: Scale| changes(nodes.iter(), &[before], &[now]).join("");
        let metres = || scale(Some("m"), Some((0.0, 1.0)));
        assert_eq!(changes(metres(), metres()), "");
        assert_eq!(changes(metres(), Scale::default()), "");
        assert_eq!(changes(Scale::default(), metres()), "");
        assert!(changes(metres(), scale(Some("m"), Some((0.0, 100.0)))).contains("range was 0 to 1 and is 0 to 100"));
        assert!(changes(metres(), scale(Some("cm"), Some((0.0, 1.0)))).contains("unit was m and is cm"));
    }
}
