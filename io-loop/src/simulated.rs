//! The simulated backend: a plant in this process, stepped by a closure. Faults on command.

use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use rt_core::time::MonoTime;

use crate::bus::{BusError, ConnectFailure, Connected, FieldBus, Loss, Reading, WriteResult};

/// What the simulated server shall do wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The server is gone: connecting fails, a connection is lost at the next call.
    pub gone: bool,
    /// Reads miss their deadline.
    pub read_late: bool,
    /// Writes miss their deadline after the plant has carried them out.
    pub write_unknown: bool,
    /// The plant refuses every write with this status.
    pub refuse: Option<u32>,
    /// Readings come with this quality instead of Good.
    pub quality: Option<Quality>,
}

/// A plant behind a closure: outputs' present values in, inputs' values out, once per read.
pub struct Simulated<P> {
    plant: P,
    outputs: Vec<f64>,
    inputs: Vec<f64>,
    kinds: Vec<ScalarKind>,
    reads: i64,
    connected: bool,
    /// The faults that hold at present.
    pub faults: Faults,
}

impl<P: FnMut(&[f64], &mut [f64])> Simulated<P> {
    /// A plant with `inputs` values to read and one output of each kind, which starts at the given value.
    pub fn new(inputs: usize, outputs: &[(ScalarKind, f64)], plant: P) -> Self {
        Self {
            plant,
            outputs: outputs.iter().map(|(_, value)| *value).collect(),
            inputs: vec![0.0; inputs],
            kinds: outputs.iter().map(|(kind, _)| *kind).collect(),
            reads: 0,
            connected: false,
            faults: Faults::default(),
        }
    }

    /// The outputs as the plant has them.
    pub fn outputs(&self) -> &[f64] {
        &self.outputs
    }

    /// Somebody else writes an output; without such an output, nobody does.
    pub fn force(&mut self, output: usize, value: f64) {
        if let Some(present) = self.outputs.get_mut(output) {
            *present = value;
        }
    }

    fn line(&mut self) -> Result<(), BusError> {
        if self.faults.gone {
            self.connected = false;
        }
        if self.connected {
            Ok(())
        } else {
            Err(BusError::Lost(Loss { what: "the simulated server is gone", status: 0 }))
        }
    }
}

impl<P: FnMut(&[f64], &mut [f64])> FieldBus for Simulated<P> {
    fn connect(&mut self, _deadline: MonoTime) -> Result<Connected, ConnectFailure> {
        if self.faults.gone {
            return Err(ConnectFailure { message: "the simulated server is gone".into(), certificate: None });
        }
        self.connected = true;
        Ok(Connected { kinds: self.kinds.clone(), ..Connected::default() })
    }

    fn read(&mut self, inputs: &mut [Reading], _deadline: MonoTime) -> Result<(), BusError> {
        self.line()?;
        if self.faults.read_late {
            return Err(BusError::Unknown);
        }
        (self.plant)(&self.outputs, &mut self.inputs);
        self.reads += 1;
        let quality = self.faults.quality.unwrap_or(Quality::Good);
        for (input, value) in inputs.iter_mut().zip(&self.inputs) {
            *input = Reading::new(*value, quality, self.reads);
        }
        Ok(())
    }

    fn write(
        &mut self,
        outputs: &[Option<f64>],
        results: &mut [WriteResult],
        _deadline: MonoTime,
    ) -> Result<(), BusError> {
        self.line()?;
        for ((present, wanted), result) in self.outputs.iter_mut().zip(outputs).zip(results) {
            let Some(wanted) = wanted else { continue };
            *result = match self.faults.refuse {
                Some(status) => WriteResult::Refused { status },
                None => {
                    *present = *wanted;
                    WriteResult::Done
                }
            };
        }
        if self.faults.write_unknown { Err(BusError::Unknown) } else { Ok(()) }
    }

    fn maintain(&mut self, _deadline: MonoTime) -> Result<(), BusError> {
        self.line()
    }

    fn disconnect(&mut self, _deadline: MonoTime) {
        self.connected = false;
    }
}
