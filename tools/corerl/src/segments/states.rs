//! Segments that hold a present state: counters, histograms, weights.

use serde_json::{Map, Value, json};
use shm::histogram::{self, Snapshot};
use shm::lease::{self, State};
use shm::{Segment, SegmentKind, counters};
use shm_layout::{
    Activation, CLAIM_WORD, CONTROL_WORD, ConnectionCounter, DATA_WORD, HistogramKind, LearnerCounter,
    LearnerHistogram, RoundTrip, TRIPLE_SLOTS, WEIGHTS_HEADER_BYTES, WEIGHTS_HEADER_WORDS, WeightsHeader,
};

use super::{Content, internal};
use crate::failure::Failure;
use crate::output::{span, table};

pub(super) fn counters<C: counters::Table + PartialEq + 'static>(
    segment: &Segment,
    all: &[C],
    name: fn(C) -> &'static str,
    doc: fn(C) -> &'static str,
) -> Result<Content, Failure> {
    let reader = counters::Reader::<C>::new(segment).map_err(internal)?;
    let is_float = |counter| LearnerCounter::from_name(name(counter)).is_some_and(LearnerCounter::is_float);
    let value = |counter: C| {
        let word = reader.get(counter);
        if is_float(counter) { json!(f64::from_bits(word)) } else { json!(word) }
    };
    let values: Vec<(C, Value)> = all.iter().map(|&counter| (counter, value(counter))).collect();
    let rows = values.iter().map(|(counter, value)| [name(*counter).into(), value.to_string(), doc(*counter).into()]);
    let text = table(&rows.collect::<Vec<[String; 3]>>());
    let json: Map<String, Value> = values.into_iter().map(|(counter, value)| (name(counter).into(), value)).collect();
    Ok(Content { json: json!({ "counters": json }), text })
}

pub(super) fn lease(segment: &Segment) -> Result<Content, Failure> {
    let state = lease::look(segment).map_err(internal)?;
    let (name, epoch, until_ms) = match state {
        State::Vacant => ("vacant", 0, None),
        State::Held { epoch, until_ms } => ("held", epoch, Some(until_ms)),
        State::Offered { epoch, until_ms, .. } => ("offered", epoch, Some(until_ms)),
        State::Taken { by } => ("taken", by, None),
    };
    let until = until_ms.map_or(String::new(), |until| format!(" until {until} ms of CLOCK_MONOTONIC"));
    let text = format!("{name}, epoch {epoch}{until}\n");
    Ok(Content { json: json!({ "state": name, "epoch": epoch, "until_ms": until_ms }), text })
}

/// The counters of each connection, in the order of the site file.
pub(super) fn connections(segment: &Segment) -> Result<Content, Failure> {
    let readers = counters::Reader::<ConnectionCounter>::all(segment).map_err(internal)?;
    let mut rows = vec![["connection", "counter", "value", "meaning"].map(String::from)];
    let mut json = Vec::new();
    for (place, reader) in readers.iter().enumerate() {
        let values = ConnectionCounter::ALL.iter().map(|&counter| (counter, reader.get(counter)));
        rows.extend(values.clone().map(|(counter, value)| {
            [place.to_string(), counter.name().into(), value.to_string(), counter.doc().into()]
        }));
        json.push(values.map(|(counter, value)| (counter.name().into(), value.into())).collect::<Map<_, _>>());
    }
    Ok(Content { json: json!({ "connections": json }), text: table(&rows) })
}

/// The histograms of a segment by their names: of a round trip the connection's place in the site file, and the call.
pub(super) fn named_histograms(segment: &Segment) -> Result<Vec<(String, Snapshot)>, Failure> {
    let names: Vec<String> = match segment.header().kind() {
        SegmentKind::RoundTrips => {
            let connections = 0..segment.header().dims()[0];
            connections.flat_map(|place| RoundTrip::ALL.iter().map(move |call| format!("{place}.{call}"))).collect()
        }
        SegmentKind::LearnerHistograms => LearnerHistogram::ALL.iter().map(ToString::to_string).collect(),
        _ => HistogramKind::ALL.iter().map(ToString::to_string).collect(),
    };
    let readers = histogram::Reader::all(segment).map_err(internal)?;
    Ok(names.into_iter().zip(readers.iter().map(histogram::Reader::snapshot)).collect())
}

