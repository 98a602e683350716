//! A subscription (Part 4, 5.13) without any I/O: answers to Publish go in, requests come out, time is an argument.
//!
//! - A message comes only in answer to a request to publish, and there are at most [`PUBLISH_REQUESTS_MAX`] of those: a
//!   server that floods us fills its own queues.
//! - A message that is missing is asked for again; when the server has it no more, it is counted as lost, and whoever uses
//!   the values has to read them.
//! - Of two messages the later one counts, in whatever order they come.
//! - Values go to their places in place; nothing is allocated after the set-up.

mod sequence;

use crate::{
    CallError, ReadValue, Violation,
    codec::{Put, Reader},
    limits::{ACKNOWLEDGEMENTS_MAX, ARRAY_LEN_MAX, NOTIFICATIONS_MAX, PUBLISH_REQUESTS_MAX},
    plan::{Shape, read_data_value},
    services::{self, HeaderFields, type_id},
    status::is_bad,
};
use sequence::Sequence;

/// Status codes that say something about subscriptions, without their info bits.
const NO_SUBSCRIPTION: u32 = 0x8079_0000;
const SUBSCRIPTION_ID_INVALID: u32 = 0x8028_0000;
const TOO_MANY_PUBLISH_REQUESTS: u32 = 0x8078_0000;
/// BadTimeout: what a subscription ends with that is silent.
const TIMEOUT: u32 = 0x800A_0000;
/// A status code without its info bits.
const CODE_MASK: u32 = 0xFFFF_0000;
/// Info bits of a value (Part 4, 7.34): that the server threw values before this one away. That there are info bits at all
/// is another bit, which some servers leave out.
const OVERFLOW: u32 = 0x0080;
const HAS_INFO: u32 = 0x0400;
/// Servers answer requests to publish in their order (Part 4, 5.13.5): one that so many younger ones have overtaken is lost.
const PASSED_MAX: usize = PUBLISH_REQUESTS_MAX;
/// A subscription is given up when it was silent for so many keep-alive intervals.
const SILENT_INTERVALS_MAX: u64 = 2;

/// What a subscription has last said of one node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Notified {
    /// The value; [`ReadValue::MISSING`] before the first one.
    pub value: ReadValue,
    /// The place of its message among the messages of the subscription, which begin with 1; zero before the first one.
    pub message: u64,
    /// It had not come yet at this time, in nanoseconds of the clock: it is at most as old as that.
    pub since_ns: u64,
}

/// What a subscription has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscriptionTally {
    /// Values that came.
    pub values: u64,
    /// Messages that were missing and were asked for again.
    pub republished: u64,
    /// Messages that were missing and never came.
    pub lost: u64,
    /// Values before which the server threw others away, because they came too fast.
    pub overflows: u64,
}

/// The terms on which a server publishes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Terms {
    pub(crate) id: u32,
    pub(crate) publishing_ns: u64,
    pub(crate) keep_alive_ns: u64,
}

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    pub(crate) now_ns: u64,
    /// It was not there yet at this time.
    pub(crate) since_ns: u64,
}

/// A request to publish, on its way.
#[derive(Debug, Clone, Copy)]
struct Publish {
    request_id: u32,
    /// So many younger ones were answered.
    passed: usize,
}

/// A request for a missing message, on its way.
#[derive(Debug, Clone, Copy)]
struct Republish {
    request_id: u32,
    position: u64,
    asked_ns: u64,
}

/// The requests that are on their way, as they were at some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    publish: usize,
    republish: Option<Republish>,
}

/// A request that is encoded once and patched.
#[derive(Debug)]
struct Template {
    request: Vec<u8>,
    fields: HeaderFields,
    /// Length of what does not change.
    head: usize,
}

/// A subscription to the values of a fixed list of nodes, and the last value of each. It belongs to its session: see
/// [`crate::Session::subscribe`].
#[derive(Debug)]
pub struct Subscription {
    terms: Terms,
    /// The longest interval at which the server looks at a value.
    sampling_ns: u64,
    items: Vec<Notified>,
    /// What each is to be.
    shapes: Vec<Shape>,
    /// Whether the server took each.
    accepted: Vec<u32>,
    sequence: Sequence,
    /// Numbers of messages to be acknowledged.
    acknowledge: Vec<u32>,
    /// Without an answer, oldest first.
    publishing: Vec<Publish>,
    publishing_max: usize,
    republishing: Option<Republish>,
    publish: Template,
    republish: Template,
    /// When a request to publish was last answered.
    answered_ns: u64,
    /// When the server last said something of this subscription.
    heard_ns: u64,
    over: Option<u32>,
    tally: SubscriptionTally,
}

