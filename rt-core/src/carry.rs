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
