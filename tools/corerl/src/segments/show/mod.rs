//! `corerl shm show`: one segment in words, or one tag with all that is known of it.

mod summary;
mod tag;

use clap::Args;
use shm::SegmentKind;

use crate::failure::{Exit, Failure};
use crate::target::Target;

/// Before a tag's name that is also a segment's.
const TAG_PREFIX: &str = "tag:";

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// A segment, or a tag or setpoint by its name in the site file.
    #[arg(value_name = "SEGMENT|TAG")]
    name: String,
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ShowArguments) -> Result<Exit, Failure> {
    let (address, mut client) = arguments.target.connect()?;
    match SegmentKind::from_name(&arguments.name) {
        Some(kind) => {
            let segment = watch::segment(&mut client, kind)?;
            summary::print(&address.label(), &segment, arguments.json)
        }
        None => {
            drop(client);
            let name = arguments.name.strip_prefix(TAG_PREFIX).unwrap_or(&arguments.name);
            tag::print(address, name, arguments.json)
        }
    }
}
