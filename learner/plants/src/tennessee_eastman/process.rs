//! The plant in time: state, disturbances and instruments, a second at a time.
//!
//! As in the published program's example, a second is one Euler step.

use super::disturbances::Disturbing;
use super::flowsheet::Flowsheet;
use super::limits;
use super::measurements::{self, Instruments};
use super::options::TennesseeEastmanOptions;
use super::state::State;
use super::valves::Positions;

const SECONDS_PER_HOUR: f64 = 3600.0;

/// The plant.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    state: State,
    flowsheet: Flowsheet,
    disturbing: Disturbing,
    instruments: Instruments,
    /// Since the start; a shutdown does not set it back.
    seconds: u64,
}

/// The plant has reached a limit and stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shutdown;

impl Process {
    /// The base case.
    pub(super) fn new(seed: u64, options: &TennesseeEastmanOptions) -> Self {
        let mut disturbing = Disturbing::new(seed, options.idv, options.idv_from_h);
        let state = State::base();
        let flowsheet = Flowsheet::of(&state, &disturbing.conditions(0.0));
        let instruments = Instruments::new(seed, options.noise, &flowsheet);
        Self { state, flowsheet, disturbing, instruments, seconds: 0 }
    }

    /// Back to the base case after a shutdown. Time, disturbances and noise go on.
    pub(super) fn restart(&mut self) {
        self.state = State::base();
        let conditions = self.disturbing.conditions(self.hour());
        self.flowsheet = Flowsheet::of(&self.state, &conditions);
        self.instruments.restart(&self.flowsheet);
    }

    /// Goes on for a second under `commands` to the valves, %.
    ///
    /// # Errors
    /// [`Shutdown`] when the plant would leave its limits; it stays where it was.
    pub(super) fn advance(&mut self, commands: &Positions) -> Result<(), Shutdown> {
        let before = self.disturbing.conditions(self.hour());
        let mut state = self.state;
        state.advance(&self.flowsheet.rates, 1.0 / SECONDS_PER_HOUR);
        state.valves.follow(commands, &before.stuck, 1.0);
        self.seconds += 1;
        let flowsheet = Flowsheet::of(&state, &self.disturbing.conditions(self.hour()));
        if !limits::hold(&flowsheet) {
            return Err(Shutdown);
        }
        (self.state, self.flowsheet) = (state, flowsheet);
        self.instruments.sample(&self.flowsheet, self.seconds);
        Ok(())
    }

    /// Reads the sensors.
    pub(super) fn sense(&mut self) {
        self.instruments.sense(&self.flowsheet);
    }

    /// What sensors and analysers show.
    pub(super) fn readings(&self) -> &[f64; measurements::COUNT] {
        self.instruments.readings()
    }

    fn hour(&self) -> f64 {
        self.seconds as f64 / SECONDS_PER_HOUR
    }
}
