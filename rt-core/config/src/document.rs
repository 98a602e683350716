//! Other YAML files of the project, read as site files are: each key described once, every complaint in its place, the nearest
//! known key for one that is not known.
//!
//! [`sections!`](crate::sections) and [`choices!`](crate::choices) describe a file; [`read`] makes a tree of its text, and
//! [`Form::decode`] what the description says of the tree. What is wrong is said to the [`Complaints`], all of it.

pub use crate::complaint::{Complaints, Place, quoted};
pub use crate::form::{At, Field, Form, KeyInfo, Presence, Section, key_name, one_of, section_schema, to_json};
pub use crate::spelling::nearest;
pub use crate::value::{Anything, Named, Whole, wanted};
pub use crate::yaml::{Key, Kind, Node, Plain, Scalar, read};
