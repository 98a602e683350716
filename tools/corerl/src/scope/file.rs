//! Captures as CSV files that any spreadsheet reads, and that are read back with the very same bits.
//!
//! ```text
//! # corerl.scope/1
//! # agent: works/ph
//! # period_ns: 1000000                   the control period
//! # trigger: level rising 0.5            as on the command line
//! # triggered: true                      false where the sweep began without a trigger
//! # trigger_ns: 81234000000              when, CLOCK_MONOTONIC
//! # span_ns: 1000000000                  length of the sweep
//! # pre_ns: 200000000                    of it before the trigger
//! # ended: false                         true where the runtime ended before the sweep did
//! time_s,cycle,lost,skipped,level [m],u.sent [%]
//! -0.200000000,8034,0,0,0.25,41.5
//! ```
//!
//! `time_s` counts from the trigger. `lost` are records before this one that were overwritten before they were read, `skipped`
//! slots before it that passed without a cycle: nothing is known of either. An empty cell is a value that is not a number.

use std::io::{BufRead, BufReader, Read, Write};

use rt_core::time::NS_PER_S;

use super::acquisition::{SAMPLES_MAX, Sample};
use super::capture::{Capture, Frame};
use super::channel::CHANNELS_MAX;

/// What the first line says.
const SCHEMA: &str = "corerl.scope/1";
/// The columns before those of the channels.
const FIXED: [&str; 4] = ["time_s", "cycle", "lost", "skipped"];
/// Lines before the header at most.
const FACTS_MAX: usize = 64;
/// The longest sweep that is believed: a year, which no time on a screen or between two cursors overflows.
const SPAN_NS_MAX: u64 = 365 * 86_400 * NS_PER_S;
/// The longest line before the header, bytes.
const FACT_BYTES_MAX: u64 = 4096;

/// A capture with all that is needed to look at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saved {
    pub(super) agent: String,
    pub(super) period_ns: u64,
    /// As on the command line.
    pub(super) trigger: String,
    /// Titles of the channels: names with units.
    pub(super) titles: Vec<String>,
    pub(super) capture: Capture,
}

impl Saved {
    /// Writes it.
    pub(super) fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        let Frame { span_ns, pre_ns, trigger_ns, triggered } = self.capture.frame;
        writeln!(to, "# {SCHEMA}")?;
        writeln!(to, "# agent: {}\n# period_ns: {}\n# trigger: {}", self.agent, self.period_ns, self.trigger)?;
        writeln!(to, "# triggered: {triggered}\n# trigger_ns: {trigger_ns}")?;
        writeln!(to, "# span_ns: {span_ns}\n# pre_ns: {pre_ns}\n# ended: {}", self.capture.ended)?;
        let mut rows = csv::Writer::from_writer(to);
        rows.write_record(FIXED.into_iter().chain(self.titles.iter().map(String::as_str)))?;
        for sample in &self.capture.samples {
            let fixed = [
                seconds(sample.time_ns, trigger_ns),
                sample.cycle.to_string(),
                sample.lost.to_string(),
                sample.skipped.to_string(),
            ];
            let values = sample.values.iter().take(self.titles.len()).map(|value| cell(*value));
            rows.write_record(fixed.into_iter().chain(values))?;
        }
        rows.flush()
    }

    /// Reads it; what is wrong, and in which line.
    pub(super) fn read(from: impl Read) -> Result<Self, String> {
        let mut from = BufReader::new(from);
        let facts = Facts::read(&mut from)?;
        let frame = Frame {
            span_ns: facts.parsed("span_ns")?,
            pre_ns: facts.parsed("pre_ns")?,
            trigger_ns: facts.parsed("trigger_ns")?,
            triggered: facts.parsed("triggered")?,
        };
        if !(1..=SPAN_NS_MAX).contains(&frame.span_ns) || frame.pre_ns > frame.span_ns {
            return Err(format!("span_ns must be from 1 to {SPAN_NS_MAX}, and pre_ns not above it"));
        }
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(from);
        let header = rows.headers().map_err(|error| error.to_string())?.clone();
        if !header.iter().zip(FIXED).all(|(found, fixed)| found == fixed) || header.len() < FIXED.len() {
            return Err(format!("the columns do not begin with {}", FIXED.join(",")));
        }
        let titles: Vec<String> = header.iter().skip(FIXED.len()).map(str::to_owned).collect();
        if titles.len() > CHANNELS_MAX {
            return Err(format!("{} channels are too many: a scope shows {CHANNELS_MAX}", titles.len()));
        }
        let samples = read_samples(&mut rows, &frame, facts.lines)?;
        let capture = Capture { frame, ended: facts.parsed("ended")?, samples };
        let [agent, trigger] = [facts.text("agent")?, facts.text("trigger")?].map(str::to_owned);
        Ok(Self { agent, period_ns: facts.parsed("period_ns")?, trigger, titles, capture })
    }
}