pub(super) fn histograms(segment: &Segment) -> Result<Content, Failure> {
    let mut json = Map::new();
    let mut rows = vec![["", "count", "min", "p50", "p99", "p99.9", "max"].map(String::from)];
    for (name, snapshot) in named_histograms(segment)? {
        let quantiles = [0.5, 0.99, 0.999].map(|q| snapshot.quantile_ns(q));
        let shown = |value: Option<u64>| value.map_or("-".into(), span);
        let [p50, p99, p999] = quantiles;
        rows.push([
            name.clone(),
            snapshot.count().to_string(),
            shown(snapshot.min_ns()),
            shown(p50),
            shown(p99),
            shown(p999),
            shown(snapshot.max_ns()),
        ]);
        json.insert(
            name,
            json!({
                "count": snapshot.count(),
                "min_ns": snapshot.min_ns(),
                "mean_ns": snapshot.mean_ns(),
                "p50_ns": p50,
                "p99_ns": p99,
                "p999_ns": p999,
                "max_ns": snapshot.max_ns(),
                "buckets": snapshot.buckets().collect::<Vec<_>>(),
            }),
        );
    }
    Ok(Content { json: json!({ "histograms": json }), text: table(&rows) })
}

/// The three slots' headers. A read-only descriptor cannot take part in the exchange of slots, so the bytes are read as
/// they are: a slot that is being written shows what is there at this instant, and a header that makes no sense says so.
pub(super) fn weights(segment: &Segment) -> Content {
    let word = |index| segment.word(index).unwrap_or(0);
    let control = word(CONTROL_WORD);
    let mut slots = Vec::new();
    let mut rows = vec![["slot", "generation", "epoch", "updates", "layers"].map(String::from)];
    for (slot, words) in published_weights(segment).iter().enumerate() {
        let Some(header) = WeightsHeader::from_words(words) else { continue };
        let layers = match header.shape() {
            Ok(shape) => shape.layers().iter().map(layer).collect::<Vec<_>>().join(", "),
            Err(_) if is_empty(words) => "empty".into(),
            Err(refused) => refused.to_string(),
        };
        rows.push([
            slot.to_string(),
            header.generation.to_string(),
            header.epoch.to_string(),
            header.updates.to_string(),
            layers.clone(),
        ]);
        slots.push(json!({
            "generation": header.generation,
            "epoch": header.epoch,
            "updates": header.updates,
            "tag_list_hash": format!("{:016x}", header.tag_list_hash),
            "payload_bytes": header.payload_bytes,
            "imputer_layers": header.imputer_layers,
            "layers": layers,
        }));
    }
    let writer_pid = word(CLAIM_WORD);
    let text =
        format!("{}writer {writer_pid}, control word {control}, header {WEIGHTS_HEADER_BYTES} bytes\n", table(&rows));
    Content { json: json!({ "writer_pid": writer_pid, "control": control, "slots": slots }), text }
}

/// The words of the three slots. Whoever wants to use a network among them has to verify it: it may be half of another one.
pub(crate) fn published_weights(segment: &Segment) -> Vec<Vec<u64>> {
    (0..TRIPLE_SLOTS).map(|slot| weights_slot(segment, slot)).collect()
}

/// Whether nothing was ever put there.
pub(super) fn is_empty(words: &[u64]) -> bool {
    words.iter().take(WEIGHTS_HEADER_WORDS).all(|word| *word == 0)
}

/// The words of one of them.
pub(super) fn weights_slot(segment: &Segment, slot: usize) -> Vec<u64> {
    let slot_words = segment.header().slot_words();
    let start = DATA_WORD + slot * slot_words;
    (start..start + slot_words).map(|index| segment.word(index).unwrap_or(0)).collect()
}

pub(super) fn layer(dims: &shm_layout::LayerDims) -> String {
    let activation = Activation::from_code(dims.activation).map_or("?", Activation::name);
    format!("{} to {} {activation}", dims.inputs, dims.outputs)
}