impl Subscription {
    /// A subscription that the server has just created, to so many values. Requests to publish outlive the subscription
    /// before it: they belong to the session. But those of which none was answered for a keep-alive interval are lost.
    pub(crate) fn new(
        token: &[u8],
        terms: Terms,
        shapes: Vec<Shape>,
        before: Option<&Subscription>,
        now_ns: u64,
    ) -> Self {
        let none = Notified { value: ReadValue::MISSING, message: 0, since_ns: 0 };
        let before = before.filter(|before| now_ns.saturating_sub(before.answered_ns) <= before.terms.keep_alive_ns);
        let mut publishing = Vec::with_capacity(PUBLISH_REQUESTS_MAX);
        publishing.extend(before.iter().flat_map(|before| &before.publishing));
        Subscription {
            terms,
            sampling_ns: 0,
            items: vec![none; shapes.len()],
            accepted: vec![0; shapes.len()],
            shapes,
            sequence: Sequence::new(),
            acknowledge: Vec::with_capacity(ACKNOWLEDGEMENTS_MAX),
            publishing,
            publishing_max: before.map_or(PUBLISH_REQUESTS_MAX, |before| before.publishing_max),
            republishing: None,
            publish: Template::new(type_id::PUBLISH_REQUEST, token, 4 + 8 * ACKNOWLEDGEMENTS_MAX),
            republish: Template::new(type_id::REPUBLISH_REQUEST, token, 8),
            answered_ns: before.map_or(now_ns, |before| before.answered_ns),
            heard_ns: now_ns,
            over: None,
            tally: SubscriptionTally::default(),
        }
    }

    /// The last value of each node, in the order of [`crate::Session::subscribe`].
    pub fn values(&self) -> &[Notified] {
        &self.items
    }

    /// Good, or why the server does not take that node, in the same order.
    pub fn accepted(&self) -> &[u32] {
        &self.accepted
    }

    /// The place of the newest message of which is known that it was sent.
    pub fn newest_message(&self) -> u64 {
        self.sequence.newest()
    }

    /// How long a change may take to be told by a server that keeps to what it has agreed to, without the way here, in
    /// nanoseconds: an interval of sampling and one of publishing.
    pub fn delay_ns(&self) -> u64 {
        self.terms.publishing_ns.saturating_add(self.sampling_ns)
    }

    /// Why no more values are to be expected: a status code of the server, or BadTimeout when it has been silent for two of
    /// its keep-alive intervals. `None` while it lives.
    pub fn over(&self) -> Option<u32> {
        self.over
    }

    /// What it has done so far.
    pub fn tally(&self) -> SubscriptionTally {
        SubscriptionTally { lost: self.sequence.lost(), ..self.tally }
    }

    /// The server's number for it.
    pub(crate) fn id(&self) -> u32 {
        self.terms.id
    }

    /// Notes what became of a node when the subscription was set up.
    pub(crate) fn set_accepted(&mut self, index: usize, status: u32, sampling_ns: u64) {
        if let Some(accepted) = self.accepted.get_mut(index) {
            *accepted = status;
        }
        if !is_bad(status) {
            self.sampling_ns = self.sampling_ns.max(sampling_ns);
        }
    }

    // Answers.

    /// Takes in the answer to one of our requests; `false` when the request was somebody else's.
    ///
    /// # Real-time
    /// Bounded by the length of the answer; allocates nothing.
    pub(crate) fn take(
        &mut self,
        request_id: u32,
        answer: Result<&[u8], CallError>,
        came: Came,
    ) -> Result<bool, CallError> {
        let outcome = if let Some(place) = self.publishing.iter().position(|asked| asked.request_id == request_id) {
            self.publishing.remove(place);
            self.answered_ns = came.now_ns;
            self.publishing.iter_mut().take(place).for_each(|older| older.passed += 1);
            self.publishing.retain(|asked| asked.passed < PASSED_MAX);
            answer.and_then(|body| self.take_publish(body, came))
        } else if let Some(asked) = self.republishing.filter(|asked| asked.request_id == request_id) {
            self.republishing = None;
            let outcome = answer.and_then(|body| self.take_republish(body, came));
            // Unless it has come.
            self.sequence.give_up(asked.position);
            outcome
        } else {
            return Ok(false);
        };
        match outcome {
            Err(CallError::Refused { status }) => self.take_refusal(status),
            outcome => outcome?,
        }
        Ok(true)
    }

    fn take_refusal(&mut self, status: u32) {
        match status & CODE_MASK {
            NO_SUBSCRIPTION | SUBSCRIPTION_ID_INVALID => self.over = Some(status),
            TOO_MANY_PUBLISH_REQUESTS => self.publishing_max = self.publishing_max.saturating_sub(1).max(1),
            // A message is lost, or a request was too old: what follows from it is noticed by its number or by the silence.
            _ => {}
        }
    }

    fn take_publish(&mut self, body: &[u8], came: Came) -> Result<(), CallError> {
        let mut reader = services::open_answer(body, type_id::PUBLISH_ANSWER)?;
        let id = reader.u32()?;
        for _ in 0..reader.array_len(ARRAY_LEN_MAX)? {
            reader.u32()?;
        }
        let _more = reader.bool()?;
        // One that was given up may have left something behind.
        if id == self.terms.id {
            self.heard_ns = came.now_ns;
            self.take_message(&mut reader, came)?;
        }
        Ok(())
    }

