//! `corerl config tags`: the tags of a site file, drafted from a history.

use std::path::PathBuf;

use clap::Args;
use history::TagFacts;

use super::read;
use crate::failure::{Exit, Failure};
use crate::output::print_text;

/// Room beyond what was seen, in widths of it.
const ROOM: f64 = 0.1;
/// Digits of a range that are worth writing down.
const DIGITS: i32 = 3;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  corerl config tags --from history.csv >> site.yaml\n\nRanges are those that 98 % of the values lie in, with a tenth more on either side, rounded outwards. They are a beginning: write\nwhat the sensors and the plant can do. Setpoints have to be marked by hand with `type: ai_setpoint`."
)]
pub(crate) struct TagsArguments {
    /// The history: a CSV or Parquet file, or a historian's directory with one agent.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

pub(crate) fn draft_tags(arguments: &TagsArguments) -> Result<Exit, Failure> {
    let table = read(&arguments.from)?;
    let mut text = "pipeline:\n  tags:\n".to_owned();
    for column in &table.columns {
        text += &entry(&TagFacts::of(&table, column));
    }
    print_text(&text)?;
    Ok(Exit::Fine)
}

fn entry(facts: &TagFacts) -> String {
    let name = serde_json::Value::from(facts.name.as_str());
    let (Some(low), Some(high)) = (facts.low, facts.high) else {
        return format!("    # {name} has no value in the history\n");
    };
    let mut text = format!("    - name: {name}\n      node_identifier: \"\"  # to be filled in\n");
    if facts.constant {
        return text + &format!("      # it is {low} all the time: give it a range, or `type: meta`\n");
    }
    let room = (high - low).max(f64::MIN_POSITIVE) * ROOM;
    let (lo, hi) = outwards(low - room, high + room);
    text += &format!("      expected_range: [{lo}, {hi}]");
    if let (Some(min), Some(max)) = (facts.min, facts.max)
        && (min < lo || max > hi)
    {
        text += &format!("  # seen from {min} to {max}");
    }
    text + "\n"
}

/// The range with few digits, and nothing of it lost.
fn outwards(lo: f64, hi: f64) -> (f64, f64) {
    let magnitude = lo.abs().max(hi.abs()).max(hi - lo).log10().floor() as i32;
    let step = 10_f64.powi(magnitude + 1 - DIGITS);
    let rounded = |count: f64| {
        // As a decimal number: a multiple of a power of ten need not be one in binary.
        let digits = usize::try_from(DIGITS - 1 - magnitude).unwrap_or(0);
        format!("{:.digits$}", count * step).parse().unwrap_or(count * step)
    };
    (rounded((lo / step).floor()), rounded((hi / step).ceil()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_rounded_outwards_to_few_digits() {
        assert_eq!(outwards(0.123_4, 9.876_5), (0.12, 9.88));
        assert_eq!(outwards(-1_234.0, 12.0), (-1_240.0, 20.0));
        assert_eq!(outwards(-0.000_123_4, 0.0), (-0.000_124, 0.0));
    }

    #[test]
    fn what_is_drafted_says_what_is_left_to_do() {
        let facts = TagFacts {
            name: "PH".to_owned(),
            values: 10,
            bad: 0,
            empty: 0,
            min: Some(2.0),
            max: Some(9.0),
            mean: Some(7.0),
            deviation: Some(0.5),
            low: Some(6.0),
            high: Some(8.0),
            constant: false,
            longest_gap_s: 1.0,
        };
        let text = entry(&facts);
        assert!(
            text.contains("- name: \"PH\"") && text.contains("expected_range: [5.8, 8.2]  # seen from 2 to 9"),
            "{text}"
        );
        assert!(entry(&TagFacts { constant: true, ..facts.clone() }).contains("all the time"));
        assert!(entry(&TagFacts { low: None, ..facts }).contains("no value"));
    }
}
