//! A learner that has lost its checkpoints comes back from what the historian has kept, and the runtime waits for it.

use rt_core::mode::Mode;
use rustix::process::Signal;
use shm_layout::{Counter, EventKind, EventRecord};
use tests::{Place, wait_for, wait_for_count, wait_for_more};

/// Cycles of the life that is remembered: so many have more than two hundred observations.
const LIFE: u64 = 1_000;

#[test]
fn a_learner_without_checkpoints_comes_back_from_the_history_and_nothing_runs_before_it_has() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(
        plant.url(),
        &[
            ("agent_name: agent", "agent_name: agent\nlearner: {rebuild: true}"),
            ("max_policy_age: off", "max_policy_age: 3s"),
            // What is learnt again may lie far from what was forgotten, and would rightly be refused beside it.
            ("canary: {decisions: 4}", "canary: off"),
            ("  period: 5ms", "  period: 5ms\n  rearm: after_gates\n  restarts: off"),
        ],
    );
    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("shadow");

    // The first learner of all has no past: it says so, and the nominal policy drives the plant until there is a better one.
    let learner = place.learner(&site, "checkpoints");
    learner.wait_until_it_says("it begins anew");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    assert_eq!(events.modes_until(Mode::Run), [Mode::Shadow, Mode::Run]);
    let mut historian = place.historian();
    wait_for_count(&counters, Counter::PoliciesAdopted, 3);
    wait_for_more(&counters, Counter::Cycles, LIFE);

    // It dies, and everything that it knew with it.
    forget(&place, learner);
    assert_eq!(events.modes_until(Mode::Fallback), [Mode::Fallback]);
    let generation = counters.get(Counter::PolicyGeneration);
    let mut learner = place.learner(&site, "checkpoints");
    let story = story_until_run(|| events.drain());
    assert_eq!(story, ["rebuild", "rebuilt", "run"]);
    wait_for_count(&counters, Counter::PolicyGeneration, generation + 1);
    assert!(learner.said().contains("the agent has learnt from its history"), "{}", learner.said());
    assert!(place.path("checkpoints").read_dir().unwrap().next().is_some(), "what was learnt again is kept at once");

    // The same with the runtime: a plant that was driven by nobody stays so until somebody knows it.
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
    std::fs::remove_dir_all(place.path("checkpoints")).unwrap();
    let mut runtime = place.runtime(&site, &[]);
    let mut events = runtime.events();
    let mut learner = place.learner(&site, "checkpoints");
    assert_eq!(story_until_run(|| events.drain()), ["shadow", "rebuild", "rebuilt", "run"]);
    wait_for_count(&runtime.counters(), Counter::PoliciesAdopted, 1);
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
    assert_eq!(historian.stop(Signal::TERM), 0);

    // Whoever has a checkpoint needs no history.
    std::fs::remove_dir_all(place.path("history")).unwrap();
    let mut runtime = place.runtime(&site, &[]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_mode("run");
    assert!(!learner.said().contains("history"), "{}", learner.said());
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

fn forget(place: &Place, mut learner: tests::Process) {
    learner.kill();
    std::fs::remove_dir_all(place.path("checkpoints")).unwrap();
}

/// What happens to modes and learner until it runs.
fn story_until_run(mut drain: impl FnMut() -> Vec<EventRecord>) -> Vec<&'static str> {
    let mut story = Vec::new();
    wait_for("RUN", || {
        story.extend(drain().iter().filter_map(chapter));
        story.contains(&"run").then_some(())
    });
    story
}

fn chapter(event: &EventRecord) -> Option<&'static str> {
    match event.kind()? {
        EventKind::ModeChange => u8::try_from(event.b).ok().and_then(Mode::from_number).map(Mode::name),
        EventKind::LearnerRebuild if event.text().contains("has learnt") => Some("rebuilt"),
        EventKind::LearnerRebuild => Some("rebuild"),
        _ => None,
    }
}
