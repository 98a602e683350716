//! The simulated backend.

use std::cell::Cell;
use std::rc::Rc;

use io_loop::Simulated;
use rt_core::tag::Quality;
use rt_core::time::Span;

use crate::suite::{INPUTS, OUTPUTS, Rig, conformance};

type Plant = Box<dyn FnMut(&[f64], &mut [f64])>;

struct SimulatedRig {
    bus: Simulated<Plant>,
    input: Rc<Cell<f64>>,
}

impl Rig for SimulatedRig {
    type Bus = Simulated<Plant>;

    fn start() -> Self {
        let input = Rc::new(Cell::new(0.0));
        let seen = input.clone();
        let plant: Plant = Box::new(move |_, inputs| inputs.fill(seen.get()));
        Self { bus: Simulated::new(INPUTS, &OUTPUTS.map(|kind| (kind, 0.0)), plant), input }
    }

    fn bus(&mut self) -> &mut Self::Bus {
        &mut self.bus
    }

    fn set_inputs(&mut self, value: f64, quality: Quality) {
        self.input.set(value);
        self.bus.faults.quality = Some(quality);
    }

    fn outputs(&mut self) -> [f64; 3] {
        self.bus.outputs().try_into().unwrap()
    }

    fn refuse(&mut self, status: Option<u32>) {
        self.bus.faults.refuse = status;
    }

    fn be_late(&mut self, late: bool) -> Span {
        self.bus.faults.read_late = late;
        Span::from_ms(1)
    }

    fn set_gone(&mut self, gone: bool) {
        self.bus.faults.gone = gone;
    }
}

conformance!(SimulatedRig);
