//! When a sweep begins: triggers as people write them, and what finds them in the records.

use std::fmt;
use std::str::FromStr;

use footage::words::event_named;
use rt_core::mode::Mode;
use shm_layout::{CycleHead, EventKind, EventRecord};

/// What a sweep waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Trigger {
    /// Nothing: it begins at once.
    #[default]
    None,
    /// A signal crosses a level, having been beyond it by the hysteresis before.
    Edge { signal: String, slope: Slope, level: f64, hysteresis: f64 },
    /// A signal is above or below a level.
    Level { signal: String, side: Side, level: f64 },
    /// The mode changes: to this one, or to any.
    Mode(Option<Mode>),
    /// A slot passed without a cycle.
    LostSlot,
    /// An event of one of these kinds.
    Event(Vec<EventKind>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slope {
    Rising,
    Falling,
    Either,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    Below,
}

impl Slope {
    const ALL: [(&'static str, Self); 3] =
        [("rising", Self::Rising), ("falling", Self::Falling), ("either", Self::Either)];
}

impl Side {
    const ALL: [(&'static str, Self); 2] = [("above", Self::Above), ("below", Self::Below)];
}

/// How triggers are written, for messages and help.
pub(super) const GRAMMAR: &str = "none | CHANNEL rising|falling|either LEVEL [hysteresis H] | CHANNEL above|below LEVEL | \
                                  mode | mode to MODE | lost | fault | trip | event KIND";

impl Trigger {
    /// The name of the channel that it looks at, if it looks at one.
    pub(super) fn signal(&self) -> Option<&str> {
        match self {
            Self::Edge { signal, .. } | Self::Level { signal, .. } => Some(signal),
            Self::None | Self::Mode(_) | Self::LostSlot | Self::Event(_) => None,
        }
    }

    /// The level that the channel is compared with.
    pub(super) fn level(&self) -> Option<f64> {
        match self {
            Self::Edge { level, .. } | Self::Level { level, .. } => Some(*level),
            Self::None | Self::Mode(_) | Self::LostSlot | Self::Event(_) => None,
        }
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let read = match words.as_slice() {
            ["none"] => Ok(Self::None),
            ["mode"] => Ok(Self::Mode(None)),
            ["mode", "to", mode] => mode_of(mode).map(|mode| Self::Mode(Some(mode))),
            ["lost"] => Ok(Self::LostSlot),
            ["fault"] => Ok(Self::Event(vec![EventKind::Fault, EventKind::Trip])),
            ["trip"] => Ok(Self::Event(vec![EventKind::Trip])),
            ["event", kind] => event_named(kind).map(|kind| Self::Event(vec![kind])),
            [signal @ .., relation, level, "hysteresis", width] => of_signal(signal, relation, level, Some(width)),
            [signal @ .., relation, level] => of_signal(signal, relation, level, None),
            _ => Err("it does not say what to wait for".to_owned()),
        };
        read.map_err(|why| format!("`{text}` is no trigger, {why}: write {GRAMMAR}"))
    }
}

fn mode_of(name: &str) -> Result<Mode, String> {
    let names = Mode::ALL.map(Mode::name);
    Mode::ALL
        .into_iter()
        .find(|mode| mode.name() == name)
        .ok_or_else(|| format!("there is no mode `{name}` (there are {})", names.join(", ")))
}

fn of_signal(signal: &[&str], relation: &str, level: &str, hysteresis: Option<&str>) -> Result<Trigger, String> {
    let signal = signal.join(" ");
    if signal.is_empty() {
        return Err("it names no channel".to_owned());
    }
    let slope = Slope::ALL.into_iter().find(|(name, _)| *name == relation);
    let side = Side::ALL.into_iter().find(|(name, _)| *name == relation);
    match (slope, side, hysteresis) {
        (Some((_, slope)), ..) => {
            let hysteresis = hysteresis.map_or(Ok(0.0), finite)?;
            if hysteresis < 0.0 {
                return Err("its hysteresis is below zero".to_owned());
            }
            Ok(Trigger::Edge { signal, slope, level: finite(level)?, hysteresis })
        }
        (None, Some((_, side)), None) => Ok(Trigger::Level { signal, side, level: finite(level)? }),
        (None, Some(_), Some(_)) => Err("a level has no hysteresis".to_owned()),
        (None, None, _) => Err(format!("`{relation}` is not known")),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("`{text}` is no number"))
}

/// As it is written: what is shown can be typed in again.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Edge { signal, slope, level, hysteresis } => {
                let slope = Slope::ALL.into_iter().find(|(_, known)| known == slope).map_or("", |(name, _)| name);
                write!(f, "{signal} {slope} {level}")?;
                if *hysteresis > 0.0 { write!(f, " hysteresis {hysteresis}") } else { Ok(()) }
            }
            Self::Level { signal, side, level } => {
                let side = Side::ALL.into_iter().find(|(_, known)| known == side).map_or("", |(name, _)| name);
                write!(f, "{signal} {side} {level}")
            }
            Self::Mode(None) => f.write_str("mode"),
            Self::Mode(Some(mode)) => write!(f, "mode to {}", mode.name()),
            Self::LostSlot => f.write_str("lost"),
            Self::Event(kinds) => match kinds.as_slice() {
                [kind] => write!(f, "event {}", kind.name()),
                _ => f.write_str("fault"),
            },
        }
    }
}

/// Finds the edges of a signal, each once: one counts when the level is reached, after the signal was beyond it by the
/// hysteresis on the other side. A value that is none changes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeFinder {
    /// -1 turns the signal over, and a falling edge into a rising one.
    sign: f64,
    level: f64,
    hysteresis: f64,
    ready: bool,
}

