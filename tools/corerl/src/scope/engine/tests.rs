use shm_layout::{CycleLayout, EventKind};

use super::*;

const T: u64 = 1_000_000;

struct Rig {
    scope: Scope,
    words: Vec<u64>,
    layout: CycleLayout,
}

impl Rig {
    fn new(trigger: &str, repeat: Repeat) -> Self {
        let names = Names::for_tests(&[("level", "m"), ("flow", "")], &[]);
        let setup = Setup {
            channels: vec!["level".into(), "lateness".into()],
            trigger: trigger.parse().unwrap(),
            timing: Timing::new(20 * T, 0.5),
            repeat,
        };
        let mut scope = Scope::new(setup, names, T).unwrap();
        scope.arm();
        let layout = CycleLayout::new(0, 2).unwrap();
        Self { scope, words: vec![0; layout.words()], layout }
    }

    fn record(&mut self, cycle: u64, skipped: u32, level: f64) {
        let record = self.layout.view_mut(&mut self.words).unwrap();
        (record.head.cycle, record.head.release_ns, record.head.skipped) = (cycle, cycle * T, skipped);
        (record.tags[0].value, record.tags[1].value) = (level, -level);
        self.scope.record(&self.layout.view(&self.words).unwrap());
    }

    fn records(&mut self, cycles: std::ops::Range<u64>, level: impl Fn(u64) -> f64) {
        cycles.for_each(|cycle| self.record(cycle, 0, level(cycle)));
    }
}

#[test]
fn a_sweep_holds_the_channels_around_the_edge_of_a_signal_that_is_not_shown() {
    let mut rig = Rig::new("flow falling -30.5", Repeat::Single);
    rig.records(0..60, |cycle| cycle as f64);
    let capture = rig.scope.last().unwrap();
    assert_eq!((capture.at_trigger().unwrap().cycle, capture.samples.len()), (31, 20));
    assert_eq!((capture.samples[0].cycle, capture.samples[0].values[0], capture.samples[0].values[1]), (21, 21.0, 0.0));
    assert!(capture.samples[0].values[2].is_nan());
    assert_eq!((rig.scope.state(), rig.scope.counts().records), (State::Stopped, 60));
}

#[test]
fn what_was_not_read_is_told_apart_from_what_was_not_run() {
    let mut rig = Rig::new("level rising 30", Repeat::Single);
    rig.records(0..31, |cycle| cycle as f64);
    rig.record(34, 0, 0.0);
    rig.record(37, 2, 0.0);
    rig.record(40, 1, 0.0);
    rig.record(50, 0, 0.0);
    let capture = rig.scope.last().unwrap();
    assert_eq!((capture.lost(), capture.skipped()), (3, 2), "what lies behind the sweep is not its own");
    let Counts { records, lost, skipped, .. } = rig.scope.counts();
    assert_eq!((records, lost, skipped), (35, 13, 3));
    assert_eq!(records + lost + skipped, 51, "every slot is accounted for");
}

#[test]
fn an_event_triggers_and_events_that_were_missed_are_counted() {
    let mut rig = Rig::new("fault", Repeat::Single);
    rig.records(0..30, |_| 0.0);
    rig.scope.event(&EventRecord::new(EventKind::Armed, 5, 0));
    rig.scope.event(&EventRecord::new(EventKind::Trip, 32, 0));
    rig.scope.missed(Missed::default(), Missed { lost: 3, damaged: true });
    rig.records(30..60, |_| 0.0);
    assert_eq!(rig.scope.last().unwrap().at_trigger().unwrap().cycle, 32);
    assert_eq!((rig.scope.counts().events_lost, rig.scope.counts().damaged), (3, 1));
}

#[test]
fn a_restart_keeps_the_sweep_under_way_and_triggers_again_with_the_tags_that_are_there_then() {
    let mut rig = Rig::new("level rising 30", Repeat::Normal);
    rig.records(0..33, |cycle| cycle as f64);
    rig.scope.ended();
    let capture = rig.scope.last().unwrap();
    assert_eq!((capture.ended, capture.samples.last().unwrap().cycle), (true, 32));

    rig.scope.follow(Names::for_tests(&[("flow", ""), ("other", "")], &[]), T);
    assert_eq!((rig.scope.channels()[0].signal, rig.scope.is_blind()), (None, true));
    rig.records(0..60, |cycle| cycle as f64);
    assert!(rig.scope.last().unwrap().ended, "the trigger's tag is gone, too");
    assert_eq!(rig.scope.counts().lost, 0);

    rig.scope.ended();
    rig.scope.follow(Names::for_tests(&[("flow", ""), ("level", "m")], &[]), T);
    rig.records(0..60, |cycle| -(cycle as f64));
    let capture = rig.scope.last().unwrap();
    assert_eq!((capture.ended, capture.at_trigger().unwrap().values[0]), (false, 30.0));
}

#[test]
fn what_rolls_by_stays_as_it_is_when_it_is_stopped() {
    let mut rig = Rig::new("none", Repeat::Normal);
    rig.records(0..100, |cycle| cycle as f64);
    let seen = |rig: &Rig| {
        let picture = rig.scope.picture().unwrap();
        (picture.samples.first().unwrap().cycle, picture.samples.last().unwrap().cycle)
    };
    assert_eq!(seen(&rig), (79, 99));
    rig.scope.stop();
    rig.records(100..200, |cycle| cycle as f64);
    assert_eq!(seen(&rig), (79, 99));
    rig.scope.arm();
    rig.records(200..201, |cycle| cycle as f64);
    assert_eq!(seen(&rig), (180, 200));
}

#[test]
fn what_cannot_be_kept_or_found_is_refused_and_nothing_changes() {
    let mut rig = Rig::new("none", Repeat::Normal);
    assert!(rig.scope.set_timing(Timing::new(SAMPLES_MAX as u64 * T + T, 0.5)).unwrap_err().contains("too long"));
    assert!(rig.scope.set_timing(Timing::new(T, 0.5)).unwrap_err().contains("longer time base"));
    assert!(rig.scope.set_trigger("levle rising 1".parse().unwrap()).unwrap_err().contains("did you mean `level`"));
    assert!(rig.scope.set_channels(&["nothing".into()]).is_err());
    assert_eq!(
        (rig.scope.timing().span_ns, rig.scope.trigger(), rig.scope.channels().len()),
        (20 * T, &Trigger::None, 2)
    );
    rig.scope.set_channels(&["flow".into()]).unwrap();
    rig.records(0..5, |cycle| cycle as f64);
    assert_eq!(rig.scope.picture().unwrap().samples[1].values[0], -1.0);
}
