//! The plant and its server, as the I/O loop meets them: a field bus in simulated time, with everything that can go wrong.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;

use io_loop::{BusError, ConnectFailure, Connected, FieldBus, Loss, Reading, WriteResult};
use plants::Plant;
use rt_core::ports::Clock;
use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};

/// SourceTimestamps count in ticks of 100 ns.
const NS_PER_TICK: u64 = 100;
/// What the server answers to a write that it refuses: Bad_OutOfRange.
const REFUSED: u32 = 0x803C_0000;

/// Simulated time: it stands where it was put.
#[derive(Debug)]
pub(crate) struct SimulatedClock(Cell<MonoTime>);

impl SimulatedClock {
    pub(crate) fn new(now: MonoTime) -> Self {
        Self(Cell::new(now))
    }

    pub(crate) fn set(&self, now: MonoTime) {
        self.0.set(now);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> MonoTime {
        self.0.get()
    }
}

/// What a sensor does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malady {
    /// Not a number, with good quality.
    NotANumber,
    /// Its quality is bad.
    Bad,
    /// Its quality is uncertain.
    Uncertain,
    /// Value and timestamp stay as they were.
    Frozen,
    /// Every other reading is one of before, with its old timestamp.
    Reordered,
    /// A hundred times what it measures.
    Wild,
}

/// What becomes of writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// They are carried out and confirmed.
    #[default]
    Done,
    /// They are refused.
    Refused,
    /// They are carried out, and nobody learns of it.
    Unconfirmed,
    /// They are lost, and nobody learns of it.
    Lost,
    /// They do not leave the house.
    NotSent,
}

/// What is wrong at the plant and on the way to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weather {
    /// The server is gone: connecting fails, a connection is lost at the next call.
    pub gone: bool,
    /// Every call takes so long.
    pub slow: Span,
    /// Reads are not answered.
    pub deaf: bool,
    /// What becomes of writes.
    pub writes: Fate,
    /// Setpoints, as bits, whose writes are confirmed and do not move them.
    pub stuck: u32,
    /// Inputs, and what is wrong with them.
    pub sensors: Vec<(usize, Malady)>,
    /// The whole answer of the last read comes again.
    pub repeated: bool,
    /// The plant's wall clock is off by so many ticks.
    pub wall_clock_step: i64,
}

/// What happened to a setpoint at the plant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Traffic {
    /// A write arrived; `carried_out` says whether the node has the value now.
    Wrote { setpoint: usize, value: f64, asked_at: MonoTime, carried_out: bool },
    /// A heartbeat arrived.
    Beat { count: f64 },
    /// The alarm arrived.
    Rang { raised: f64 },
    /// A person moved it.
    Moved { setpoint: usize, value: f64, at: MonoTime },
}

/// A server with a plant behind it.
pub(crate) struct Server {
    clock: Rc<SimulatedClock>,
    plant: Box<dyn Plant>,
    step: Span,
    next_step: MonoTime,
    setpoints: Vec<f64>,
    kinds: Vec<ScalarKind>,
    measured: Vec<f64>,
    reads: u64,
    /// What was read last, and the time before.
    answers: [Vec<Reading>; 2],
    hand: Option<(usize, f64)>,
    pub(crate) weather: Weather,
    pub(crate) traffic: Vec<Traffic>,
}

impl Server {
    /// The plant takes a step every `step`; `kinds` are its setpoints' data types.
    pub(crate) fn new(clock: Rc<SimulatedClock>, plant: Box<dyn Plant>, kinds: &[ScalarKind], step: Span) -> Self {
        let mut measured = vec![0.0; plant.outputs().len()];
        plant.observe(&mut measured);
        Self {
            next_step: clock.now() + step,
            step,
            setpoints: plant.inputs().iter().map(|signal| signal.nominal).take(kinds.len()).collect(),
            kinds: kinds.to_vec(),
            measured,
            plant,
            clock,
            reads: 0,
            answers: [Vec::new(), Vec::new()],
            hand: None,
            weather: Weather::default(),
            traffic: Vec::new(),
        }
    }

    /// A person moves a setpoint: at once, or between the next write and the reading after it.
    pub(crate) fn move_by_hand(&mut self, setpoint: usize, value: f64, at_once: bool) {
        self.hand = Some((setpoint, value));
        if at_once {
            self.let_hand_act();
        }
    }

    fn let_hand_act(&mut self) {
        if let Some((setpoint, value)) = self.hand.take() {
            // The node holds what its data type can.
            let value = self.kinds[setpoint].round_down(value).unwrap_or_default();
            self.setpoints[setpoint] = value;
            self.traffic.push(Traffic::Moved { setpoint, value, at: self.clock.now() });
        }
    }

    fn advance_plant(&mut self) {
        while self.next_step <= self.clock.now() {
            self.plant.step(&self.setpoints, &mut self.measured);
            self.next_step = self.next_step + self.step;
        }
    }

    /// Lets the time pass that a call takes; whether the answer comes before its deadline.
    fn take_time(&self, deadline: MonoTime) -> bool {
        let answered = self.clock.now() + self.weather.slow;
        self.clock.set(answered.min(deadline));
        answered <= deadline
    }

