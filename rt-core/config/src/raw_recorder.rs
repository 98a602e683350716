//! The keys of the flight recorder. A part of the raw file.

use rt_core::time::Span;

use crate::form::{At, choices, sections};
use crate::form_special::OrOff;
use crate::value::Whole;

choices! {
    /// What the flight recorder saves for.
    enum FlightTriggerName {
        /// FALLBACK was entered and is latched.
        Trip = "trip",
        /// The control thread missed a slot.
        LostSlot = "lost_slot",
        /// A violated expectation inside the runtime.
        Fault = "fault",
    }
}

sections! {
    /// What is kept of incidents.
    struct Recorder {
        /// The flight recorder: what was before and after an incident, in a file; `off`: nothing is saved.
        flight: OrOff<Flight>, Default("{}");
    }

    /// What the flight recorder saves, when, and where. `corerl agent save-flight` makes it save, too.
    struct Flight {
        /// Where the files go; relative to the site file. Absent: `flight` in the state directory.
        dir: String, Optional;
        /// What makes it save, any of `trip`, `lost_slot` and `fault`; `[]`: commands alone.
        on: Vec<At<FlightTriggerName>>, Default("[trip, lost_slot, fault]");
        /// So long before the incident a file begins, at most `record_span`. Absent: 30s, or `record_span` when that is shorter.
        before: Span, Optional;
        /// So long behind the last incident it ends.
        after: Span, Default("5s");
        /// After a file no other one is begun for lost slots and faults for so long: they can come again and again.
        pause: Span, Default("5min");
        /// All files together have at most so many MiB; the oldest ones are removed first.
        budget_mib: Whole<1, 1_048_576>, Default("256");
    }
}
