//! Backups of a site: archives, the places where they are kept, and the way back.
//!
//! # Contract
//! - **An archive is one file**: a tar of regular files, compressed by zstd, encrypted by age if that was asked for, and
//!   readable by their programs, too. Its first member says what it is; its last one names every file with its BLAKE3 digest; a
//!   digest of all of it ends it. A flip of any bit and a cut at any place are found by [`read()`].
//! - **An archive is an allegation** until [`read()`] has returned. Names that lead elsewhere, links and whatever else is no file
//!   are refused.
//! - **What is not finished has no name**: [`Depot::put`] gives it one when its last byte is on the disk, or in the bucket.
//! - **[`restore`] is all or nothing**, into a place where nothing is.
//! - Memory is bounded, however large a site is: files pass through in pieces, and a bucket gets parts of [`PART_BYTES`].
//! - What a site has, and whether what was restored is fit for use, is not known here. Time is an argument.
//!
//! # Example
//! ```
//! use std::path::Path;
//! use backup::{About, Class, Depot, Holdings, Keys, Locks, Name};
//!
//! let dir = tempfile::tempdir().unwrap();
//! let site = dir.path().join("site.yaml");
//! std::fs::write(&site, "agent_name: ph\n").unwrap();
//! let mut holdings = Holdings::default();
//! holdings.add_file(Path::new("site.yaml"), Class::Site, &site).unwrap();
//!
//! let now_unix_ns = 1_709_210_096_000_000_000;
//! let name = Name::new("works", now_unix_ns, false).unwrap();
//! let about = About::new("example 1.0".into(), "works".into(), now_unix_ns, Vec::new());
//! let depot = Depot::at(dir.path().join("backups").to_str().unwrap(), None).unwrap();
//! depot
//!     .put(&name, |to| {
//!         backup::write(&about, &holdings, &Locks::default(), to, &mut |_| ()).map_err(backup::PutError::Archive)
//!     })
//!     .unwrap();
//!
//! let newest = depot.list().unwrap().pop().unwrap();
//! assert_eq!(newest.name.to_string(), "works-20240229T123456.000Z.tar.zst");
//! let back = dir.path().join("back");
//! backup::restore(depot.open(&newest.name).unwrap(), &Keys::default(), &back).unwrap();
//! assert_eq!(std::fs::read(back.join("site.yaml")).unwrap(), b"agent_name: ph\n");
//! ```
#![forbid(unsafe_code)]

mod contents;
mod depot;
mod holdings;
mod locks;
mod read;
mod restore;
mod seal;
mod write;

pub use contents::{About, Class, Entry, Manifest, Newest};
pub use depot::{Depot, DepotError, Kept, Name, NameError, PART_BYTES, PutError};
pub use holdings::{Holding, Holdings, HoldingsError};
pub use locks::{KeyError, Keys, Locks};
pub use read::{Contents, Finding, ReadError, Taker, peek, read, verify};
pub use restore::{RestoreError, restore};
pub use write::{WriteError, write};

#[cfg(test)]
mod tests;
