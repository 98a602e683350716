//! The site that is measured when none is named: as large as a plant's agent usually is.

use std::fmt::Write as _;
use std::path::Path;

use rt_config::Site;
use rt_core::time::Span;

use crate::failure::{Exit, Failure};

/// 58 tags, of which 8 are setpoints: with four traces of each tag and two bounds of each setpoint, 248 columns and an
/// actor of 69 thousand parameters.
const SETPOINTS: usize = 8;
const MEASUREMENTS: usize = 50;

/// That site, observing and deciding in every cycle: the longest body there is.
pub(super) fn of_the_goals(period: Span) -> Result<Site, Failure> {
    rt_config::parse(&text(period), Path::new("bench.yaml"))
        .map(|loaded| loaded.site)
        .map_err(|refused| Failure::new(Exit::Internal, format_args!("the built-in site is refused:\n{refused}")))
}

fn text(period: Span) -> String {
    let period_ns = period.as_ns();
    let mut text = format!(
        "agent_name: bench\nlab: true\ncoreio: {{opc_connections: [{{connection_id: plant, opc_conn_url: \
         \"opc.tcp://localhost:4840\"}}]}}\ninteraction: {{obs_period: {period_ns}ns, action_period: \
         {period_ns}ns}}\npipeline:\n  reward: {{value: \"-abs({{M0}} - 0.5)\"}}\n  tags:\n"
    );
    // Writing into a string does not fail.
    for setpoint in 0..SETPOINTS {
        let _ = writeln!(
            text,
            "    - {{name: S{setpoint}, type: ai_setpoint, node_identifier: \"ns=2;s=S{setpoint}\", operating_range: [0, 1]}}"
        );
    }
    for tag in 0..MEASUREMENTS {
        let _ = writeln!(
            text,
            "    - {{name: M{tag}, node_identifier: \"ns=2;s=M{tag}\", operating_range: [-1, 2], expected_range: [0, 1]}}"
        );
    }
    let _ = writeln!(text, "runtime:\n  period: {period_ns}ns\n  limits:");
    for setpoint in 0..SETPOINTS {
        let _ = writeln!(text, "    S{setpoint}: {{rate: 1}}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_site_is_valid_and_as_large_as_it_says() {
        let site = of_the_goals(Span::from_ms(1)).unwrap();
        assert_eq!((site.tags.len(), site.setpoints.len()), (58, 8));
        assert_eq!(site.interaction.action_period, site.runtime.period.span());
    }
}