impl EdgeFinder {
    pub(super) const fn rising(level: f64, hysteresis: f64) -> Self {
        Self { sign: 1.0, level, hysteresis, ready: false }
    }

    const fn falling(level: f64, hysteresis: f64) -> Self {
        Self { sign: -1.0, level: -level, hysteresis, ready: false }
    }

    /// Whether this value completes an edge.
    pub(super) fn found(&mut self, value: f64) -> bool {
        let value = self.sign * value;
        let found = self.ready && value >= self.level;
        if value >= self.level {
            self.ready = false;
        } else if value <= self.level - self.hysteresis {
            self.ready = true;
        }
        found
    }
}

/// Looks for a trigger, record by record.
#[derive(Clone, Debug)]
pub(super) struct Detector {
    trigger: Trigger,
    edges: [Option<EdgeFinder>; 2],
    mode: Option<u8>,
}

impl Detector {
    pub(super) fn new(trigger: Trigger) -> Self {
        let edges = match trigger {
            Trigger::Edge { slope, level, hysteresis, .. } => [
                (slope != Slope::Falling).then(|| EdgeFinder::rising(level, hysteresis)),
                (slope != Slope::Rising).then(|| EdgeFinder::falling(level, hysteresis)),
            ],
            _ => [None, None],
        };
        Self { trigger, edges, mode: None }
    }

    pub(super) fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// Forgets what was seen: other records follow.
    pub(super) fn reset(&mut self) {
        *self = Self::new(std::mem::take(&mut self.trigger));
    }

    /// Whether this record triggers; `value` is that of the trigger's channel. To be told of every record, also while
    /// nobody waits for a trigger.
    pub(super) fn record(&mut self, head: &CycleHead, value: f64) -> bool {
        let mode_before = self.mode.replace(head.mode).unwrap_or(head.mode_previous);
        match &self.trigger {
            Trigger::None => true,
            Trigger::Edge { .. } => {
                let [rising, falling] = &mut self.edges;
                let found = |edge: &mut Option<EdgeFinder>| edge.as_mut().is_some_and(|edge| edge.found(value));
                // Both have to see every value.
                found(rising) | found(falling)
            }
            Trigger::Level { side: Side::Above, level, .. } => value > *level,
            Trigger::Level { side: Side::Below, level, .. } => value < *level,
            Trigger::Mode(to) => mode_before != head.mode && to.is_none_or(|to| to as u8 == head.mode),
            Trigger::LostSlot => head.skipped > 0,
            Trigger::Event(_) => false,
        }
    }

