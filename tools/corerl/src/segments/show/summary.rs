//! A segment: what its header says, what lies in it, and how it is, in words.

use serde::Serialize;
use shm::{Segment, SegmentKind, broadcast, counters, lease};
use shm_layout::{
    CLAIM_WORD, CONTROL_WORD, ConnectionCounter, Counter, LearnerCounter, Shape, TRIPLE_DIRTY, TRIPLE_SLOTS,
};

use super::super::found::{Facts, Owner, now_ns};
use super::super::records::mode_name;
use super::super::states::{layer, named_histograms, weights_slot};
use super::super::{internal, states};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span, table};

pub(super) fn print(agent: &str, segment: &Segment, json: bool) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        agent: &'a str,
        segment: &'static str,
        header: Facts,
        dims: [u32; 4],
        writer_pid: u64,
        state: Vec<String>,
    }
    let header = segment.header();
    let printed = Printed {
        agent,
        segment: header.kind().name(),
        header: Facts::of(segment),
        dims: header.dims(),
        writer_pid: segment.word(CLAIM_WORD).unwrap_or(0),
        state: state(segment)?,
    };
    if json {
        print_json("corerl.shm.show/1", &printed)?;
        return Ok(Exit::Fine);
    }
    let facts = &printed.header;
    let age = facts.age_ns.map_or("an unknown time".to_owned(), span);
    let writer = match u32::try_from(printed.writer_pid) {
        Ok(0) => "nobody yet".to_owned(),
        Ok(pid) => Owner::of(pid).for_people(),
        Err(_) => format!("{}, which is no process", printed.writer_pid),
    };
    let rows = [
        ["segment".to_owned(), format!("{} of {agent}: {}", printed.segment, header.kind().doc())],
        ["owner".to_owned(), format!("{}, made {age} ago", facts.owner.for_people())],
        ["layout".to_owned(), format!("version {}, generation {}", facts.layout_version, facts.generation)],
        ["geometry".to_owned(), geometry(segment)],
        ["writer".to_owned(), writer],
    ];
    let told = printed.state.into_iter().map(|line| ["state".to_owned(), line]);
    print_text(&table(&rows.into_iter().chain(told).collect::<Vec<_>>()))?;
    Ok(Exit::Fine)
}

fn geometry(segment: &Segment) -> String {
    let header = segment.header();
    let shape = match header.kind().shape() {
        Shape::Triple => "triple buffer",
        Shape::Broadcast => "ring",
        Shape::Counters => "words",
        Shape::Histograms => "histograms",
    };
    let [first, second, ..] = header.dims();
    let of = match header.kind() {
        SegmentKind::Cycles => format!(", for {first} setpoints and {second} tags"),
        SegmentKind::Transitions => format!(", for {first} columns and {second} actions"),
        _ => String::new(),
    };
    format!("{shape}, {} slots of {} words, {} bytes{of}", header.slots(), header.slot_words(), header.length_bytes())
}

fn state(segment: &Segment) -> Result<Vec<String>, Failure> {
    Ok(match segment.header().kind() {
        SegmentKind::Cycles | SegmentKind::Transitions | SegmentKind::Events | SegmentKind::Estimates => {
            vec![ring(segment)?]
        }
        SegmentKind::Counters => runtime(&counters::Reader::new(segment).map_err(internal)?),
        SegmentKind::LearnerCounters => learner(&counters::Reader::new(segment).map_err(internal)?),
        SegmentKind::Connections => connections(segment)?,
        SegmentKind::Histograms | SegmentKind::RoundTrips | SegmentKind::LearnerHistograms => distributions(segment)?,
        SegmentKind::Lease => vec![leased(segment)?],
        SegmentKind::Weights => weights(segment),
    })
}

fn ring(segment: &Segment) -> Result<String, Failure> {
    let published = segment.word(CONTROL_WORD).unwrap_or(0);
    let mut newest = broadcast::Reader::new(segment, broadcast::Start::Back(1)).map_err(internal)?;
    let kept = published.min(segment.header().slots() as u64 - 1);
    let first = published - kept;
    let mut words = vec![0; newest.slot_words()];
    Ok(match newest.next(&mut words) {
        broadcast::Next::Empty => "no record yet".to_owned(),
        broadcast::Next::Damaged { .. } => "damaged: it holds what no sound writer writes".to_owned(),
        broadcast::Next::Record { .. } | broadcast::Next::Lost(_) => {
            format!("{published} records published, the oldest one still there is number {first}")
        }
    })
}

