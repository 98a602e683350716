//! The text that Prometheus reads, format 0.0.4: families with help and type, samples with labels.

use std::fmt::Write as _;

/// What the text is, for the one who asks.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric's numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// It only grows, and begins at 0 with its process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of values by their size.
    Histogram,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Counts of values by their size, in the metric's unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Distribution {
    /// How many values do not exceed a limit; limits and counts increase.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) sum: f64,
    pub(super) count: u64,
}

/// One sample's number, or numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Number(f64),
    Distribution(Distribution),
}

/// A label's name and value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Begins a family: everything until the next one belongs to it.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
    }

    /// A sample of the family that was begun.
    pub(super) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: &Value) {
        match value {
            Value::Count(count) => self.line(format_args!("{name}{} {count}", in_braces(labels))),
            Value::Number(number) => self.line(format_args!("{name}{} {}", in_braces(labels), number_text(*number))),
            Value::Distribution(distribution) => self.distribution(name, labels, distribution),
        }
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn distribution(&mut self, name: &str, labels: &[Label<'_>], of: &Distribution) {
        let last = (f64::INFINITY, of.count);
        for (limit, count) in of.buckets.iter().copied().chain([last]) {
            let limit = number_text(limit);
            let labels = in_braces(&[labels, &[("le", limit.as_str())]].concat());
            self.line(format_args!("{name}_bucket{labels} {count}"));
        }
        self.line(format_args!("{name}_sum{} {}", in_braces(labels), number_text(of.sum)));
        self.line(format_args!("{name}_count{} {}", in_braces(labels), of.count));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.text, "{line}");
    }
}

fn in_braces(labels: &[Label<'_>]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.family("corerl_rt_cycles_total", Kind::Counter, "Control cycles executed.");
        page.sample("corerl_rt_cycles_total", &[("agent_id", "works/ph")], &Value::Count(12));
        page.family("corerl_rt_reward", Kind::Gauge, "Newest.");
        page.sample("corerl_rt_reward", &[], &Value::Number(-0.25));
        page.sample("corerl_rt_reward", &[], &Value::Number(f64::NAN));
        page.family("t_seconds", Kind::Histogram, "Times.");
        let distribution = Distribution { buckets: vec![(0.001, 2), (0.002, 3)], sum: 0.5, count: 4 };
        page.sample("t_seconds", &[("op", "read")], &Value::Distribution(distribution));
        let golden = "\
# HELP corerl_rt_cycles_total Control cycles executed.
# TYPE corerl_rt_cycles_total counter
corerl_rt_cycles_total{agent_id=\"works/ph\"} 12
# HELP corerl_rt_reward Newest.
# TYPE corerl_rt_reward gauge
corerl_rt_reward -0.25
corerl_rt_reward NaN
# HELP t_seconds Times.
# TYPE t_seconds histogram
t_seconds_bucket{op=\"read\",le=\"0.001\"} 2
t_seconds_bucket{op=\"read\",le=\"0.002\"} 3
t_seconds_bucket{op=\"read\",le=\"+Inf\"} 4
t_seconds_sum{op=\"read\"} 0.5
t_seconds_count{op=\"read\"} 4
";
        assert_eq!(page.into_text(), golden);
    }

    #[test]
    fn what_would_end_a_label_or_a_line_is_escaped() {
        assert_eq!(in_braces(&[("tag", "a\"b\\c\nd")]), "{tag=\"a\\\"b\\\\c\\nd\"}");
        let mut page = Page::default();
        page.family("a", Kind::Gauge, "one\ntwo \\ three");
        assert_eq!(page.into_text(), "# HELP a one\\ntwo \\\\ three\n# TYPE a gauge\n");
    }

    #[test]
    fn numbers_are_written_as_the_format_names_them() {
        let numbers = [f64::INFINITY, f64::NEG_INFINITY, 1e-7, 1e21];
        assert_eq!(numbers.map(number_text), ["+Inf", "-Inf", "0.0000001", "1000000000000000000000"]);
    }
}
