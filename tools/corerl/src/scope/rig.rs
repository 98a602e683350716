//! A scope with records that somebody made up, for the tests of what lies around it.

use shm_layout::CycleLayout;

use super::acquisition::{Repeat, Timing};
use super::channel::Names;
use super::desk::Desk;
use super::engine::{Scope, Setup};

/// From cycle to cycle.
pub(super) const T_NS: u64 = 1_000_000;

/// A desk with a scope on two tags, a setpoint and facts; a sweep is 200 ms.
pub(super) fn desk(trigger: &str) -> Desk {
    let names = Names::for_tests(&[("level", "m"), ("flow", "m3/h")], &[("flow", "m3/h")]);
    let setup = Setup {
        channels: ["level", "flow.sent", "lateness", "mode"].map(String::from).to_vec(),
        trigger: trigger.parse().expect("a trigger"),
        timing: Timing::new(200 * T_NS, 0.25),
        repeat: Repeat::Normal,
    };
    let mut scope = Scope::new(setup, names, T_NS).expect("a sound setup");
    scope.begin();
    Desk::new("works/ph".to_owned(), Some(scope), None, None)
}

/// Puts cycles into the scope: a wave, a ramp, a spike at cycle 150, a change of mode at 300, records lost and a slot skipped.
pub(super) fn feed(scope: &mut Scope, cycles: std::ops::Range<u64>) {
    let layout = CycleLayout::new(1, 2).expect("a small layout");
    let mut words = vec![0; layout.words()];
    for cycle in cycles.filter(|cycle| !(360..370).contains(cycle)) {
        let record = layout.view_mut(&mut words).expect("as many words as it says");
        (record.head.cycle, record.head.release_ns) = (cycle, cycle * T_NS);
        record.head.skipped = if cycle == 370 { 1 } else { 0 };
        record.head.lateness_ns = if cycle == 310 { 90_000 } else { 2_000 + (cycle % 7) as u32 * 100 };
        record.head.mode = if cycle < 300 { 2 } else { 3 };
        record.head.mode_previous = if cycle <= 300 { 2 } else { 3 };
        record.tags[0].value = if (400..410).contains(&cycle) { f64::NAN } else { (cycle as f64 / 8.0).sin() };
        record.setpoints[0].sent = cycle as f64 / 100.0;
        scope.record(&layout.view(&words).expect("as many words as it says"));
    }
}
