//! Faults that somebody outside switches on and off while the plant runs: outputs that lie, inputs that obey nobody, loads.
//!
//! They are off until asked for, over a local socket (`--faults PATH`), and each ends by a `clear`. The plant itself goes on
//! as it would: a fault changes what is shown of it and what reaches it, never its equations. The switches among the nodes
//! (`Faults.*`) are older, concern all outputs at once, and are independent of these.

mod book;
mod request;
mod socket;

pub(crate) use book::Book;
pub(crate) use socket::listen;