fn runtime(reader: &counters::Reader<Counter>) -> Vec<String> {
    let get = |counter| reader.get(counter);
    let armed = if get(Counter::Armed) == 1 { "armed" } else { "not armed" };
    let mode = u8::try_from(get(Counter::Mode)).map_or_else(|_| "unknown mode".to_owned(), mode_name);
    let before = |then: u64| if then == 0 { "never".to_owned() } else { ago(then) };
    vec![
        format!("{mode}, {armed}, period {}", span(get(Counter::Period))),
        format!(
            "{} cycles, {} slots skipped, the latest cycle {}",
            get(Counter::Cycles),
            get(Counter::SlotsSkipped),
            before(get(Counter::TimeLast))
        ),
        format!(
            "{} samples received, {} lost; {} setpoints written, {} rejected",
            get(Counter::SamplesReceived),
            get(Counter::SamplesLost),
            get(Counter::SetpointsWritten),
            get(Counter::SetpointsRejected)
        ),
        format!("policy generation {}, learner epoch {}", get(Counter::PolicyGeneration), get(Counter::LearnerEpoch)),
    ]
}

fn learner(reader: &counters::Reader<LearnerCounter>) -> Vec<String> {
    let get = |counter| reader.get(counter);
    vec![
        format!(
            "{} updates, {} policies published, {} transitions received, {} lost",
            get(LearnerCounter::Updates),
            get(LearnerCounter::PoliciesPublished),
            get(LearnerCounter::TransitionsReceived),
            get(LearnerCounter::TransitionsLost)
        ),
        match get(LearnerCounter::Heartbeat) {
            0 => "no heartbeat yet".to_owned(),
            then => format!("heartbeat {}", ago(then)),
        },
    ]
}

/// How long ago an instant of CLOCK_MONOTONIC is, in words.
fn ago(then_ns: u64) -> String {
    match now_ns().checked_sub(then_ns) {
        Some(age) => format!("{} ago", span(age)),
        None => "in the future".to_owned(),
    }
}

fn distributions(segment: &Segment) -> Result<Vec<String>, Failure> {
    let told = named_histograms(segment)?.into_iter().map(|(name, snapshot)| {
        let shown = |value: Option<u64>| value.map_or("-".to_owned(), span);
        format!(
            "{name}: {} values, p50 {}, p99 {}, max {}",
            snapshot.count(),
            shown(snapshot.quantile_ns(0.5)),
            shown(snapshot.quantile_ns(0.99)),
            shown(snapshot.max_ns())
        )
    });
    Ok(told.collect())
}

/// What the calls of each connection came to.
fn connections(segment: &Segment) -> Result<Vec<String>, Failure> {
    let readers = counters::Reader::<ConnectionCounter>::all(segment).map_err(internal)?;
    let told = readers.iter().enumerate().map(|(place, reader)| {
        let counts = ConnectionCounter::ALL.iter().map(|&counter| format!("{counter} {}", reader.get(counter)));
        format!("connection {place}: {}", counts.collect::<Vec<_>>().join(", "))
    });
    Ok(told.collect())
}

fn leased(segment: &Segment) -> Result<String, Failure> {
    let until = |until_ms: u64| {
        let now_ms = now_ns() / 1_000_000;
        match until_ms.checked_sub(now_ms) {
            Some(left) => format!("for another {left} ms"),
            None => format!("run out {} ms ago", now_ms - until_ms),
        }
    };
    Ok(match lease::look(segment).map_err(internal)? {
        lease::State::Vacant => "vacant: nobody may write by it".to_owned(),
        lease::State::Held { epoch, until_ms } => format!("held under epoch {epoch}, {}", until(until_ms)),
        lease::State::Offered { epoch, armed, .. } => {
            let armed = if armed { ", armed" } else { "" };
            format!("offered to whoever stands by, epoch {epoch}{armed}")
        }
        lease::State::Taken { by } => format!("taken by whoever stood by, under epoch {by}"),
    })
}

fn weights(segment: &Segment) -> Vec<String> {
    let control = segment.word(CONTROL_WORD).unwrap_or(0);
    let middle = usize::try_from(control & !TRIPLE_DIRTY).unwrap_or(usize::MAX);
    if middle >= TRIPLE_SLOTS {
        return vec![format!("damaged: its control word is {control:#x}")];
    }
    let seen =
        if control & TRIPLE_DIRTY != 0 { "not yet looked at by the runtime" } else { "looked at by the runtime" };
    let slots = (0..TRIPLE_SLOTS).map(|slot| {
        let words = weights_slot(segment, slot);
        let place =
            if slot == middle { format!("slot {slot}, the middle one, {seen}") } else { format!("slot {slot}") };
        format!("{place}: {}", network(&words))
    });
    slots.collect()
}

/// A network in words. What is in a slot that is being written is half of one.
fn network(words: &[u64]) -> String {
    if states::is_empty(words) {
        return "empty".to_owned();
    }
    match policy::wire::whole(words) {
        Ok((header, parameters)) => {
            let layers = header.shape().map(|shape| shape.layers().iter().map(layer).collect::<Vec<_>>().join(", "));
            let wild = parameters.iter().filter(|value| !value.is_finite()).count();
            let wild = if wild > 0 { format!(", {wild} of them not finite") } else { String::new() };
            format!(
                "generation {}, epoch {}, {} parameters{wild} ({})",
                header.generation,
                header.epoch,
                parameters.len(),
                layers.unwrap_or_default()
            )
        }
        Err(refused) => format!("not whole: {refused}"),
    }
}
