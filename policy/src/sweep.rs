//! The sweep: an agent that knows nothing yet takes its setpoints slowly through their scale and back.
//!
//! What a setpoint does to a slow plant shows when it is held as long as the plant takes. Noise around a mean does not show
//! it, since the plant averages it away, and a plant that has come to the end of a range, where nothing changes, is not led
//! out of it. A sweep that is slow for the plant passes all of its steady states, as identification begins (Ljung 1999,
//! "System Identification: Theory for the User", 2nd edition, section 13.3).
//!
//! Each setpoint begins at its nominal value, or at an end of its scale, and goes up to the upper end, down to the other one
//! and back, and so on; several of them at different speeds, so that they meet in ever other places. The noise is that of the
//! policy. It lasts until the learner has made so many updates: a policy that has learnt long does not sweep, whoever runs it.
//!
//! What the agent finds first afterwards is what is near: of several maxima rather the one next to where the sweep ends.
//!
//! The target is an action like any other: what the agent's bounds and the envelope leave of it is written.

use rt_config::{Site, SweepStart};
use rt_core::carry::Carrier;

use crate::pipeline::normalised;

/// Speeds are spread evenly between one and two times the first one's, whatever the number of setpoints: the golden ratio.
const SPREAD: f64 = 0.618_033_988_749_895;

/// The sweep of one agent.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    /// The learner's updates until it ends; 0 without one.
    until_updates: u64,
    /// Decisions of the first setpoint's way there and back.
    period: f64,
    /// Where the setpoints begin, parts of the period.
    phases: Vec<f64>,
    /// Its decisions so far, the present one included.
    decisions: u64,
}

impl Sweep {
    pub(crate) fn new(site: &Site) -> Self {
        let none = rt_config::Sweep { until_updates: 0, period: 2, start: SweepStart::Nominal };
        let rt_config::Sweep { until_updates, period, start } = site.agent.sweep.unwrap_or(none);
        let phase = |setpoint: &rt_config::Setpoint| match start {
            SweepStart::Low => 0.0,
            SweepStart::High => 0.5,
            SweepStart::Nominal => normalised(setpoint.nominal, setpoint.scale).clamp(0.0, 1.0) / 2.0,
        };
        let phases = site.setpoints.iter().map(phase).collect();
        Self { until_updates, period: f64::from(period), phases, decisions: 0 }
    }

    /// Takes a decision that explores in; whether it is one of the sweep. The nominal policy does not sweep, for then nobody
    /// learns yet; nor does one from elsewhere, of which nobody says how much it has learnt.
    ///
    /// # Real-time
    /// Wait-free, a fixed number of operations.
    pub(crate) fn tick(&mut self, updates: u64) -> bool {
        let is_on = updates > 0 && updates < self.until_updates;
        self.decisions = self.decisions.saturating_add(u64::from(is_on));
        is_on
    }

    /// Where the present decision takes a setpoint, in [0, 1].
    ///
    /// # Real-time
    /// Wait-free, a fixed number of operations.
    pub(crate) fn target(&self, setpoint: usize) -> f32 {
        let speed = 1.0 + (SPREAD * setpoint as f64).fract();
        let phase = self.phases.get(setpoint).copied().unwrap_or_default();
        let at = (phase + speed * self.decisions as f64 / self.period).fract();
        (1.0 - (2.0 * at - 1.0).abs()) as f32
    }

    /// Hands its memory over. See [`rt_core::carry`].
    ///
    /// # Real-time
    /// As wait-free as the carrier.
    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { until_updates: _, period: _, phases: _, decisions } = self;
        carrier.carry(decisions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Luggage;

    fn sweep(nominal: &[f64]) -> Sweep {
        let phases = nominal.iter().map(|nominal| nominal / 2.0).collect();
        Sweep { until_updates: 1_000, period: 100.0, phases, decisions: 0 }
    }

    #[test]
    fn it_goes_from_the_nominal_value_up_and_down_through_the_whole_scale() {
        let mut sweep = sweep(&[0.25]);
        let mut seen = vec![sweep.target(0)];
        for _ in 0..100 {
            assert!(sweep.tick(1));
            seen.push(sweep.target(0));
        }
        assert!((seen[0] - 0.25).abs() < 1e-6 && (seen[100] - 0.25).abs() < 1e-6 && seen[1] > seen[0]);
        assert!(seen.windows(2).all(|pair| ((pair[1] - pair[0]).abs() - 0.02).abs() < 0.02 + 1e-6));
        let reached = |end: f32| seen.iter().any(|x| (x - end).abs() < 0.02);
        assert!(reached(0.0) && reached(1.0));
    }

    #[test]
    fn it_begins_where_the_site_says() {
        let first = |start: &str| {
            let sweep = format!("\nagent:\n  sweep: {{decisions: 100, period: 50, start: {start}}}\n");
            let text = rt_config::example().replace("\nagent:\n", &sweep);
            let site = rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site;
            let nominal = normalised(site.setpoints[0].nominal, site.setpoints[0].scale) as f32;
            (Sweep::new(&site).target(0), nominal)
        };
        assert_eq!((first("low").0, first("high").0), (0.0, 1.0));
        let (target, nominal) = first("nominal");
        assert!((target - nominal).abs() < 1e-6 && nominal > 0.0 && nominal < 1.0, "{target} {nominal}");
        let without = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        assert!(!Sweep::new(&without).tick(1));
    }

    #[test]
    fn several_setpoints_meet_in_ever_other_places() {
        let mut sweep = sweep(&[0.5; 3]);
        let mut cells = std::collections::BTreeSet::new();
        for _ in 0..4_000 {
            assert!(sweep.tick(1));
            cells.insert([0, 1, 2].map(|setpoint| (sweep.target(setpoint) * 4.0) as u8));
        }
        assert!(cells.len() >= 60, "{} of 64", cells.len());
    }

    #[test]
    fn it_ends_with_what_is_learnt_and_does_not_begin_before() {
        let mut sweep = sweep(&[0.5]);
        assert!(!sweep.tick(0) && sweep.tick(1) && sweep.tick(999) && !sweep.tick(1_000));
        assert!(!Sweep { until_updates: 0, ..sweep }.tick(1), "without one");
    }

    #[test]
    fn a_successor_goes_on_with_it() {
        let (mut one, mut other) = (sweep(&[0.5]), sweep(&[0.5]));
        (0..17).for_each(|_| assert!(one.tick(1)));
        let mut luggage = Luggage::default();
        one.carry(&mut luggage);
        luggage.arrive();
        other.carry(&mut luggage);
        assert!(luggage.is_unpacked());
        assert_eq!(one.target(0), other.target(0));
    }
}
