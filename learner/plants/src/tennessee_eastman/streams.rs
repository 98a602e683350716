//! What a vessel holds and what flows between vessels.

use super::components::{Mixture, fractions};
use super::thermodynamics::Enthalpy;

/// A hold-up: moles of each component and their energy; or how fast these change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holdup {
    /// lbmol, or lbmol/h.
    pub(super) moles: Mixture,
    /// MMBtu, or MMBtu/h.
    pub(super) energy: f64,
}

impl Holdup {
    /// A stream flows in.
    pub(super) fn receive(&mut self, stream: &Stream) {
        self.exchange(stream, 1.0);
    }

    /// A stream flows out.
    pub(super) fn release(&mut self, stream: &Stream) {
        self.exchange(stream, -1.0);
    }

    fn exchange(&mut self, stream: &Stream, sign: f64) {
        for (moles, part) in self.moles.iter_mut().zip(stream.fractions) {
            *moles += sign * stream.flow * part;
        }
        self.energy += sign * stream.flow * stream.enthalpy;
    }

    /// Moles of all components.
    pub(super) fn total(&self) -> f64 {
        self.moles.iter().sum()
    }

    /// The parts of the components.
    pub(super) fn fractions(&self) -> Mixture {
        fractions(&self.moles)
    }
}

/// What flows through a pipe.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stream {
    /// lbmol/h.
    pub(super) flow: f64,
    pub(super) fractions: Mixture,
    /// MMBtu/lbmol.
    pub(super) enthalpy: f64,
}

impl Stream {
    /// A liquid.
    pub(super) fn liquid(flow: f64, fractions: Mixture, celsius: f64) -> Self {
        Self { flow, fractions, enthalpy: Enthalpy::of_liquid(&fractions).at(celsius) }
    }

    /// A vapour.
    pub(super) fn vapour(flow: f64, fractions: Mixture, celsius: f64) -> Self {
        Self { flow, fractions, enthalpy: Enthalpy::of_vapour(&fractions).at(celsius) }
    }
}
