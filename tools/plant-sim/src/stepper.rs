//! The plant in motion: on a grid of absolute times it sees who has its inputs, reads them from the address space, steps,
//! and writes its outputs back.

use std::sync::Arc;
use std::time::Duration;

use opcua_types::{DataValue, DateTime, NodeId, StatusCode, Variant};
use plants::Plant;
use tokio::time::{Instant, MissedTickBehavior};

use crate::catalogue::{Node, Role};
use crate::faults::Book;
use crate::space::{id_of, value_of};
use crate::telling::Telling;
use crate::watchdog::Watchdog;

/// A plant and its nodes.
pub(crate) struct Stepper {
    plant: Box<dyn Plant>,
    telling: Telling,
    book: Arc<Book>,
    ids: Ids,
    inputs: Vec<f64>,
    outputs: Vec<f64>,
    watchdog: Option<Watchdog>,
    step: Duration,
    steps: u32,
    steps_skipped: u32,
}

/// The nodes by role.
struct Ids {
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    reward: NodeId,
    step: NodeId,
    steps_skipped: NodeId,
    time: NodeId,
    heartbeat: NodeId,
    remote: NodeId,
    rearm: NodeId,
    freeze: NodeId,
    nan: NodeId,
    bad_quality: NodeId,
    mute: NodeId,
    flood: NodeId,
}

impl Ids {
    fn of(nodes: &[Node]) -> Self {
        let all =
            |wanted: fn(&Role) -> bool| nodes.iter().filter(|node| wanted(&node.role)).map(id_of).collect::<Vec<_>>();
        let one = |role: Role| nodes.iter().find(|node| node.role == role).map(id_of).unwrap_or_default();
        Self {
            inputs: all(|role| matches!(role, Role::Input(_))),
            outputs: all(|role| matches!(role, Role::Output(_))),
            reward: one(Role::Reward),
            step: one(Role::Step),
            steps_skipped: one(Role::StepsSkipped),
            time: one(Role::Time),
            heartbeat: one(Role::Heartbeat),
            remote: one(Role::Remote),
            rearm: one(Role::Rearm),
            freeze: one(Role::FaultFreeze),
            nan: one(Role::FaultNan),
            bad_quality: one(Role::FaultBadQuality),
            mute: one(Role::FaultMute),
            flood: one(Role::FaultFlood),
        }
    }
}

/// The faults that are switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Faults {
    freeze: bool,
    nan: bool,
    bad_quality: bool,
    mute: bool,
    flood: bool,
}

impl Stepper {
    /// A plant at its initial state, with `nodes` from the catalogue; shows its first outputs at once.
    pub(crate) fn new(
        plant: Box<dyn Plant>,
        nodes: &[Node],
        telling: Telling,
        book: Arc<Book>,
        step: Duration,
        heartbeat_timeout: Option<Duration>,
    ) -> Self {
        let inputs = plant.inputs().iter().map(|input| input.nominal).collect();
        let mut outputs = vec![f64::NAN; plant.outputs().len()];
        plant.observe(&mut outputs);
        let mut stepper = Self {
            plant,
            telling,
            book,
            ids: Ids::of(nodes),
            inputs,
            outputs,
            watchdog: heartbeat_timeout.map(Watchdog::new),
            step,
            steps: 0,
            steps_skipped: 0,
        };
        stepper.judge_charge(Duration::ZERO);
        stepper.show(stepper.faults());
        stepper
    }

    /// Steps for ever; a step whose time has passed is skipped and counted, never caught up.
    pub(crate) async fn run(mut self) {
        let start = Instant::now();
        let mut ticks = tokio::time::interval_at(start + self.step, self.step);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut slot_next = 1;
        loop {
            let tick = ticks.tick().await;
            let slot = slot_of(tick - start, self.step);
            self.steps_skipped = self.steps_skipped.wrapping_add(slot.saturating_sub(slot_next));
            slot_next = slot.wrapping_add(1);
            self.advance(tick - start);
        }
    }

    /// One step, unless the plant is frozen.
    fn advance(&mut self, now: Duration) {
        self.judge_charge(now);
        let faults = self.faults();
        if faults.freeze {
            return;
        }
        if faults.mute {
            self.telling.mute(&self.ids.outputs);
            self.telling.set([(&self.ids.mute, DataValue::new_now(false))].into_iter());
        }
        self.set_by_hand();
        self.take_inputs();
        self.plant.step(&self.inputs, &mut self.outputs);
        self.steps = self.steps.wrapping_add(1);
        self.show(faults);
    }

