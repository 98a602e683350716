//! The state of cycle and agent as bytes, and what may change it between two cycles.

use policy::{Agent, PolicySource};
use rt_config::Site;
use rt_core::carry::Carrier;
use rt_core::changes::ChangeSet;
use rt_core::cycle::Cycle;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Room for a state: more than the longest encoding of everything that a site's cycle and agent remember.
pub(crate) fn bytes_max(site: &Site) -> usize {
    const BASE: usize = 4096;
    const PER_TAG: usize = 256;
    const PER_TRACE: usize = 16;
    const PER_PAST_VALUE: usize = 8;
    const PER_SETPOINT: usize = 2048;
    let of_a_tag = PER_TAG + PER_TRACE * site.agent.traces.len() + PER_PAST_VALUE * site.agent.past_values;
    BASE + of_a_tag * site.tags.len() + PER_SETPOINT * site.setpoints.len()
}

/// Writes the state into `room`; its length, or `None` when the room is too small.
///
/// # Real-time
/// Wait-free; bounded by the number of tags, columns and setpoints. No allocation.
pub(crate) fn keep<S: PolicySource>(cycle: &mut Cycle, agent: &mut Agent<S>, room: &mut [u8]) -> Option<usize> {
    let mut keeper = Keeper { room, used: Some(0) };
    cycle.carry(&mut keeper);
    agent.carry(&mut keeper);
    keeper.used
}

/// Writes a change set into `room`, in the encoding of [`Changes`](crate::Changes); its length, or `None` when the room is
/// too small.
///
/// # Real-time
/// Wait-free; bounded by the number of tags and setpoints. No allocation.
pub(crate) fn keep_changes(changes: &ChangeSet, room: &mut [u8]) -> Option<usize> {
    let mut keeper = Keeper { room, used: Some(0) };
    keeper.keep(&changes.number());
    keeper.keep(&changes.setpoints().count());
    changes.setpoints().for_each(|tuning| keeper.keep(tuning));
    keeper.keep(&changes.tags().count());
    changes.tags().for_each(|settings| keeper.keep(settings));
    keeper.used
}

/// Puts a state back; `false` when it is not one of such a cycle and agent. Both are then worth nothing.
pub(crate) fn put_back<S: PolicySource>(cycle: &mut Cycle, agent: &mut Agent<S>, state: &[u8]) -> bool {
    let mut giver = Giver { rest: Some(state) };
    cycle.carry(&mut giver);
    agent.carry(&mut giver);
    giver.rest.is_some_and(<[u8]>::is_empty)
}

struct Keeper<'a> {
    room: &'a mut [u8],
    used: Option<usize>,
}

impl Keeper<'_> {
    fn keep(&mut self, value: &impl Serialize) {
        self.used = self.used.and_then(|used| {
            let written = postcard::to_slice(value, self.room.get_mut(used..)?).ok()?.len();
            Some(used + written)
        });
    }
}

impl Carrier for Keeper<'_> {
    fn carry<T: Serialize + DeserializeOwned>(&mut self, value: &mut T) {
        self.keep(value);
    }
}

struct Giver<'a> {
    rest: Option<&'a [u8]>,
}

impl Carrier for Giver<'_> {
    fn carry<T: Serialize + DeserializeOwned>(&mut self, value: &mut T) {
        self.rest = self.rest.and_then(|rest| {
            let (kept, rest) = postcard::take_from_bytes(rest).ok()?;
            *value = kept;
            Some(rest)
        });
    }
}
