//! The control cycle as pure logic: from a wake-up on the grid to the setpoints that leave for the plant.
//!
//! **Contract.** Nothing here allocates, blocks, logs, reads a clock, makes a system call or contains `unsafe`. Sizes are
//! compile-time maxima; everything is validated when it is built, and from then on nothing fails: an operating error is a
//! value, and a violated expectation latches the fallback and keeps the period. The crate indexes no slice, unwraps nothing and
//! uses no arithmetic that could overflow; lints say so. Same inputs give the same bits: time, samples, commands and
//! actions come in as arguments, and the few transcendental functions are those of the `libm` crate.
//!
//! # Nouns
//! - A [`Grid`](schedule::Grid) has one [`Slot`](schedule::Slot) per period; a **cycle** runs in a slot, or the slot is
//!   counted as skipped. Observations and decisions are due at [multiples](schedule::Every) of it.
//! - The [`Image`](image::Image) is what is known of the plant: per [tag] a value, a quality and an age, judged.
//!   [`Program`](expression::Program)s compute on it.
//! - The [`Mode`](mode::Mode) says who drives the plant: nobody, the policy, the last value, or the
//!   [`Fallback`](fallback::Fallback). The [`ModeMachine`](mode::ModeMachine) changes it, at most once a cycle, with a cause.
//! - The [`Envelope`](envelope::Envelope) is the last code before the plant. It gives a value that may be written, or the
//!   reason why none is.
//! - The [`Cycle`](cycle::Cycle) puts them in order. It meets the world through the traits in [`ports`]; what it did is in
//!   the [record] that it leaves.
//!
//! # Words of `# Real-time` sections
//! - **Wait-free**: finishes in a number of own instructions that no other thread can lengthen; no allocation, no lock, no
//!   system call, no panic.
//! - **Bounded by N**: wait-free, and the work grows at most linearly up to the constant or the quantity N.
//! - **Not for the real-time thread**: anything else; construction, mostly. What has no `# Real-time` section and is not a
//!   plain accessor belongs here.
//!
//! # Example
//! A setpoint may lie in 0..=100 and move by 10 per second; the plant's node is a 16-bit integer.
//! ```
//! use rt_core::envelope::{Acted, Envelope, Limits, LimitsByMode, Verdict, Withheld};
//! use rt_core::image::Image;
//! use rt_core::mode::Mode;
//! use rt_core::setpoint::{Rate, ScalarKind};
//! use rt_core::time::Span;
//!
//! let image = Image::new(&[])?;
//! let limits = Limits { lo: 0.0, hi: 100.0, rate: Rate::PerSecond(10.0) };
//! let mut envelope = Envelope::new(LimitsByMode::same(limits))?;
//! let second = Span::from_ms(1000);
//! let after_1_s = |envelope: &Envelope, desired| envelope.judge(Mode::Run, desired, Some(40.0), second, &image);
//!
//! // Until the server told what the node can hold, nothing is written.
//! assert_eq!(after_1_s(&envelope, 45.0), Verdict::Withhold(Withheld::KindUnknown));
//!
//! envelope.set_kind(Some(ScalarKind::Int16));
//! assert_eq!(after_1_s(&envelope, 45.0), Verdict::Write { value: 45.0, acted: Acted::NOTHING });
//! assert_eq!(after_1_s(&envelope, 45.7), Verdict::Write { value: 45.0, acted: Acted::ROUNDED });
//! assert_eq!(after_1_s(&envelope, 90.0), Verdict::Write { value: 50.0, acted: Acted::RATE });
//! assert_eq!(after_1_s(&envelope, f64::NAN), Verdict::Withhold(Withheld::NotFinite));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(test)]
extern crate std;

pub mod alarm;
pub mod carry;
pub mod changes;
mod channel;
pub mod cycle;
mod decisions;
pub mod envelope;
pub mod expression;
pub mod fallback;
pub mod image;
pub mod mode;
pub mod pacing;
pub mod ports;
pub mod record;
mod reference;
pub mod schedule;
pub mod setpoint;
mod settings;
pub mod tag;
pub mod time;
mod trail;
pub mod trips;
