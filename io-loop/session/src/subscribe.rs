//! Setting a subscription up (Part 4, 5.13.2 and 5.12.2). This may allocate, and waits for its answers.

use std::time::Duration;

use crate::{
    CallError, ValueId, Violation,
    codec::Put,
    limits::ARRAY_LEN_MAX,
    link::Link,
    plan::Shape,
    services::{self, attribute, type_id},
    status::is_bad,
    subscription::{Subscription, Terms},
};

const MILLISECOND_NS: f64 = 1e6;
/// A server that has nothing to tell says so this often.
const KEEP_ALIVE_MS: f64 = 1_000.0;
/// The server forgets a subscription for which nobody asks during so many keep-alive intervals (Part 4, 5.13.2: at least
/// three).
const LIFE_INTERVALS: u32 = 10;
/// Values of a node that the server keeps from one message to the next. The newest one counts; with room for two, it says
/// when it throws one away.
const QUEUE: u32 = 2;

/// Creates a subscription on this link, in place of one that was there.
pub(crate) fn subscribe(
    link: &mut Link,
    token: &[u8],
    (values, every, per_call): (&[ValueId], Duration, usize),
    deadline_ns: u64,
) -> Result<(), CallError> {
    let every_ms = every.as_secs_f64() * 1e3;
    if let Some(old) = link.subscription().map(Subscription::id) {
        delete(link, token, old, deadline_ns)?;
    }
    let terms = create(link, token, every_ms, deadline_ns)?;
    let shapes = values.iter().map(Shape::of).collect();
    let new = Subscription::new(token, terms, shapes, link.subscription(), link.now_ns());
    link.set_subscription(Some(new));
    let taken = add_items(link, token, terms.id, (values, every_ms, per_call), deadline_ns);
    if let Err(error) = taken {
        link.set_subscription(None);
        // Whoever is not asked to publish is silent, and forgotten in the end.
        let _ = delete(link, token, terms.id, deadline_ns);
        return Err(error);
    }
    Ok(())
}

fn create(link: &mut Link, token: &[u8], every_ms: f64, deadline_ns: u64) -> Result<Terms, CallError> {
    let keep_alive = (KEEP_ALIVE_MS / every_ms).clamp(1.0, KEEP_ALIVE_MS) as u32;
    link.request(deadline_ns, |out, handle, timestamp| {
        services::put_request(out, type_id::CREATE_SUBSCRIPTION_REQUEST, token, handle, timestamp);
        out.put_f64(every_ms);
        out.put_u32(keep_alive * LIFE_INTERVALS);
        out.put_u32(keep_alive);
        // No limit to the notifications of a message, publishing enabled, the usual priority.
        out.put_u32(0);
        out.put_u8(1);
        out.put_u8(0);
    })?;
    let mut reader = services::open_answer(link.channel.body(), type_id::CREATE_SUBSCRIPTION_ANSWER)?;
    let (id, publishing_ms) = (reader.u32()?, reader.f64()?);
    let (_life, keep_alive) = (reader.u32()?, reader.u32()?);
    let publishing_ns = nanoseconds(publishing_ms);
    Ok(Terms { id, publishing_ns, keep_alive_ns: publishing_ns.saturating_mul(keep_alive.max(1).into()) })
}

/// An interval as servers give it; negative or nothing is zero.
fn nanoseconds(ms: f64) -> u64 {
    (ms * MILLISECOND_NS) as u64
}

fn add_items(
    link: &mut Link,
    token: &[u8],
    id: u32,
    (values, every_ms, per_call): (&[ValueId], f64, usize),
    deadline_ns: u64,
) -> Result<(), CallError> {
    let mut first = 0;
    let mut refusal = None;
    for values in values.chunks(per_call.max(1)) {
        link.request(deadline_ns, |out, handle, timestamp| {
            put_items(out, (token, handle, timestamp), id, (first, values), every_ms);
        })?;
        let bad = take_items(link, first, values.len())?;
        refusal = refusal.or(bad);
        first += values.len();
    }
    let accepted = link.subscription().map(Subscription::accepted).unwrap_or_default();
    match refusal {
        Some(status) if accepted.iter().all(|status| is_bad(*status)) => Err(CallError::Refused { status }),
        _ => Ok(()),
    }
}

fn put_items(
    out: &mut Vec<u8>,
    (token, handle, timestamp): (&[u8], u32, i64),
    id: u32,
    (first, values): (usize, &[ValueId]),
    every_ms: f64,
) {
    /// TimestampsToReturn: the source's.
    const SOURCE: i32 = 0;
    /// MonitoringMode: what is sampled is told.
    const REPORTING: i32 = 2;
    services::put_request(out, type_id::CREATE_ITEMS_REQUEST, token, handle, timestamp);
    out.put_u32(id);
    out.put_i32(SOURCE);
    out.put_count(values.len());
    for (index, ValueId { node, element }) in (first..).zip(values) {
        services::put_read_item(out, node, attribute::VALUE, *element);
        out.put_i32(REPORTING);
        // The client handle: the value's place.
        out.put_u32(u32::try_from(index).unwrap_or(u32::MAX));
        out.put_f64(every_ms);
        // No filter: every change of value or status is told. The oldest value gives way.
        out.extend_from_slice(&[0, 0, 0]);
        out.put_u32(QUEUE);
        out.put_u8(1);
    }
}

/// Takes in what became of the nodes from `first` on; the first refusal among them.
fn take_items(link: &mut Link, first: usize, count: usize) -> Result<Option<u32>, CallError> {
    let (body, subscription) = link.body_and_subscription();
    let mut reader = services::open_answer(body, type_id::CREATE_ITEMS_ANSWER)?;
    if reader.array_len(ARRAY_LEN_MAX)? != count {
        return Err(Violation::ResultCount.into());
    }
    let mut refusal = None;
    let Some(subscription) = subscription else { return Ok(None) };
    for index in first..first + count {
        let status = reader.u32()?;
        let (_item, sampling_ms, _queue) = (reader.u32()?, reader.f64()?, reader.u32()?);
        reader.skip_extension_object()?;
        subscription.set_accepted(index, status, nanoseconds(sampling_ms));
        if is_bad(status) {
            refusal.get_or_insert(status);
        }
    }
    Ok(refusal)
}

/// Whatever the server answers, it does not have it any more.
fn delete(link: &mut Link, token: &[u8], id: u32, deadline_ns: u64) -> Result<(), CallError> {
    link.request(deadline_ns, |out, handle, timestamp| {
        services::put_request(out, type_id::DELETE_SUBSCRIPTIONS_REQUEST, token, handle, timestamp);
        out.put_count(1);
        out.put_u32(id);
    })
}

#[cfg(test)]
mod tests;
