//! CSV that any spreadsheet reads.
//!
//! ```text
//! # corerl.scope/1
//! # agent: works/ph
//! # period_ns: 1000000
//! # trigger: level rising 0.5
//! # triggered: true
//! # trigger_ns: 81234000000
//! # span_ns: 1000000000
//! # pre_ns: 200000000
//! # ended: false
//! time_s,cycle,lost,skipped,level [m],u.sent [%]
//! -0.200000000,8034,0,0,0.25,41.5
//! ```
//!
//! `time_s` counts from the trigger. An empty cell is a value that is not a number.

use std::io::{BufRead, BufReader, Read, Write};

use footage::mcap::Texts;
use rt_core::time::NS_PER_S;

use super::super::acquisition::Sample;
use super::super::capture::Frame;
use super::super::channel::CHANNELS_MAX;
use super::{SCHEMA, Saved};

/// The columns before those of the channels.
const FIXED: [&str; 4] = ["time_s", "cycle", "lost", "skipped"];
/// Lines before the header at most.
const FACTS_MAX: u64 = 64;
/// The longest line before the header, bytes.
const FACT_BYTES_MAX: u64 = 4096;

/// Writes a capture.
pub(super) fn write(saved: &Saved, to: &mut impl Write) -> std::io::Result<()> {
    writeln!(to, "# {SCHEMA}")?;
    for (name, value) in saved.facts() {
        writeln!(to, "# {name}: {value}")?;
    }
    let mut rows = csv::Writer::from_writer(to);
    rows.write_record(FIXED.into_iter().chain(saved.titles.iter().map(String::as_str)))?;
    for sample in &saved.capture.samples {
        let fixed = [
            seconds(sample.time_ns, saved.capture.frame.trigger_ns),
            sample.cycle.to_string(),
            sample.lost.to_string(),
            sample.skipped.to_string(),
        ];
        let values = sample.values.iter().take(saved.titles.len()).map(|value| cell(*value));
        rows.write_record(fixed.into_iter().chain(values))?;
    }
    rows.flush()
}

/// Reads a capture; what is wrong, and in which line.
pub(super) fn read(from: impl Read) -> Result<Saved, String> {
    let mut from = BufReader::new(from);
    let (facts, lines_before) = facts(&mut from)?;
    let mut saved = Saved::of_facts(&facts)?;
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(from);
    let header = rows.headers().map_err(|error| error.to_string())?.clone();
    if !header.iter().zip(FIXED).all(|(found, fixed)| found == fixed) || header.len() < FIXED.len() {
        return Err(format!("the columns do not begin with {}", FIXED.join(",")));
    }
    for title in header.iter().skip(FIXED.len()) {
        saved.add_title(title.to_owned())?;
    }
    for row in rows.records() {
        let row = row.map_err(|error| error.to_string())?;
        let line = lines_before + row.position().map_or(0, csv::Position::line);
        let sample = sample(&row, &saved.capture.frame).filter(|_| row.len() == header.len());
        saved.add(sample.ok_or_else(|| format!("line {line} is no sample"))?, format_args!("line {line}"))?;
    }
    Ok(saved)
}

fn sample(row: &csv::StringRecord, frame: &Frame) -> Option<Sample> {
    let mut values = [f64::NAN; CHANNELS_MAX];
    for (to, cell) in values.iter_mut().zip(row.iter().skip(FIXED.len())) {
        *to = if cell.is_empty() { f64::NAN } else { cell.parse().ok()? };
    }
    Some(Sample {
        time_ns: nanoseconds(row.get(0)?, frame.trigger_ns)?,
        cycle: row.get(1)?.parse().ok()?,
        lost: row.get(2)?.parse().ok()?,
        skipped: row.get(3)?.parse().ok()?,
        values,
    })
}

