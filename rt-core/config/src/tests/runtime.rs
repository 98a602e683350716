//! The section `runtime`: threads, deadlines, trips, policies.

use rt_core::time::Span;

use super::{BASE, accepted, assert_error, assert_notice};

#[test]
fn the_runtime_section_is_checked() {
    let runtime = |line: &str| format!("runtime:\n  {line}\n");
    assert_error("runtime:\n", &runtime("priorities: {control: 50, io: 60}"), "60}", "not below", "");
    assert_error("runtime:\n", &runtime("overruns: {m: 9, n: 8}"), "9, n", "can never be", "");
    assert_error(
        "runtime:\n",
        &runtime("setpoint_expiry: 5ms"),
        "5ms\n  period",
        "expire before they are sent",
        "1s or more",
    );
    assert_error("runtime:\n", &runtime("inference: {m: 9, n: 8}"), "9, n", "9 late decisions in 8", "");
    assert_error("runtime:\n", &runtime("inference: {within: 0s}"), "0s}", "zero", "");
    assert_error("runtime:\n", &runtime("chatter: {m: 65}"), "65}", "whole number", "");
    assert_error("runtime:\n", &runtime("chatter: {stroke: 0}"), "0}", "0 is not above 0", "");
    assert_error("runtime:\n", &runtime("t_settle: 0s"), "0s", "zero", "");
    let site = accepted(BASE).site;
    assert_eq!((site.runtime.t_settle, site.runtime.decide_within), (Span::from_ms(3_000), Span::from_ns(2_500_000)));
    assert!(site.runtime.chatter.is_some());
    assert_eq!(accepted(&BASE.replacen("runtime:\n", &runtime("chatter: off"), 1)).site.runtime.chatter, None);
    assert_error("runtime:\n", &runtime("canary: {saturation: 1.5}"), "1.5", "1.5 is not at least 0 and at most 1", "");
    assert_error("runtime:\n", &runtime("canary: {decisions: 0}"), "0}", "whole number", "");
    assert_error("runtime:\n", &runtime("probation: {reward: 0}"), "0}", "0 is not above 0", "");
    assert_eq!(site.runtime.canary.map(|canary| (canary.decisions, canary.divergence)), Some((16, 0.5)));
    assert_eq!(site.runtime.probation.map(|probation| (probation.decisions, probation.reward)), Some((64, 4.0)));
    let off = accepted(&BASE.replacen("runtime:\n", &runtime("canary: off\n  probation: off"), 1)).site.runtime;
    assert_eq!((off.canary, off.probation), (None, None));
    assert_error("runtime:\n", &runtime("record_span: 2h"), "2h", "fill the memory", "");
    assert_error("runtime:\n", &runtime("max_policy_age: 0s"), "0s", "too old", "off");
    assert_error("runtime:\n", &runtime("phase: 5ms"), "5ms\n  period", "not below the control period", "");
    assert_error("runtime:\n", &runtime("spin: 1251us"), "1251us", "a quarter of the control period", "or auto");
    assert_error("runtime:\n", &runtime("spin: on"), "on\n  period", "where a margin belongs", "auto, off");
    assert_error("seed: 7", "seed: 7\nagent: {gamma: 1}", "1}", "1 is not at least 0 and below 1", "");
    assert_notice("runtime:\n", &runtime("record_span: 1s"), "cause of an incident");
    assert_eq!(
        accepted(&BASE.replacen("runtime:\n", &runtime("max_policy_age: off"), 1)).site.runtime.max_policy_age,
        None
    );
}

#[test]
fn a_learner_has_the_cpus_and_the_niceness_that_it_is_given() {
    let runtime = |line: &str| format!("runtime:\n  {line}\n");
    assert_error("runtime:\n", &runtime("cpus: {learner: []}"), "[]", "needs a CPU", "");
    assert_error("runtime:\n", &runtime("priorities: {learner_nice: 20}"), "20}", "whole number", "");
    let placed = accepted(&BASE.replacen("runtime:\n", &runtime("cpus: {control: 1, learner: [2, 1]}"), 1));
    assert_eq!((placed.site.runtime.learner_cpus, placed.site.runtime.learner_nice), (Some(vec![2, 1]), 5));
    assert!(placed.notices.iter().any(|notice| notice.message.contains("control and learner share a CPU")));
    assert_eq!(accepted(BASE).site.runtime.learner_cpus, None);
}

#[test]
fn the_flight_recorder_is_on_with_what_suits_the_records_and_can_be_told_otherwise() {
    let runtime = |line: &str| format!("runtime:\n  {line}\n");
    let with = |line: &str| accepted(&BASE.replacen("runtime:\n", &runtime(line), 1)).site.runtime.flight;
    let usual = accepted(BASE).site.runtime.flight.unwrap();
    assert_eq!((usual.before, usual.after, usual.dir), (Span::from_ms(30_000), Span::from_ms(5_000), None));
    assert_eq!((usual.on.len(), usual.budget_bytes), (3, 256 << 20));
    assert_eq!(with("recorder: {flight: off}"), None);
    assert_eq!(with("record_span: 2s").unwrap().before, Span::from_ms(2_000));
    let told = with("recorder: {flight: {on: [trip], dir: flights, after: 1s, pause: 0s, budget_mib: 1}}").unwrap();
    assert_eq!((told.on, told.pause, told.budget_bytes), (vec![crate::FlightTrigger::Trip], Span::ZERO, 1 << 20));
    assert!(told.dir.unwrap().ends_with("flights"));
    let wrong = |line: &str, at: &str, message: &str| {
        assert_error("runtime:\n", &runtime(&format!("recorder: {{flight: {{{line}}}}}")), at, message, "");
    };
    wrong("before: 90s", "90s}", "reach less far back than");
    wrong("after: 0s", "0s}", "zero");
    wrong("after: 2h", "2h}", "no incident");
    wrong("on: [trips]", "trips", "trip");
    wrong("budget_mib: 0", "0}", "whole number");
}
