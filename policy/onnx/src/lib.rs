//! Policies as ONNX models, for whoever wants to look at one, run it elsewhere, or bring one along.
//!
//! A model has the normaliser, the network and the scaling in it: it takes the columns of the state in their engineering
//! units and gives setpoints and deviations in theirs. What the columns are (tags, each traced with its decay, then the
//! bounds of the actions), their units and scales, and those of the setpoints, is in the model's metadata: `corerl.columns`,
//! `corerl.actions`, `corerl.origin` and `corerl.tag_list`, the first three as JSON. What is not in it: the traces, the agent's
//! bounds, the envelope.
//!
//! [`to_model`] writes such a model, [`from_model`] reads one, and any other multilayer perceptron that the actor's network
//! can stand for: what a layer of CReLU does, one of ReLU, of leaky ReLU, or none at all does, too. What was written comes
//! back bit for bit.
#![forbid(unsafe_code)]

mod export;
mod graph;
mod import;
mod model;
mod network;
mod operators;
mod protobuf;
mod signal;

pub use export::{ExportError, to_model};
pub use import::{ImportRefused, Imported, Reading, Scale, from_model};

/// The name of a model's input.
pub const STATE: &str = "state";
/// The name of a model's output that has the setpoints.
pub const SETPOINTS: &str = "setpoints";
/// The name of a model's output that has the deviations with which they are explored.
pub const DEVIATIONS: &str = "deviations";

/// The metadata's entry with the columns of the state, a JSON array of [`policy::pipeline::Column`].
const COLUMNS_KEY: &str = "corerl.columns";
/// The same of the setpoints.
const ACTIONS_KEY: &str = "corerl.actions";
/// Where the policy comes from, a [`policy::file::Origin`] as JSON.
const ORIGIN_KEY: &str = "corerl.origin";
/// The hash of the site's tag list.
const TAG_LIST_KEY: &str = "corerl.tag_list";