    /// Sees who has the inputs; the plant's own logic holds them at their nominal values.
    fn judge_charge(&mut self, now: Duration) {
        let Some(watchdog) = &mut self.watchdog else { return };
        let (beat, arm) = {
            let space = self.telling.space().address_space().read();
            let beat = match value_of(&space, &self.ids.heartbeat) {
                Some(Variant::UInt16(beat)) => beat,
                _ => 0,
            };
            (beat, value_of(&space, &self.ids.rearm) == Some(Variant::Boolean(true)))
        };
        let remote = watchdog.look(beat, arm, now);
        let mut values = vec![(&self.ids.remote, Variant::Boolean(remote)), (&self.ids.rearm, Variant::Boolean(false))];
        if !remote {
            let nominal = self.plant.inputs().iter().map(|input| Variant::Double(input.nominal));
            values.extend(self.ids.inputs.iter().zip(nominal));
        }
        let time = DateTime::now();
        self.telling.set(values.into_iter().map(|(id, value)| (id, DataValue::new_at(value, time))));
    }

    /// Somebody at the plant turns a knob.
    fn set_by_hand(&self) {
        let values = self.book.set_by_hand();
        self.telling.set(values.iter().map(|(id, value)| (id, DataValue::new_now(*value))));
    }

    fn take_inputs(&mut self) {
        let space = self.telling.space().address_space().read();
        for ((input, id), signal) in self.inputs.iter_mut().zip(&self.ids.inputs).zip(self.plant.inputs()) {
            if let Some(Variant::Double(value)) = value_of(&space, id) {
                *input = self.book.loaded(signal.name, value);
            }
        }
    }

    fn faults(&self) -> Faults {
        let space = self.telling.space().address_space().read();
        let is_on = |id| matches!(value_of(&space, id), Some(Variant::Boolean(true)));
        Faults {
            freeze: is_on(&self.ids.freeze),
            nan: is_on(&self.ids.nan),
            bad_quality: is_on(&self.ids.bad_quality),
            mute: is_on(&self.ids.mute),
            flood: is_on(&self.ids.flood),
        }
    }

    /// Writes outputs, reward and counters, all with one source timestamp.
    fn show(&self, faults: Faults) {
        let now = DateTime::now();
        let values = self.outputs.iter().zip(self.plant.outputs());
        let outputs =
            self.ids.outputs.iter().zip(values).map(|(id, (&value, signal))| {
                (id, self.book.shown(signal.name, output_value(value, faults, now), now))
            });
        let time_s = f64::from(self.steps) * self.step.as_secs_f64();
        let others = [
            (&self.ids.reward, Variant::Double(self.plant.reward())),
            (&self.ids.step, Variant::UInt32(self.steps)),
            (&self.ids.steps_skipped, Variant::UInt32(self.steps_skipped)),
            (&self.ids.time, Variant::Double(time_s)),
        ]
        .map(|(id, value)| (id, DataValue::new_at(value, now)));
        self.telling.set(outputs.chain(others));
        if faults.flood {
            self.telling.flood(self.ids.outputs.iter().zip(&self.outputs));
        }
    }
}

/// An output as clients see it: a missing reading and the fault `bad_quality` have bad quality, the fault `nan` has not.
fn output_value(value: f64, faults: Faults, now: DateTime) -> DataValue {
    let value_shown = if faults.nan { f64::NAN } else { value };
    if faults.bad_quality || (value.is_nan() && !faults.nan) {
        DataValue::new_at_status(value_shown, now, StatusCode::BadSensorFailure)
    } else {
        DataValue::new_at(value_shown, now)
    }
}

/// The number of the slot that lies `since_start` after the grid's origin.
fn slot_of(since_start: Duration, step: Duration) -> u32 {
    let step_ns = step.as_nanos().max(1);
    u32::try_from((since_start.as_nanos() + step_ns / 2) / step_ns).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: Faults = Faults { freeze: false, nan: false, bad_quality: false, mute: false, flood: false };

    #[test]
    fn slots_are_counted_from_the_origin_of_the_grid() {
        let step = Duration::from_millis(10);
        assert_eq!(slot_of(Duration::from_millis(10), step), 1);
        assert_eq!(slot_of(Duration::from_millis(50), step), 5);
        assert_eq!(slot_of(Duration::from_nanos(50_000_300), step), 5);
    }

    #[test]
    fn a_missing_reading_has_bad_quality() {
        let shown = output_value(f64::NAN, HEALTHY, DateTime::now());
        assert_eq!(shown.status(), StatusCode::BadSensorFailure);
    }

    #[test]
    fn the_faults_change_value_and_quality_separately() {
        let now = DateTime::now();
        let nan = output_value(0.5, Faults { nan: true, ..HEALTHY }, now);
        assert!(matches!(nan.value, Some(Variant::Double(x)) if x.is_nan()));
        assert!(nan.status().is_good());
        let bad = output_value(0.5, Faults { bad_quality: true, ..HEALTHY }, now);
        assert_eq!(bad.value, Some(Variant::Double(0.5)));
        assert!(bad.status().is_bad());
        assert_eq!(bad.source_timestamp, Some(now));
    }
}
