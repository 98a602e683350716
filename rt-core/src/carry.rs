//! The cycle's memory on its way out and in: what a recording opens with, so that a replay can begin anywhere.
//!
//! Whatever changes from cycle to cycle is handed to a [`Carrier`], value by value, always in the same order; what the
//! settings fix is not. One function per type serves both directions, and takes its type apart field by field, so that a
//! new field does not compile before somebody has decided whether it is memory.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Who keeps the values, or puts kept ones back.
pub trait Carrier {
    /// Keeps `value`, or replaces it by what was kept in this place.
    ///
    /// # Real-time
    /// Keeping is called by the control thread, now and then, between two cycles: it must be wait-free.
    fn carry<T: Serialize + DeserializeOwned>(&mut self, value: &mut T);
}

/// The values as bytes, for tests.
#[cfg(test)]
pub(crate) struct Luggage {
    bytes: std::vec::Vec<u8>,
    /// Where the next value is taken from; none while packing.
    at: Option<usize>,
}

#[cfg(test)]
impl Luggage {
    /// What `carry` hands over.
    pub(crate) fn pack(carry: impl FnOnce(&mut Self)) -> Self {
        let mut luggage = Self { bytes: std::vec::Vec::new(), at: None };
        carry(&mut luggage);
        luggage
    }

    /// Puts it back: all of it.
    pub(crate) fn unpack(mut self, carry: impl FnOnce(&mut Self)) {
        self.at = Some(0);
        carry(&mut self);
        assert_eq!(self.at, Some(self.bytes.len()), "another number of values");
    }
}

#[cfg(test)]
impl Carrier for Luggage {
    fn carry<T: Serialize + DeserializeOwned>(&mut self, value: &mut T) {
        let Some(at) = self.at else {
            self.bytes.extend(postcard::to_allocvec(value).expect("a value of the cycle's"));
            return;
        };
        let (kept, rest) = postcard::take_from_bytes(&self.bytes[at..]).expect("the value that was packed");
        (*value, self.at) = (kept, Some(self.bytes.len() - rest.len()));
    }
}
