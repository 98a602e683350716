//! A world in which nothing happens: no plant, no keeper, no policy.

use rt_core::changes::ChangeSet;
use rt_core::image::Image;
use rt_core::ports::{Action, Because, Command, Commands, Field, FieldReport, Moment, NoAction, Observed, Policy};
use rt_core::setpoint::SetpointSet;

/// Nobody at the other end of a port.
pub(crate) struct Nobody;

impl Field for Nobody {
    fn next_report(&mut self) -> Option<FieldReport> {
        None
    }

    fn send(&mut self, _: &SetpointSet) -> bool {
        true
    }
}

impl Commands for Nobody {
    fn next_command(&mut self) -> Option<Command> {
        None
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        None
    }
}

impl Policy for Nobody {
    fn adopt(&mut self) -> Option<u64> {
        None
    }

    fn observe(&mut self, _: &Image, _: &Moment) -> Observed {
        Observed { complete: false, reward: None, because: Because::default(), triggered: false }
    }

    fn decide(&mut self, _: bool, _: &mut Action) -> Result<(), NoAction> {
        Err(NoAction::NoPolicy)
    }
}