    /// Whether this event triggers.
    pub(super) fn event(&self, event: &EventRecord) -> bool {
        matches!(&self.trigger, Trigger::Event(kinds) if event.kind().is_some_and(|kind| kinds.contains(&kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shm_layout::CycleLayout;

    fn read(text: &str) -> Trigger {
        text.parse().unwrap()
    }

    fn head() -> CycleHead {
        let layout = CycleLayout::new(0, 0).unwrap();
        *layout.view(&vec![0; layout.words()]).unwrap().head
    }

    fn found_in(trigger: &str, values: &[f64]) -> Vec<usize> {
        let mut detector = Detector::new(read(trigger));
        let head = head();
        (0..values.len()).filter(|&place| detector.record(&head, values[place])).collect()
    }

    #[test]
    fn what_is_shown_of_a_trigger_can_be_typed_in_again() {
        for text in [
            "none",
            "level rising 0.5",
            "u.sent falling -2 hysteresis 0.1",
            "flow of feed either 1",
            "level above 3",
            "lateness below 1e-7",
            "mode",
            "mode to hold",
            "lost",
            "fault",
            "event trip",
            "event policy_adopted",
        ] {
            assert_eq!(read(&read(text).to_string()), read(text), "{text}");
        }
        assert_eq!(read("  trip "), read("event trip"));
        assert_eq!(read("flow of feed either 1").signal(), Some("flow of feed"));
    }

    #[test]
    fn what_is_no_trigger_is_answered_with_what_is_wrong_and_what_to_write() {
        for (text, why) in [
            ("", "does not say what to wait for"),
            ("level rising much", "`much` is no number"),
            ("level rising nan", "`nan` is no number"),
            ("level soaring 1", "`soaring` is not known"),
            ("rising 1", "names no channel"),
            ("level rising 1 hysteresis -1", "below zero"),
            ("level above 1 hysteresis 1", "a level has no hysteresis"),
            ("mode to run_away", "there are startup, shadow, run, hold"),
            ("event trips", "did you mean `trip`?"),
        ] {
            let message = text.parse::<Trigger>().unwrap_err();
            assert!(message.contains(why) && message.contains("mode to MODE"), "{message}");
        }
    }

    #[test]
    fn an_edge_counts_once_and_again_only_after_the_hysteresis() {
        let values = [1.0, 0.6, 0.4, 0.5, 0.49, 0.51, 0.4, 0.9, f64::NAN, 0.3, f64::NAN, 0.7];
        assert_eq!(found_in("x rising 0.5", &values), [3, 5, 7, 11]);
        assert_eq!(found_in("x rising 0.5 hysteresis 0.1", &values), [3, 7, 11]);
        assert_eq!(found_in("x falling 0.5", &values), [2, 6, 9]);
        assert_eq!(found_in("x either 0.5 hysteresis 0.15", &values), [2, 9, 11]);
    }

    #[test]
    fn a_level_triggers_as_long_as_it_holds_and_no_value_is_neither_above_nor_below() {
        let values = [1.0, 2.0, f64::NAN, 3.0, f64::INFINITY, 0.0];
        assert_eq!(found_in("x above 1", &values), [1, 3, 4]);
        assert_eq!(found_in("x below 1", &values), [5]);
    }

    #[test]
    fn a_change_of_mode_is_seen_also_when_the_record_with_it_was_lost() {
        let mut detector = Detector::new(read("mode to hold"));
        let mut record = |mode: Mode, mode_previous: Mode| {
            let mut head = head();
            (head.mode, head.mode_previous) = (mode as u8, mode_previous as u8);
            detector.record(&head, f64::NAN)
        };
        assert!(!record(Mode::Run, Mode::Shadow), "to another mode");
        assert!(record(Mode::Hold, Mode::Run));
        assert!(!record(Mode::Hold, Mode::Hold));
        assert!(!record(Mode::Run, Mode::Run));
        assert!(record(Mode::Hold, Mode::Hold), "the record that changed it was lost");
    }

    #[test]
    fn lost_slots_and_events_trigger() {
        let mut head = head();
        let mut detector = Detector::new(read("lost"));
        assert!(!detector.record(&head, 0.0));
        head.skipped = 1;
        assert!(detector.record(&head, 0.0));
        let detector = Detector::new(read("fault"));
        assert!(detector.event(&EventRecord::new(EventKind::Trip, 1, 2)));
        assert!(!detector.event(&EventRecord::new(EventKind::Armed, 1, 2)));
    }

    proptest! {
        /// Against the definition, told from the whole of the values: an edge ends at the first value at the level or above
        /// after one that lies below it by the hysteresis.
        #[test]
        fn every_edge_is_found_once(values in prop::collection::vec(-4i8..=4, 0..60), level in -2i8..=2, width in 0u8..=3) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let (level, width) = (f64::from(level), f64::from(width));
            let is_low = |value: f64| value < level && value <= level - width;
            let expected: Vec<usize> = (0..values.len())
                .filter(|&at| values[at] >= level)
                .filter(|&at| {
                    let since_high = values[..at].iter().rposition(|value| *value >= level).map_or(0, |high| high + 1);
                    values[since_high..at].iter().any(|value| is_low(*value))
                })
                .collect();
            prop_assert_eq!(found_in(&format!("x rising {level} hysteresis {width}"), &values), expected.clone());
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            prop_assert_eq!(found_in(&format!("x falling {} hysteresis {width}", -level), &turned), expected);
        }
    }
}
