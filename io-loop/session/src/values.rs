//! The values that cross the session: scalars, as `f64` outside and as the node's own data type on the wire.

use std::fmt;

/// The data types of values that can be read and written: Boolean and the numeric built-in types.
///
/// An enumeration is an [`ScalarKind::Int32`]. The discriminants are the built-in type ids of Part 6, 5.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum ScalarKind {
    Boolean = 1,
    SByte = 2,
    Byte = 3,
    Int16 = 4,
    UInt16 = 5,
    Int32 = 6,
    UInt32 = 7,
    Int64 = 8,
    UInt64 = 9,
    Float = 10,
    Double = 11,
}

impl ScalarKind {
    /// All kinds, in the order of their type ids.
    pub const ALL: [ScalarKind; 11] = [
        ScalarKind::Boolean,
        ScalarKind::SByte,
        ScalarKind::Byte,
        ScalarKind::Int16,
        ScalarKind::UInt16,
        ScalarKind::Int32,
        ScalarKind::UInt32,
        ScalarKind::Int64,
        ScalarKind::UInt64,
        ScalarKind::Float,
        ScalarKind::Double,
    ];

    /// The kind with this built-in type id.
    pub fn from_type_id(id: u8) -> Option<ScalarKind> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == id)
    }

    /// Encoded size in bytes.
    pub const fn size(self) -> usize {
        match self {
            ScalarKind::Boolean | ScalarKind::SByte | ScalarKind::Byte => 1,
            ScalarKind::Int16 | ScalarKind::UInt16 => 2,
            ScalarKind::Int32 | ScalarKind::UInt32 | ScalarKind::Float => 4,
            ScalarKind::Int64 | ScalarKind::UInt64 | ScalarKind::Double => 8,
        }
    }
}

/// What kind of value an answer carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// The answer carried no value, or none came yet; [`ReadValue::status`] says why.
    Missing,
    /// A scalar; [`ReadValue::value`] holds it.
    Scalar(ScalarKind),
    /// Something else: an array or a data type that is not a scalar number. The value is not used.
    Mismatch {
        /// Built-in type id of the element.
        type_id: u8,
        /// Whether it came as an array.
        array: bool,
    },
}

/// One value as read: plain data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadValue {
    /// The value; NaN unless `kind` is a scalar. A Boolean is 0 or 1. An Int64 or UInt64 beyond 2^53 is rounded to the
    /// nearest f64.
    pub value: f64,
    /// OPC UA StatusCode; 0 is Good.
    pub status: u32,
    /// SourceTimestamp in ticks of 100 ns since 1601-01-01; 0 when the server sent none.
    pub source_time: i64,
    /// What came.
    pub kind: ValueKind,
}

impl ReadValue {
    /// No value, status BadWaitingForInitialData: what a result slice is filled with before the first read.
    pub const MISSING: ReadValue =
        ReadValue { value: f64::NAN, status: 0x8032_0000, source_time: 0, kind: ValueKind::Missing };
}

impl Default for ReadValue {
    fn default() -> Self {
        Self::MISSING
    }
}

/// One value in the data type in which it goes to the server.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum WriteValue {
    Boolean(bool),
    SByte(i8),
    Byte(u8),
    Int16(i16),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Float(f32),
    Double(f64),
}

/// A value that the data type cannot hold exactly, or that is not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NotRepresentable {
    /// The value.
    pub value: f64,
    /// The data type.
    pub kind: ScalarKind,
}

impl fmt::Display for NotRepresentable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not exactly representable as {:?}", self.value, self.kind)
    }
}

impl std::error::Error for NotRepresentable {}

/// Two to the power of 63 and of 64: the first values beyond Int64 and UInt64.
const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;

