//! Between the words of the session and those of the bus.

use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use ua_session::{CallError, ConnectError, ReadValue};

use crate::bus::{BusError, ConnectFailure, Loss, Reading, RefusedCertificate, WriteResult};

/// Severity bits of a StatusCode (OPC UA Part 4, 7.39): 00 good, 01 uncertain, 1x bad.
const SEVERITY_MASK: u32 = 0xC000_0000;
const SEVERITY_UNCERTAIN: u32 = 0x4000_0000;

pub(super) fn describe_failure(error: ConnectError) -> ConnectFailure {
    let certificate = match &error {
        ConnectError::Certificate { source, .. } => Some(RefusedCertificate {
            thumbprint: source.thumbprint.clone(),
            der: source.der.clone(),
            fault: (!source.fault.is_undecided()).then(|| source.fault.to_string()),
        }),
        _ => None,
    };
    let remedy = error.remedy().map_or(String::new(), |remedy| format!("; {remedy}"));
    ConnectFailure { message: format!("{error}{remedy}"), certificate }
}

pub(super) fn bus_error(error: CallError) -> BusError {
    match error {
        CallError::Deadline { sent: false } => BusError::NotSent,
        CallError::Deadline { sent: true } => BusError::Unknown,
        CallError::Refused { status } => BusError::Refused { status },
        CallError::Ended { status } => BusError::Lost(Loss { what: "the server ended the session", status }),
        CallError::Socket { .. } => BusError::Lost(Loss { what: "the connection failed", status: 0 }),
        CallError::Closed => BusError::Lost(Loss { what: "the server closed the connection", status: 0 }),
        CallError::Violation(_) => BusError::Lost(Loss { what: "the server broke the protocol", status: 0 }),
        CallError::Unanswered => BusError::Lost(Loss { what: "the server stopped answering", status: 0 }),
        CallError::SessionOver => BusError::Lost(Loss { what: "the session has ended", status: 0 }),
        // Nothing was sent; the envelope converts to the node's own type, so only a server that changed it gets here.
        CallError::Value { .. } => BusError::Lost(Loss { what: "a value does not fit the node's type", status: 0 }),
        CallError::Shape { .. } | CallError::ForeignPlan => {
            BusError::Lost(Loss { what: "the request does not fit the session", status: 0 })
        }
    }
}

/// Whether a status code says that all is well.
pub(super) const fn is_good(status: u32) -> bool {
    status & SEVERITY_MASK == 0
}

/// What a status code says of its value.
pub(super) const fn quality_of(status: u32) -> Quality {
    match status & SEVERITY_MASK {
        0 => Quality::Good,
        SEVERITY_UNCERTAIN => Quality::Uncertain,
        _ => Quality::Bad,
    }
}

pub(super) fn reading_of(value: &ReadValue) -> Reading {
    Reading::new(value.value, quality_of(value.status), value.source_time)
}

pub(super) fn take_status(status: &[u32], outputs: &[Option<f64>], results: &mut [WriteResult]) {
    for ((result, status), _) in results.iter_mut().zip(status).zip(outputs).filter(|(_, output)| output.is_some()) {
        *result = if is_good(*status) { WriteResult::Done } else { WriteResult::Refused { status: *status } };
    }
}

/// Pairs the two crates' names of one thing in both directions.
macro_rules! same_kinds {
    ($($kind:ident),*) => {
        pub(super) fn core_kind(kind: ua_session::ScalarKind) -> ScalarKind {
            match kind { $(ua_session::ScalarKind::$kind => ScalarKind::$kind),* }
        }
        pub(super) fn session_kind(kind: ScalarKind) -> ua_session::ScalarKind {
            match kind { $(ScalarKind::$kind => ua_session::ScalarKind::$kind),* }
        }
    };
}
same_kinds!(Boolean, SByte, Byte, Int16, UInt16, Int32, UInt32, Int64, UInt64, Float, Double);