    /// What the nodes show at this moment.
    fn look(&self) -> Vec<Reading> {
        let ticks = (self.clock.now().as_ns() / NS_PER_TICK) as i64 + self.weather.wall_clock_step;
        let values = self.setpoints.iter().chain(&self.measured);
        values.map(|value| Reading::new(*value, Quality::Good, ticks)).collect()
    }

    fn tamper(&self, now: &mut [Reading]) {
        let [last, before] = &self.answers;
        for (input, malady) in &self.weather.sensors {
            let (Some(reading), input) = (now.get_mut(*input), *input) else { continue };
            let (last, before) = (last.get(input).copied(), before.get(input).copied());
            *reading = match malady {
                Malady::NotANumber => Reading::new(f64::NAN, Quality::Good, reading.source_time),
                Malady::Bad => Reading { quality: Quality::Bad, ..*reading },
                Malady::Uncertain => Reading { quality: Quality::Uncertain, ..*reading },
                Malady::Frozen => last.unwrap_or(*reading),
                Malady::Reordered if self.reads.is_multiple_of(2) => before.unwrap_or(*reading),
                Malady::Reordered => *reading,
                Malady::Wild => Reading { value: reading.value * 100.0, ..*reading },
            };
        }
    }

    fn receive(&mut self, output: usize, value: f64, asked_at: MonoTime) -> WriteResult {
        let fate = self.weather.writes;
        let result = match fate {
            Fate::Refused => WriteResult::Refused { status: REFUSED },
            _ => WriteResult::Done,
        };
        let arrives = matches!(fate, Fate::Done | Fate::Unconfirmed);
        // Behind the setpoints there are the heartbeat and the alarm.
        if let Some(beside) = output.checked_sub(self.setpoints.len()) {
            let traffic = if beside == 0 { Traffic::Beat { count: value } } else { Traffic::Rang { raised: value } };
            self.traffic.extend(arrives.then_some(traffic));
            return result;
        }
        let carried_out = arrives && self.weather.stuck >> output & 1 == 0;
        if carried_out {
            self.setpoints[output] = value;
        }
        self.traffic.push(Traffic::Wrote { setpoint: output, value, asked_at, carried_out });
        result
    }
}

/// One client's line to a server that outlives it.
pub(crate) struct Line {
    server: Rc<RefCell<Server>>,
    connected: bool,
}

impl Line {
    pub(crate) fn new(server: &Rc<RefCell<Server>>) -> Self {
        Self { server: Rc::clone(server), connected: false }
    }

    /// The server, as long as there is a connection.
    fn reach(&mut self) -> Result<RefMut<'_, Server>, BusError> {
        let server = self.server.borrow_mut();
        self.connected &= !server.weather.gone;
        if self.connected { Ok(server) } else { Err(BusError::Lost(Loss { what: "the server is gone", status: 0 })) }
    }
}

impl FieldBus for Line {
    fn connect(&mut self, deadline: MonoTime) -> Result<Connected, ConnectFailure> {
        let server = self.server.borrow_mut();
        if server.weather.gone || !server.take_time(deadline) {
            return Err(ConnectFailure { message: "the server is gone".into(), certificate: None });
        }
        self.connected = true;
        Ok(Connected { kinds: server.kinds.clone(), ..Connected::default() })
    }

    fn read(&mut self, inputs: &mut [Reading], deadline: MonoTime) -> Result<(), BusError> {
        let mut server = self.reach()?;
        server.let_hand_act();
        if server.weather.deaf {
            server.clock.set(deadline);
            return Err(BusError::Unknown);
        }
        if !server.take_time(deadline) {
            return Err(BusError::Unknown);
        }
        server.advance_plant();
        server.reads += 1;
        let mut now = server.look();
        server.tamper(&mut now);
        if server.weather.repeated && !server.answers[0].is_empty() {
            now.clone_from(&server.answers[0]);
        } else {
            server.answers.swap(0, 1);
            server.answers[0].clone_from(&now);
        }
        inputs.iter_mut().zip(now).for_each(|(input, reading)| *input = reading);
        Ok(())
    }

    fn write(
        &mut self,
        outputs: &[Option<f64>],
        results: &mut [WriteResult],
        deadline: MonoTime,
    ) -> Result<(), BusError> {
        let mut server = self.reach()?;
        let asked_at = server.clock.now();
        if server.weather.writes == Fate::NotSent {
            server.clock.set(deadline);
            return Err(BusError::NotSent);
        }
        let in_time = server.take_time(deadline);
        for (output, (value, result)) in outputs.iter().zip(results).enumerate() {
            if let Some(value) = value {
                *result = server.receive(output, *value, asked_at);
            }
        }
        let silent = matches!(server.weather.writes, Fate::Unconfirmed | Fate::Lost);
        if silent {
            server.clock.set(deadline);
        }
        if silent || !in_time { Err(BusError::Unknown) } else { Ok(()) }
    }

    fn maintain(&mut self, _deadline: MonoTime) -> Result<(), BusError> {
        self.reach().map(drop)
    }

    fn disconnect(&mut self, _deadline: MonoTime) {
        self.connected = false;
    }
}
