//! A plant that takes its setpoints back when the heartbeat stands still, and gives them back when somebody there says so.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use io_loop::{BoundNode, Demand, FieldBus, OpcUa, Reading, Scale, WriteResult};
use rt_core::ports::Clock as _;
use rt_core::time::{MonoTime, Span};
use rt_daemon::Clocks;
use rt_sys::MonotonicClock;
use rustix::process::Signal;
use shm_layout::Counter;
use tests::{Place, wait_for, wait_for_count, wait_for_more};
use ua_session::Target;

/// Where the plant's own logic holds its setpoint.
const NOMINAL: f64 = 0.25;
/// The mode tag of the setpoint: whether the plant lets a controller set it.
const MODE_TAG: (&str, &str) = (
    "    - name: level",
    "    - {name: remote, type: meta, node_identifier: \"nsu=urn:corerl:plant;s=saturation.Remote\", stale_after: 20s}\n    - name: level",
);
const OPERATOR_WHEN: (&str, &str) = ("rate: 0.2}", "rate: 0.2, operator_when: \"{remote} < 0.5\"}");

/// Somebody at the plant.
struct Panel(OpcUa);

fn soon() -> MonoTime {
    MonotonicClock::new().now() + Span::from_ms(10_000)
}

impl Panel {
    fn at(url: &str) -> Self {
        let target = Target { session_name: "panel".to_owned(), ..Target::lab(url, "urn:corerl:panel") };
        let node = |name: &str| BoundNode {
            name: name.to_owned(),
            address: format!("nsu=urn:corerl:plant;s=saturation.{name}").parse().unwrap(),
            demand: Demand::Number,
            scale: Scale::default(),
        };
        let clock = Arc::new(Clocks::default());
        let mut bus = OpcUa::new(target, &[], clock, vec![node("Remote"), node("u")], vec![node("Rearm")]).unwrap();
        bus.connect(soon()).unwrap_or_else(|failure| panic!("{}", failure.message));
        Self(bus)
    }

    /// Whether a controller has the setpoint, and its value.
    fn look(&mut self) -> (bool, f64) {
        let mut readings = [Reading::MISSING; 2];
        self.0.read(&mut readings, soon()).unwrap();
        (readings[0].value != 0.0, readings[1].value)
    }

    fn rearm(&mut self) {
        let mut results = [WriteResult::NotAsked];
        self.0.write(&[Some(1.0)], &mut results, soon()).unwrap();
        assert_eq!(results, [WriteResult::Done]);
    }
}

#[test]
fn f91_a_plant_that_misses_the_heartbeat_takes_over_and_gives_nothing_back_before_it_is_armed_again() {
    let place = Place::new();
    let plant = place.plant_with(&["--heartbeat-timeout", "500ms"]);
    let site = place.site(plant.url(), &[MODE_TAG, OPERATOR_WHEN]);
    let mut panel = Panel::at(plant.url());
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::Heartbeats, 3);
    assert_eq!(runtime.status().with_operator, ["u"], "the plant's own logic has it at first");
    assert_eq!(counters.get(Counter::SetpointsWritten), 0);
    panel.rearm();
    runtime.wait_for_status("the setpoint", |status| status.with_operator.is_empty());
    wait_for("the policy to move it", || (panel.look().1 > NOMINAL + 0.02).then_some(()));

    runtime.process.signal(Signal::STOP);
    wait_for("the plant to take over", || (panel.look() == (false, NOMINAL)).then_some(()));
    runtime.process.signal(Signal::CONT);
    let written = counters.get(Counter::SetpointsWritten);
    wait_for_more(&counters, Counter::Heartbeats, 8);
    runtime.wait_for_status("the loss of the setpoint", |status| status.with_operator == ["u"]);
    assert_eq!(panel.look(), (false, NOMINAL), "it came back by itself");
    assert_eq!(
        counters.get(Counter::SetpointsWritten),
        written,
        "the plant accepted a write that it does not carry out"
    );

    // The plant has moved it, so that the operator here is asked, too.
    panel.rearm();
    wait_for("the plant to give it back", || panel.look().0.then_some(()));
    assert!(place.corerl(&["agent", "hand-back", "u", "--cause", "f91"]).status().unwrap().success());
    runtime.wait_for_status("the setpoint", |status| status.with_operator.is_empty() && status.mode == "run");
    wait_for("the policy to move it", || (panel.look().1 > NOMINAL + 0.02).then_some(()));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn f28_a_runtime_that_aborts_leaves_the_plant_to_itself_and_the_next_one_writes_nothing_unasked() {
    let place = Place::new();
    let plant = place.plant_with(&["--heartbeat-timeout", "500ms"]);
    let site = place.site(plant.url(), &[MODE_TAG, OPERATOR_WHEN]);
    let mut panel = Panel::at(plant.url());
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    // Nobody can give it to somebody of whom the plant has seen no heartbeat yet.
    wait_for_count(&runtime.counters(), Counter::Heartbeats, 3);
    panel.rearm();
    wait_for("the policy to move it", || (panel.look().1 > NOMINAL + 0.02).then_some(()));

    // No panic can be reached from the cycle, which `cargo xtask purity` proves; this is how one elsewhere ends the process.
    runtime.process.signal(Signal::ABORT);
    assert_eq!(runtime.process.wait().signal(), Some(Signal::ABORT.as_raw()));
    wait_for("the plant to take over", || (panel.look() == (false, NOMINAL)).then_some(()));

    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("shadow");
    let counters = runtime.counters();
    wait_for_more(&counters, Counter::Cycles, 50);
    assert_eq!((counters.get(Counter::SetpointsWritten), panel.look()), (0, (false, NOMINAL)));
    // The plant would not let it write, so what it would do is asked of itself.
    let status = runtime.status();
    assert_eq!((status.mode.as_str(), status.armed), ("shadow", false));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}
