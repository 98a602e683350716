//! What a runtime keeps on disk from one run to the next: the audit log of acts, the site file that was applied, and
//! the starts that did not end in order.
//!
//! # Contract
//! - **An entry of the audit log is on the disk when [`audit::Log::append`] returns**, and chained to the one before by its
//!   BLAKE3 hash. [`audit::verify`] finds every entry that was changed, taken out, put in or moved, and every end that was cut.
//! - What that rests on is stated, too: the chain holds no secret. Whoever can write the log **and** the head beside it
//!   can write another history; that is found against a [`audit::Head`] that was noted elsewhere, such as the one that the
//!   running runtime reports and logs.
//! - **A file is replaced as a whole** ([`replace`]): there is the old one or the new one, whenever the process dies or the
//!   power fails.
//! - Time is an argument. Everything here waits for the disk, which may take as long as it likes: for a thread that nobody
//!   waits for without a bound.
//!
//! # Example
//! ```
//! use rt_state::audit::{self, Entry};
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("works.ph.main.audit");
//! let mut log = audit::Log::at(path.clone());
//! let entry = |text: &str| Entry { what: "command".into(), text: text.into(), ..Entry::default() };
//! log.append(&entry("arm by uid 0: commissioning")).unwrap();
//! let head = log.append(&entry("disarm by uid 0: end of shift")).unwrap().head;
//! assert_eq!(audit::verify(&path, None).unwrap(), Some(head));
//!
//! let forged = std::fs::read_to_string(&path).unwrap().replace("arm by uid 0", "arm by uid 7");
//! std::fs::write(&path, forged).unwrap();
//! assert!(audit::verify(&path, None).is_err());
//! ```
#![forbid(unsafe_code)]

pub mod applied;
pub mod audit;
mod replace;
pub mod starts;

pub use replace::replace;