/// What stands in the lines before the header, and how many there are.
fn facts(from: &mut impl BufRead) -> Result<(Texts, u64), String> {
    let (mut facts, mut lines) = (Texts::new(), 0);
    loop {
        let is_fact = from.fill_buf().map_err(|error| error.to_string())?.first() == Some(&b'#');
        if !is_fact || lines == FACTS_MAX {
            return Ok((facts, lines));
        }
        let mut line = String::new();
        from.take(FACT_BYTES_MAX).read_line(&mut line).map_err(|error| error.to_string())?;
        let fact = line.trim_start_matches('#').trim();
        if lines == 0 && fact != SCHEMA {
            return Err(format!("it begins with `{fact}` and not with `{SCHEMA}`"));
        }
        lines += 1;
        facts.extend(fact.split_once(": ").map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
    }
}

/// A value with as many digits as it takes to read it back.
fn cell(value: f64) -> String {
    if value.is_nan() { String::new() } else { format!("{value:?}") }
}

/// Seconds after the trigger, to the nanosecond.
fn seconds(time_ns: u64, trigger_ns: u64) -> String {
    let distance = time_ns.abs_diff(trigger_ns);
    let sign = if time_ns < trigger_ns { "-" } else { "" };
    format!("{sign}{}.{:09}", distance / NS_PER_S, distance % NS_PER_S)
}

fn nanoseconds(seconds: &str, trigger_ns: u64) -> Option<u64> {
    let (is_before, distance) = seconds.strip_prefix('-').map_or((false, seconds), |distance| (true, distance));
    let (whole, fraction) = distance.split_once('.').unwrap_or((distance, "0"));
    // Other programs may leave zeros at the end out.
    let fraction: u64 = (fraction.len() <= 9).then(|| format!("{fraction:0<9}"))?.parse().ok()?;
    let distance = whole.parse::<u64>().ok()?.checked_mul(NS_PER_S)?.checked_add(fraction)?;
    if is_before { trigger_ns.checked_sub(distance) } else { trigger_ns.checked_add(distance) }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{bytes_of, small};
    use super::*;

    fn text_of(saved: &Saved) -> String {
        String::from_utf8(bytes_of(saved, Format::Csv)).unwrap()
    }

    #[test]
    fn a_file_looks_as_it_is_documented() {
        let expected = "\
# corerl.scope/1
# agent: works/ph
# period_ns: 1000000
# trigger: level rising 0.5
# triggered: true
# trigger_ns: 1000000000
# span_ns: 5000000
# pre_ns: 1000000
# ended: false
time_s,cycle,lost,skipped,level [m],\"a, \"\"b\"\"\"
-0.001000000,999,0,0,0.25,-1e-300
";
        let text = text_of(&small());
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("0.000000000,1000,1,0,0.30000000000000004,\n0.003000000,1003,1,0,inf,7.0\n"), "{text}");
    }

    #[test]
    fn what_is_no_capture_is_refused_with_what_is_wrong_and_where() {
        let text = text_of(&small());
        let refused = |text: &str| read(text.as_bytes()).unwrap_err();
        for (from, to, why) in [
            ("# corerl.scope/1", "# corerl.scope/2", "not with `corerl.scope/1`"),
            ("# span_ns: 5000000\n", "", "does not say `span_ns`"),
            ("span_ns: 5000000", "span_ns: long", "`long` cannot be span_ns"),
            ("pre_ns: 1000000", "pre_ns: 6000000", "pre_ns not above it"),
            ("time_s,cycle", "time,cycle", "do not begin with time_s"),
            ("0.25", "high", "line 11 is no sample"),
            ("0.003000000", "-0.002", "line 13 is not later"),
            ("1003,1", "1003,1,1", "line 13 is no sample"),
        ] {
            let message = refused(&text.replace(from, to));
            assert!(message.contains(why), "{to}: {message}");
        }
        assert!(refused("").contains("does not say"));
        assert!(refused("time,level\n1,2\n").contains("is it a capture"));
    }
}
