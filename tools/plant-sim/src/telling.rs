//! How clients come to know of the plant: the address space for those who read, and notifications for those who subscribe, who
//! can be told nothing or far too much.

use std::sync::Arc;

use opcua_server::SubscriptionCache;
use opcua_types::{AttributeId, DataValue, NodeId};

use crate::space::{PlantSpace, set_quietly};

/// So often each output is told in a flood, every step.
const FLOOD: usize = 10_000;

/// The address space and its subscribers.
pub(crate) struct Telling {
    space: Arc<PlantSpace>,
    subscriptions: Arc<SubscriptionCache>,
    /// The highest number of a subscription that hears nothing any more; the server counts upwards.
    deaf: u32,
}

impl Telling {
    /// Everybody is told everything.
    pub(crate) fn new(space: Arc<PlantSpace>, subscriptions: Arc<SubscriptionCache>) -> Self {
        Self { space, subscriptions, deaf: 0 }
    }

    /// The address space.
    pub(crate) fn space(&self) -> &PlantSpace {
        &self.space
    }

    /// Gives nodes their values, and tells those who are told.
    pub(crate) fn set<'n>(&self, values: impl Iterator<Item = (&'n NodeId, DataValue)>) {
        let values: Vec<_> = values.collect();
        set_quietly(&mut self.space.address_space().write(), &values);
        self.tell(values.iter().map(|(id, value)| (*id, value)));
    }

    fn tell<'n>(&self, values: impl Iterator<Item = (&'n NodeId, &'n DataValue)>) {
        let mut notifier = self.subscriptions.data_notifier();
        for (id, value) in values {
            let Some(mut batch) = notifier.notify_for(id, AttributeId::Value) else { continue };
            for (item, _) in batch.entries().filter(|(item, _)| item.subscription_id > self.deaf) {
                batch.data_value_to_item(value.clone(), item);
            }
        }
    }

    /// From now on the subscriptions to these nodes that there are hear nothing.
    pub(crate) fn mute(&mut self, nodes: &[NodeId]) {
        let mut notifier = self.subscriptions.data_notifier();
        for id in nodes {
            let Some(batch) = notifier.notify_for(id, AttributeId::Value) else { continue };
            let highest = batch.entries().map(|(item, _)| item.subscription_id).max();
            self.deaf = self.deaf.max(highest.unwrap_or(0));
        }
    }

    /// Tells values far too often. Without a time they do not come too early for any sampling interval.
    pub(crate) fn flood<'n>(&self, values: impl Iterator<Item = (&'n NodeId, &'n f64)>) {
        for (id, value) in values {
            let pair = [DataValue::value_only(value.next_up()), DataValue::value_only(*value)];
            (0..FLOOD / pair.len()).for_each(|_| self.tell(pair.iter().map(|value| (id, value))));
        }
    }
}
