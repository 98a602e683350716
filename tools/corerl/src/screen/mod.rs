//! What the full-screen tools share: the terminal and its way back, keys, and how things look.
//!
//! # Contract
//! - A terminal is left as it was found: on quitting, on an error, on a panic, on SIGTERM, SIGINT and SIGHUP, and when it has
//!   gone away there is nobody to leave it to and the program ends.
//! - Nothing is said by colour alone. Without colour, and without any character beyond ASCII, the same can be read.
//! - Keys are bytes of a stranger until [`Keys`] has read them: any bytes are some keys or none.

mod keys;
mod raster;
mod terminal;
mod theme;

pub(crate) use keys::{Key, Prompt};
pub(crate) use raster::{Pen, Raster, mark};
pub(crate) use terminal::{Happened, Screen};
pub(crate) use theme::{Look, Theme};