fn read_samples(rows: &mut csv::Reader<impl Read>, frame: &Frame, lines_before: u64) -> Result<Vec<Sample>, String> {
    let columns = rows.headers().map_err(|error| error.to_string())?.len();
    let mut samples: Vec<Sample> = Vec::new();
    for row in rows.records() {
        let row = row.map_err(|error| error.to_string())?;
        let line = lines_before + row.position().map_or(0, csv::Position::line);
        let sample = sample(&row, frame).filter(|_| row.len() == columns);
        let sample = sample.ok_or_else(|| format!("line {line} is no sample"))?;
        if samples.last().is_some_and(|before| before.time_ns >= sample.time_ns) {
            return Err(format!("line {line} is not later than the one before it"));
        }
        if samples.len() == SAMPLES_MAX {
            return Err(format!("there are more than {SAMPLES_MAX} samples"));
        }
        samples.push(sample);
    }
    Ok(samples)
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

/// The lines before the header.
struct Facts {
    named: Vec<(String, String)>,
    lines: u64,
}

impl Facts {
    fn read(from: &mut impl BufRead) -> Result<Self, String> {
        let mut facts = Self { named: Vec::new(), lines: 0 };
        loop {
            let is_fact = from.fill_buf().map_err(|error| error.to_string())?.first() == Some(&b'#');
            if !is_fact || facts.lines as usize == FACTS_MAX {
                return Ok(facts);
            }
            let mut line = String::new();
            from.take(FACT_BYTES_MAX).read_line(&mut line).map_err(|error| error.to_string())?;
            let fact = line.trim_start_matches('#').trim();
            if facts.lines == 0 && fact != SCHEMA {
                return Err(format!("it begins with `{fact}` and not with `{SCHEMA}`"));
            }
            facts.lines += 1;
            facts.named.extend(fact.split_once(": ").map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
        }
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        let found = self.named.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| format!("there is no line `# {name}: …`: is it a capture of `corerl shm scope`?"))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse().map_err(|_| format!("`{text}` cannot be {name}"))
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
    use super::*;
    use proptest::prelude::*;

    fn small() -> Saved {
        let sample = |cycle: u64, values: [f64; 2]| {
            let mut all = [f64::NAN; CHANNELS_MAX];
            all[..2].copy_from_slice(&values);
            Sample { cycle, time_ns: cycle * 1_000_000, lost: cycle % 3, skipped: 0, values: all }
        };
        let frame = Frame { span_ns: 5_000_000, pre_ns: 1_000_000, trigger_ns: 1_000_000_000, triggered: true };
        Saved {
            agent: "works/ph".into(),
            period_ns: 1_000_000,
            trigger: "level rising 0.5".into(),
            titles: vec!["level [m]".into(), "a, \"b\"".into()],
            capture: Capture {
                frame,
                ended: false,
                samples: vec![
                    sample(999, [0.25, -1e-300]),
                    sample(1000, [0.1 + 0.2, f64::NAN]),
                    sample(1003, [f64::INFINITY, 7.0]),
                ],
            },
        }
    }

    fn text_of(saved: &Saved) -> String {
        let mut bytes = Vec::new();
        saved.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Equal, and where a value is not a number the other one is none either.
    fn same(a: &Saved, b: &Saved) -> bool {
        format!("{a:?}") == format!("{b:?}")
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
        let refused = |text: &str| Saved::read(text.as_bytes()).unwrap_err();
        for (from, to, why) in [
            ("# corerl.scope/1", "# corerl.scope/2", "not with `corerl.scope/1`"),
            ("# span_ns: 5000000\n", "", "no line `# span_ns"),
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
        assert!(refused("").contains("no line"));
        assert!(refused("time,level\n1,2\n").contains("is it a capture"));
    }

    proptest! {
        #[test]
        fn what_was_saved_is_loaded_with_every_bit(
            cells in prop::collection::vec((1u64..1_000_000_000, any::<u64>(), 0u32..5, any::<f64>(), any::<f64>()), 0..40),
            trigger_ns in 0u64..1 << 62,
            ended: bool,
        ) {
            let mut saved = small();
            let mut time_ns = trigger_ns.saturating_sub(3_000_000_000);
            saved.capture.samples = cells.into_iter().map(|(step, cycle, skipped, a, b)| {
                time_ns += step;
                let mut values = [f64::NAN; CHANNELS_MAX];
                (values[0], values[1]) = (a, b);
                Sample { cycle, time_ns, lost: cycle >> 60, skipped, values }
            }).collect();
            (saved.capture.frame.trigger_ns, saved.capture.ended) = (trigger_ns, ended);
            let loaded = Saved::read(text_of(&saved).as_bytes()).unwrap();
            prop_assert!(same(&loaded, &saved), "{loaded:?}\n{saved:?}");
        }
    }
}
