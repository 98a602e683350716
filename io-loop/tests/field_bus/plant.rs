//! What the test server serves: the same for every client, and changed by the test at any time.

use std::sync::{Arc, Mutex};

use opcua_types::{DataValue, DateTime, StatusCode, Variant};
use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;

/// The present state.
#[derive(Debug)]
pub(crate) struct Plant {
    pub(crate) input: f64,
    pub(crate) quality: Quality,
    /// Inputs have this value instead, of whatever type.
    pub(crate) instead: Option<Variant>,
    pub(crate) outputs: Vec<f64>,
    /// Every write is refused with this status, or that of one output.
    pub(crate) refusal: Option<u32>,
    pub(crate) refused_output: Option<usize>,
    /// No read of the first input is answered.
    pub(crate) late: bool,
    stamp: i64,
}

/// Shared between the server's thread and the test's.
pub(crate) type SharedPlant = Arc<Mutex<Plant>>;

impl Plant {
    pub(crate) fn shared(outputs: usize) -> SharedPlant {
        Arc::new(Mutex::new(Self {
            input: 0.0,
            quality: Quality::Good,
            instead: None,
            outputs: vec![0.0; outputs],
            refusal: None,
            refused_output: None,
            late: false,
            stamp: 0,
        }))
    }

    /// An input as a client gets it; every read has a later time than the one before.
    pub(crate) fn read(&mut self) -> DataValue {
        self.stamp += 1;
        let status = match self.quality {
            Quality::Good => StatusCode::Good,
            Quality::Uncertain => StatusCode::Uncertain,
            Quality::Bad => StatusCode::BadSensorFailure,
        };
        DataValue {
            value: Some(self.instead.clone().unwrap_or(Variant::Double(self.input))),
            status: Some(status),
            source_timestamp: Some(DateTime::from(self.stamp)),
            ..DataValue::default()
        }
    }

    /// Takes what a client writes, if its type is the node's.
    pub(crate) fn write(&mut self, index: usize, kind: ScalarKind, value: &DataValue) -> StatusCode {
        if let Some(refusal) = self.refusal.filter(|_| self.refused_output.is_none_or(|refused| refused == index)) {
            return StatusCode::from(refusal);
        }
        self.outputs[index] = match (kind, &value.value) {
            (ScalarKind::Double, Some(Variant::Double(value))) => *value,
            (ScalarKind::Int16, Some(Variant::Int16(value))) => f64::from(*value),
            (ScalarKind::Boolean, Some(Variant::Boolean(value))) => f64::from(u8::from(*value)),
            _ => return StatusCode::BadTypeMismatch,
        };
        StatusCode::Good
    }
}
