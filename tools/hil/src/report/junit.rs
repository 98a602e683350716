//! JUnit's XML, which every build server reads: a test case for each scenario.

use std::fmt::Write as _;

use chart::escaped;

use super::{Counts, Summary};
use crate::run::Outcome;

/// The file's text. A scenario that is broken is an error, one that failed has a failure for each expectation.
pub fn junit(summaries: &[Summary]) -> String {
    let counts = Counts::of(summaries);
    let took: f64 = summaries.iter().map(|summary| summary.took_s).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"corerl hil\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{took:.3}\">",
        summaries.len(),
        counts.failed,
        counts.broken,
        counts.skipped
    );
    summaries.iter().for_each(|summary| case(&mut xml, summary));
    xml + "</testsuite>\n"
}

fn case(xml: &mut String, summary: &Summary) {
    let (name, took) = (attribute(&summary.scenario), summary.took_s);
    let _ = writeln!(xml, "  <testcase classname=\"hil\" name=\"{name}\" time=\"{took:.3}\">");
    let why = attribute(summary.outcome.why().unwrap_or_default());
    match summary.outcome {
        Outcome::Broken(_) => _ = writeln!(xml, "    <error message=\"{why}\"/>"),
        Outcome::Skipped(_) => _ = writeln!(xml, "    <skipped message=\"{why}\"/>"),
        Outcome::Passed | Outcome::Failed => {}
    }
    for verdict in summary.verdicts.iter().filter(|verdict| !verdict.ok) {
        let message = format!("{}: {}, required {}", verdict.expectation, verdict.found, verdict.required);
        let _ = writeln!(xml, "    <failure message=\"{}\"/>", attribute(&message));
    }
    xml.push_str("  </testcase>\n");
}

/// Text inside of quotes: XML knows no control characters, and forgets line breaks.
fn attribute(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    escaped(&one_line.replace(char::is_control, "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn summary(name: &str, outcome: Outcome, ok: bool) -> Summary {
        let verdict = Verdict { expectation: "a < b".into(), found: "\"c\"\n".into(), required: "d".into(), ok };
        Summary {
            scenario: name.into(),
            about: String::new(),
            faults: Vec::new(),
            outcome,
            not_possible: Vec::new(),
            took_s: 1.5,
            verdicts: vec![verdict],
        }
    }

    #[test]
    fn every_scenario_is_a_case_and_says_what_was_wrong() {
        let all = [
            summary("one", Outcome::Passed, true),
            summary("two", Outcome::Failed, false),
            summary("three", Outcome::Skipped("e & f".into()), true),
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <testsuite name=\"corerl hil\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"4.500\">\n\
            \x20 <testcase classname=\"hil\" name=\"one\" time=\"1.500\">\n  </testcase>\n\
            \x20 <testcase classname=\"hil\" name=\"two\" time=\"1.500\">\n\
            \x20   <failure message=\"a &lt; b: &quot;c&quot; , required d\"/>\n  </testcase>\n\
            \x20 <testcase classname=\"hil\" name=\"three\" time=\"1.500\">\n\
            \x20   <skipped message=\"e &amp; f\"/>\n  </testcase>\n</testsuite>\n";
        assert_eq!(junit(&all), expected);
    }
}