    fn take_republish(&mut self, body: &[u8], came: Came) -> Result<(), CallError> {
        let mut reader = services::open_answer(body, type_id::REPUBLISH_ANSWER)?;
        self.tally.republished += 1;
        Ok(self.take_message(&mut reader, came)?)
    }

    /// A NotificationMessage (Part 4, 7.21). One without notifications keeps alive, and has the number of the next one.
    fn take_message(&mut self, reader: &mut Reader<'_>, came: Came) -> Result<(), Violation> {
        let number = reader.u32()?;
        let _published = reader.i64()?;
        let notifications = reader.array_len(ARRAY_LEN_MAX)?;
        let position = self.sequence.position(number);
        if notifications == 0 {
            position.into_iter().for_each(|position| self.sequence.announced(position));
            return Ok(());
        }
        let position = position.ok_or(Violation::SequenceNumber)?;
        for _ in 0..notifications {
            match reader.extension_object()? {
                Some((type_id::DATA_CHANGE, mut inside)) => self.take_values(&mut inside, position, came)?,
                Some((type_id::STATUS_CHANGE, mut inside)) => {
                    self.over = Some(inside.u32()?).filter(|status| is_bad(*status)).or(self.over);
                }
                _ => {}
            }
        }
        self.sequence.arrived(position);
        if self.acknowledge.len() < ACKNOWLEDGEMENTS_MAX {
            self.acknowledge.push(number);
        }
        Ok(())
    }

    /// A DataChangeNotification (Part 4, 7.20.2). The values of one node come oldest first.
    fn take_values(&mut self, reader: &mut Reader<'_>, position: u64, came: Came) -> Result<(), Violation> {
        for _ in 0..reader.array_len(NOTIFICATIONS_MAX)? {
            let place = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
            let shape = self.shapes.get(place).copied().unwrap_or(Shape::Scalar);
            let mut value = read_data_value(reader, shape)?;
            self.tally.values += 1;
            if value.status & OVERFLOW != 0 {
                self.tally.overflows += 1;
                value.status &= !(OVERFLOW | HAS_INFO);
            }
            if let Some(item) = self.items.get_mut(place).filter(|item| item.message <= position) {
                *item = Notified { value, message: position, since_ns: came.since_ns };
            }
        }
        Ok(())
    }

    // Requests.

    /// Looks whether the server still keeps to its keep-alive interval, and to an answer that it owes.
    pub(crate) fn watch(&mut self, now_ns: u64) {
        let patience_ns = self.terms.keep_alive_ns.saturating_mul(SILENT_INTERVALS_MAX);
        if now_ns.saturating_sub(self.heard_ns) > patience_ns {
            self.over.get_or_insert(TIMEOUT);
        }
        if let Some(asked) = self.republishing.filter(|asked| now_ns.saturating_sub(asked.asked_ns) > patience_ns) {
            self.republishing = None;
            self.sequence.give_up(asked.position);
        }
    }

    /// Whether there is something to ask for.
    pub(crate) fn has_request(&self) -> bool {
        self.over.is_none() && (self.republish_next().is_some() || self.publishing.len() < self.publishing_max)
    }

    fn republish_next(&self) -> Option<u64> {
        self.sequence.missing().filter(|_| self.republishing.is_none())
    }

    /// What there is to ask for, as a request with this id.
    ///
    /// # Real-time
    /// Bounded by the number of acknowledgements; allocates nothing.
    pub(crate) fn request(&mut self, request_id: u32, timestamp: i64, now_ns: u64) -> &[u8] {
        let id = self.terms.id;
        if let Some(position) = self.republish_next() {
            self.republishing = Some(Republish { request_id, position, asked_ns: now_ns });
            return self.republish.request(request_id, timestamp, |out| {
                out.put_u32(id);
                out.put_u32(Sequence::number(position));
            });
        }
        self.publishing.push(Publish { request_id, passed: 0 });
        let acknowledge = &mut self.acknowledge;
        self.publish.request(request_id, timestamp, |out| {
            out.put_count(acknowledge.len());
            for number in acknowledge.drain(..) {
                out.put_u32(id);
                out.put_u32(number);
            }
        })
    }

    /// The requests that are on their way now.
    pub(crate) fn asked(&self) -> Asked {
        Asked { publish: self.publishing.len(), republish: self.republishing }
    }

    /// What was asked for since then was not sent. What it acknowledged, the server forgets by itself.
    pub(crate) fn take_back(&mut self, asked: Asked) {
        self.publishing.truncate(asked.publish);
        self.republishing = asked.republish;
    }
}

impl Template {
    /// A request of this type, whose variable part takes at most so many bytes.
    fn new(type_id: u16, token: &[u8], variable: usize) -> Self {
        let mut request = Vec::new();
        let fields = services::put_request(&mut request, type_id, token, 0, 0);
        let head = request.len();
        request.reserve(variable);
        Template { request, fields, head }
    }

    fn request(&mut self, request_id: u32, timestamp: i64, put: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.request.truncate(self.head);
        put(&mut self.request);
        self.fields.patch(&mut self.request, timestamp, request_id);
        &self.request
    }
}

#[cfg(test)]
mod tests;