impl WriteValue {
    /// Converts without any loss.
    ///
    /// # Errors
    /// When the value is not finite, not an integer for an integer type, outside the type's range, or not exactly an f32
    /// for Float; for Boolean, when it is neither 0 nor 1.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn from_f64(kind: ScalarKind, value: f64) -> Result<WriteValue, NotRepresentable> {
        let refused = NotRepresentable { value, kind };
        if !value.is_finite() {
            return Err(refused);
        }
        let whole = || whole_number(value).ok_or(refused);
        Ok(match kind {
            ScalarKind::Boolean if value == 0.0 => WriteValue::Boolean(false),
            ScalarKind::Boolean if value == 1.0 => WriteValue::Boolean(true),
            ScalarKind::Boolean => return Err(refused),
            ScalarKind::SByte => WriteValue::SByte(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::Byte => WriteValue::Byte(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::Int16 => WriteValue::Int16(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::UInt16 => WriteValue::UInt16(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::Int32 => WriteValue::Int32(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::UInt32 => WriteValue::UInt32(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::Int64 => WriteValue::Int64(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::UInt64 => WriteValue::UInt64(whole()?.try_into().map_err(|_| refused)?),
            ScalarKind::Float => {
                let narrow = value as f32;
                if f64::from(narrow) != value {
                    return Err(refused);
                }
                WriteValue::Float(narrow)
            }
            ScalarKind::Double => WriteValue::Double(value),
        })
    }

    /// The data type.
    pub fn kind(self) -> ScalarKind {
        match self {
            WriteValue::Boolean(_) => ScalarKind::Boolean,
            WriteValue::SByte(_) => ScalarKind::SByte,
            WriteValue::Byte(_) => ScalarKind::Byte,
            WriteValue::Int16(_) => ScalarKind::Int16,
            WriteValue::UInt16(_) => ScalarKind::UInt16,
            WriteValue::Int32(_) => ScalarKind::Int32,
            WriteValue::UInt32(_) => ScalarKind::UInt32,
            WriteValue::Int64(_) => ScalarKind::Int64,
            WriteValue::UInt64(_) => ScalarKind::UInt64,
            WriteValue::Float(_) => ScalarKind::Float,
            WriteValue::Double(_) => ScalarKind::Double,
        }
    }

    /// Appends the little-endian encoding.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        match self {
            WriteValue::Boolean(v) => out.push(u8::from(v)),
            WriteValue::SByte(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::Byte(v) => out.push(v),
            WriteValue::Int16(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::UInt16(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::Int32(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::UInt32(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::Int64(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::UInt64(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::Float(v) => out.extend_from_slice(&v.to_le_bytes()),
            WriteValue::Double(v) => out.extend_from_slice(&v.to_le_bytes()),
        }
    }
}

/// The value as an integer, when it is one between -2^63 and 2^64; the casts are exact there.
fn whole_number(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && (-TWO_POW_63..TWO_POW_64).contains(&value)).then_some(value as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f49_every_kind_takes_its_extremes_and_refuses_the_next_value() {
        let edges = [
            (ScalarKind::SByte, -128.0, 127.0),
            (ScalarKind::Byte, 0.0, 255.0),
            (ScalarKind::Int16, -32_768.0, 32_767.0),
            (ScalarKind::UInt16, 0.0, 65_535.0),
            (ScalarKind::Int32, -2_147_483_648.0, 2_147_483_647.0),
            (ScalarKind::UInt32, 0.0, 4_294_967_295.0),
        ];
        for (kind, low, high) in edges {
            assert!(WriteValue::from_f64(kind, low).is_ok());
            assert!(WriteValue::from_f64(kind, high).is_ok());
            assert!(WriteValue::from_f64(kind, low - 1.0).is_err());
            assert!(WriteValue::from_f64(kind, high + 1.0).is_err());
            assert!(WriteValue::from_f64(kind, high - 0.5).is_err());
        }
    }

    #[test]
    fn the_64_bit_kinds_refuse_the_power_of_two_that_a_cast_would_saturate() {
        assert!(WriteValue::from_f64(ScalarKind::Int64, -TWO_POW_63).is_ok());
        assert!(WriteValue::from_f64(ScalarKind::Int64, TWO_POW_63).is_err());
        assert!(WriteValue::from_f64(ScalarKind::UInt64, TWO_POW_63).is_ok());
        assert!(WriteValue::from_f64(ScalarKind::UInt64, TWO_POW_64).is_err());
    }

    #[test]
    fn what_is_not_finite_is_refused_by_every_kind() {
        for kind in ScalarKind::ALL {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(WriteValue::from_f64(kind, value).is_err());
            }
        }
    }

    #[test]
    fn a_float_takes_only_what_it_holds_exactly() {
        assert_eq!(WriteValue::from_f64(ScalarKind::Float, 0.5), Ok(WriteValue::Float(0.5)));
        assert!(WriteValue::from_f64(ScalarKind::Float, 0.1).is_err());
        assert!(WriteValue::from_f64(ScalarKind::Float, 1e300).is_err());
    }

    #[test]
    fn a_boolean_is_zero_or_one() {
        assert_eq!(WriteValue::from_f64(ScalarKind::Boolean, 1.0), Ok(WriteValue::Boolean(true)));
        assert!(WriteValue::from_f64(ScalarKind::Boolean, 0.5).is_err());
    }
}
