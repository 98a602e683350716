//! Requests made ready: encoded once, patched and sent many times; answers decoded in place.

use crate::{
    CallError, PrepareError, ReadValue, ScalarKind, ValueId, ValueKind, Violation, WriteValue,
    codec::{DATA_VALUE_HAS_VALUE, Put, Reader, VARIANT_ARRAY, VARIANT_TYPE_MASK},
    limits::{ARRAY_LEN_MAX, PLAN_NODES_MAX},
    services::{self, HeaderFields, attribute, type_id},
};

/// A read of the values of a fixed set of nodes.
#[derive(Debug)]
pub struct ReadPlan {
    session: u64,
    pub(crate) batches: Vec<ReadBatch>,
    len: usize,
}

/// One Read request.
#[derive(Debug)]
pub(crate) struct ReadBatch {
    request: Vec<u8>,
    fields: HeaderFields,
    /// What each result is to be.
    pub(crate) shapes: Vec<Shape>,
}

/// What a value is to be in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    /// An array of one, which is how a server answers when one element is asked for (Part 4, 7.27).
    Element,
}

impl Shape {
    pub(crate) fn of(value: &ValueId) -> Self {
        if value.element.is_some() { Shape::Element } else { Shape::Scalar }
    }
}

impl ReadPlan {
    pub(crate) fn new(session: u64, token: &[u8], of: &[ValueId], per_request: usize) -> Result<Self, PrepareError> {
        check_len(of.len())?;
        let batches = of
            .chunks(per_request.max(1))
            .map(|of| {
                let mut request = Vec::new();
                let fields = services::put_read(&mut request, token, of.len());
                for ValueId { node, element } in of {
                    services::put_read_item(&mut request, node, attribute::VALUE, *element);
                }
                ReadBatch { request, fields, shapes: of.iter().map(Shape::of).collect() }
            })
            .collect();
        Ok(ReadPlan { session, batches, len: of.len() })
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Refuses a plan of another session, and a slice of another length.
    pub(crate) fn check(&self, session: u64, out_len: usize) -> Result<(), CallError> {
        check_use(self.session, session, self.len, out_len)
    }
}

impl ReadBatch {
    /// The request with this handle.
    pub(crate) fn request(&mut self, handle: u32, timestamp: i64) -> &[u8] {
        self.fields.patch(&mut self.request, timestamp, handle);
        &self.request
    }
}

/// A write to some or all of a fixed set of nodes.
#[derive(Debug)]
pub struct WritePlan {
    session: u64,
    per_request: usize,
    kinds: Vec<ScalarKind>,
    /// Type, header and room for the number of items.
    head: Vec<u8>,
    fields: HeaderFields,
    /// Every item up to its value, one after the other.
    items: Vec<u8>,
    /// Where each item ends.
    item_ends: Vec<usize>,
    request: Vec<u8>,
}

/// Which values of a write one request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteBatch {
    /// The first value that was looked at.
    pub(crate) first: usize,
    /// The first value that was not.
    pub(crate) end: usize,
    /// How many items are in the request.
    pub(crate) count: usize,
}

/// Size of the item count behind the header, in bytes.
const COUNT_BYTES: usize = 4;

impl WritePlan {
    pub(crate) fn new(
        session: u64,
        token: &[u8],
        nodes: &[(ValueId, ScalarKind)],
        per_request: usize,
    ) -> Result<Self, PrepareError> {
        check_len(nodes.len())?;
        let mut head = Vec::new();
        let fields = services::put_request(&mut head, type_id::WRITE_REQUEST, token, 0, 0);
        head.put_count(0);
        let (mut items, mut item_ends) = (Vec::new(), Vec::new());
        for (ValueId { node, element }, kind) in nodes {
            items.put_node_id(node);
            items.put_u32(attribute::VALUE);
            services::put_index_range(&mut items, *element);
            // A DataValue with nothing but the value: many servers refuse to take status or time.
            items.put_u8(DATA_VALUE_HAS_VALUE);
            if element.is_some() {
                items.put_u8(*kind as u8 | VARIANT_ARRAY);
                items.put_count(1);
            } else {
                items.put_u8(*kind as u8);
            }
            item_ends.push(items.len());
        }
        let values: usize = nodes.iter().map(|(_, kind)| kind.size()).sum();
        let request = Vec::with_capacity(head.len() + items.len() + values);
        let kinds = nodes.iter().map(|(_, kind)| *kind).collect();
        Ok(WritePlan { session, per_request: per_request.max(1), kinds, head, fields, items, item_ends, request })
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Data type of each node.
    pub fn kinds(&self) -> &[ScalarKind] {
        &self.kinds
    }

    /// Refuses a plan of another session, slices of another length, and values that cannot be sent.
    pub(crate) fn check(&self, session: u64, values: &[Option<f64>], status_len: usize) -> Result<(), CallError> {
        check_use(self.session, session, self.len(), values.len())?;
        check_use(self.session, session, self.len(), status_len)?;
        for (index, (value, kind)) in values.iter().zip(&self.kinds).enumerate() {
            if let Some(value) = value {
                WriteValue::from_f64(*kind, *value).map_err(|refused| CallError::Value { index, refused })?;
            }
        }
        Ok(())
    }

    /// Whether these values fit one request.
    pub(crate) fn fits_one(&self, values: &[Option<f64>]) -> bool {
        values.iter().flatten().count() <= self.per_request
    }

    /// Encodes the next request from `first` on; `None` when no value is left.
    pub(crate) fn encode(&mut self, values: &[Option<f64>], first: usize) -> Result<Option<WriteBatch>, CallError> {
        let WritePlan { kinds, head, items, item_ends, request, per_request, .. } = self;
        request.clear();
        request.extend_from_slice(head);
        let mut batch = WriteBatch { first, end: first, count: 0 };
        let starts = std::iter::once(0).chain(item_ends.iter().copied());
        let spans = starts.zip(item_ends.iter().copied());
        let all = values.iter().zip(kinds.iter()).zip(spans).enumerate();
        for (index, ((value, kind), (start, end))) in all.skip(first) {
            if batch.count == *per_request {
                break;
            }
            batch.end = index + 1;
            let Some(value) = value else { continue };
            let value = WriteValue::from_f64(*kind, *value).map_err(|refused| CallError::Value { index, refused })?;
            request.extend_from_slice(items.get(start..end).unwrap_or_default());
            value.encode(request);
            batch.count += 1;
        }
        let count = i32::try_from(batch.count).unwrap_or(i32::MAX).to_le_bytes();
        let count_at = head.len() - COUNT_BYTES;
        request.get_mut(count_at..head.len()).unwrap_or_default().copy_from_slice(&count);
        Ok((batch.count > 0).then_some(batch))
    }

    /// The encoded request with this handle.
    pub(crate) fn request(&mut self, handle: u32, timestamp: i64) -> &[u8] {
        self.fields.patch(&mut self.request, timestamp, handle);
        &self.request
    }
}

fn check_len(found: usize) -> Result<(), PrepareError> {
    if found > PLAN_NODES_MAX { Err(PrepareError::TooManyNodes { found, max: PLAN_NODES_MAX }) } else { Ok(()) }
}

fn check_use(plan_session: u64, session: u64, expected: usize, found: usize) -> Result<(), CallError> {
    if plan_session != session {
        return Err(CallError::ForeignPlan);
    }
    if expected != found {
        return Err(CallError::Shape { expected, found });
    }
    Ok(())
}

/// Decodes the answer to a Read in place.
///
/// # Real-time
/// Bounded by the length of the answer; allocates nothing.
pub(crate) fn decode_read(body: &[u8], shapes: &[Shape], out: &mut [ReadValue]) -> Result<(), CallError> {
    let mut reader = services::open_answer(body, type_id::READ_ANSWER)?;
    if reader.array_len(ARRAY_LEN_MAX)? != out.len() {
        return Err(Violation::ResultCount.into());
    }
    for (slot, shape) in out.iter_mut().zip(shapes) {
        *slot = read_data_value(&mut reader, *shape)?;
    }
    Ok(())
}

pub(crate) fn read_data_value(reader: &mut Reader<'_>, shape: Shape) -> Result<ReadValue, Violation> {
    let mask = reader.u8()?;
    let (kind, value) =
        if mask & DATA_VALUE_HAS_VALUE != 0 { read_variant(reader, shape)? } else { (ValueKind::Missing, f64::NAN) };
    let (status, source_time) = reader.data_value_tail(mask)?;
    Ok(ReadValue { value, status, source_time, kind })
}

fn read_variant(reader: &mut Reader<'_>, shape: Shape) -> Result<(ValueKind, f64), Violation> {
    /// Number of elements, encoded.
    const ONE: [u8; 4] = 1_i32.to_le_bytes();
    let encoding = reader.u8()?;
    let type_id = encoding & VARIANT_TYPE_MASK;
    let array = encoding & VARIANT_ARRAY != 0;
    let is_one = encoding == type_id | VARIANT_ARRAY && reader.rest().starts_with(&ONE);
    match (ScalarKind::from_type_id(type_id), shape) {
        (Some(kind), Shape::Scalar) if !array => Ok((ValueKind::Scalar(kind), read_scalar(reader, kind)?)),
        (Some(kind), Shape::Element) if is_one => {
            reader.take(ONE.len())?;
            Ok((ValueKind::Scalar(kind), read_scalar(reader, kind)?))
        }
        _ => {
            reader.skip_variant_value(encoding, 0)?;
            let kind = if encoding == 0 { ValueKind::Missing } else { ValueKind::Mismatch { type_id, array } };
            Ok((kind, f64::NAN))
        }
    }
}

fn read_scalar(reader: &mut Reader<'_>, kind: ScalarKind) -> Result<f64, Violation> {
    Ok(match kind {
        ScalarKind::Boolean => f64::from(u8::from(reader.bool()?)),
        ScalarKind::SByte => f64::from(reader.i8()?),
        ScalarKind::Byte => f64::from(reader.u8()?),
        ScalarKind::Int16 => f64::from(reader.i16()?),
        ScalarKind::UInt16 => f64::from(reader.u16()?),
        ScalarKind::Int32 => f64::from(reader.i32()?),
        ScalarKind::UInt32 => f64::from(reader.u32()?),
        // To the nearest: documented at ReadValue.
        ScalarKind::Int64 => reader.i64()? as f64,
        ScalarKind::UInt64 => reader.u64()? as f64,
        ScalarKind::Float => f64::from(reader.f32()?),
        ScalarKind::Double => reader.f64()?,
    })
}

/// Decodes the answer to a Write in place: `batch` says which of `values` it is about.
///
/// # Real-time
/// Bounded by the length of the answer; allocates nothing.
pub(crate) fn decode_write(
    body: &[u8],
    batch: WriteBatch,
    values: &[Option<f64>],
    status: &mut [u32],
) -> Result<(), CallError> {
    let mut reader = services::open_answer(body, type_id::WRITE_ANSWER)?;
    if reader.array_len(ARRAY_LEN_MAX)? != batch.count {
        return Err(Violation::ResultCount.into());
    }
    let span = batch.first..batch.end;
    let values = values.get(span.clone()).unwrap_or_default();
    let status = status.get_mut(span).unwrap_or_default();
    for (slot, _) in status.iter_mut().zip(values).filter(|(_, value)| value.is_some()) {
        *slot = reader.u32()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua_types::NodeId;
    use proptest::prelude::*;

    const SCALARS: &[Shape] = &[Shape::Scalar; 64];

    fn answer(type_id: u16) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_type_id(type_id);
        out.put_i64(0);
        out.put_u32(1);
        out.put_u32(0);
        out.put_u8(0);
        out.put_null();
        out.extend_from_slice(&[0, 0, 0]);
        out
    }

    fn read_answer(results: &[&[u8]]) -> Vec<u8> {
        let mut body = answer(634);
        body.put_count(results.len());
        body.extend(results.concat());
        body.put_null();
        body
    }

    fn scalar(value: WriteValue) -> Vec<u8> {
        let mut out = vec![0x01, value.kind() as u8];
        value.encode(&mut out);
        out
    }

    #[test]
    fn every_scalar_is_read_as_it_was_encoded() {
        let values = [
            (WriteValue::Boolean(true), 1.0),
            (WriteValue::SByte(-5), -5.0),
            (WriteValue::Byte(200), 200.0),
            (WriteValue::Int16(-300), -300.0),
            (WriteValue::UInt16(60_000), 60_000.0),
            (WriteValue::Int32(-70_000), -70_000.0),
            (WriteValue::UInt32(4_000_000_000), 4_000_000_000.0),
            (WriteValue::Int64(-5_000_000_000), -5_000_000_000.0),
            (WriteValue::UInt64(5_000_000_000), 5_000_000_000.0),
            (WriteValue::Float(0.5), 0.5),
            (WriteValue::Double(-1.25), -1.25),
        ];
        for (written, expected) in values {
            let mut out = [ReadValue::MISSING];
            decode_read(&read_answer(&[&scalar(written)]), SCALARS, &mut out).unwrap();
            assert_eq!(out[0].kind, ValueKind::Scalar(written.kind()));
            assert_eq!(out[0].value, expected);
        }
    }

    #[test]
    fn status_and_source_time_are_taken_and_server_time_is_skipped() {
        let mut result = vec![0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x20, 11];
        result.put_f64(3.5);
        result.put_u32(0x4000_0000);
        result.put_i64(1234);
        result.put_u16(1);
        result.put_i64(9999);
        result.put_u16(2);
        let next = scalar(WriteValue::Double(7.0));
        let mut out = [ReadValue::MISSING; 2];
        decode_read(&read_answer(&[&result, &next]), SCALARS, &mut out).unwrap();
        assert_eq!((out[0].value, out[0].status, out[0].source_time), (3.5, 0x4000_0000, 1234));
        assert_eq!(out[1].value, 7.0);
    }

    #[test]
    fn f49_what_is_no_scalar_is_named_and_stepped_over() {
        let text: &[u8] = &[0x01, 12, 2, 0, 0, 0, b'h', b'i'];
        let array: &[u8] = &[0x01, 0x80 | 1, 2, 0, 0, 0, 1, 0];
        let bad: &[u8] = &[0x02, 0, 0, 0x34, 0x80];
        let last = scalar(WriteValue::Int32(9));
        let mut out = [ReadValue::MISSING; 4];
        decode_read(&read_answer(&[text, array, bad, &last]), SCALARS, &mut out).unwrap();
        assert_eq!(out[0].kind, ValueKind::Mismatch { type_id: 12, array: false });
        assert_eq!(out[1].kind, ValueKind::Mismatch { type_id: 1, array: true });
        assert_eq!((out[2].kind, out[2].status), (ValueKind::Missing, 0x8034_0000));
        assert_eq!(out[3].value, 9.0);
        assert!(out[..3].iter().all(|value| value.value.is_nan()));
    }

    #[test]
    fn f49_one_element_is_an_array_of_one_and_nothing_else_is() {
        let array = |count: u8, kind: WriteValue| {
            let mut out = vec![0x01, 0x80 | kind.kind() as u8, count, 0, 0, 0];
            (0..count).for_each(|_| kind.encode(&mut out));
            out
        };
        let seven = WriteValue::Int16(7);
        let results = [array(1, seven), array(2, seven), array(0, seven), scalar(seven)];
        let results: Vec<&[u8]> = results.iter().map(Vec::as_slice).collect();
        let values = |shape: Shape| {
            let mut out = [ReadValue::MISSING; 4];
            decode_read(&read_answer(&results), &[shape; 4], &mut out).unwrap();
            out.map(|value| value.value)
        };
        let [one, two, none, scalar] = values(Shape::Element);
        assert!(one == 7.0 && two.is_nan() && none.is_nan() && scalar.is_nan());
        let [one, two, none, scalar] = values(Shape::Scalar);
        assert!(one.is_nan() && two.is_nan() && none.is_nan() && scalar == 7.0);
    }

    #[test]
    fn an_answer_with_another_number_of_results_is_refused() {
        let body = read_answer(&[&scalar(WriteValue::Double(1.0))]);
        let refused = Err(CallError::Violation(Violation::ResultCount));
        assert_eq!(decode_read(&body, SCALARS, &mut [ReadValue::MISSING; 2]), refused);
    }

    fn plan(per_request: usize) -> WritePlan {
        let nodes: Vec<_> = (0..5u32).map(|i| (NodeId::new(2, 1000 + i).into(), ScalarKind::Double)).collect();
        WritePlan::new(1, services::NO_TOKEN, &nodes, per_request).unwrap()
    }

    #[test]
    fn a_subset_is_written_alone_and_its_results_go_to_their_places() {
        let mut plan = plan(10);
        let values = [None, Some(1.0), None, Some(2.0), None];
        let batch = plan.encode(&values, 0).unwrap().unwrap();
        assert_eq!(batch.count, 2);
        let mut body = answer(676);
        body.put_count(2);
        body.put_u32(7);
        body.put_u32(8);
        body.put_null();
        let mut status = [1; 5];
        decode_write(&body, batch, &values, &mut status).unwrap();
        assert_eq!(status, [1, 7, 1, 8, 1]);
    }

    #[test]
    fn f50_a_write_beyond_the_servers_limit_is_split() {
        let mut plan = plan(2);
        let values = [Some(0.0), None, Some(1.0), Some(2.0), None];
        let first = plan.encode(&values, 0).unwrap().unwrap();
        assert_eq!((first.first, first.end, first.count), (0, 3, 2));
        let second = plan.encode(&values, first.end).unwrap().unwrap();
        assert_eq!((second.first, second.end, second.count), (3, 5, 1));
        assert_eq!(plan.encode(&values, second.end).unwrap(), None);
    }

    #[test]
    fn no_value_at_all_makes_no_request() {
        assert_eq!(plan(2).encode(&[None; 5], 0).unwrap(), None);
    }

    #[test]
    fn f49_a_value_that_does_not_fit_is_refused_before_anything_is_encoded() {
        let values = [Some(0.0), Some(f64::NAN), None, None, None];
        assert!(matches!(plan(2).check(1, &values, 5), Err(CallError::Value { index: 1, .. })));
        assert_eq!(plan(2).check(1, &values[..4], 5), Err(CallError::Shape { expected: 5, found: 4 }));
        assert_eq!(plan(2).check(2, &values, 5), Err(CallError::ForeignPlan));
    }

    #[test]
    fn the_request_carries_handle_time_and_count() {
        let mut plan = plan(10);
        plan.encode(&[Some(1.0); 5], 0).unwrap();
        let request = plan.request(0xABCD, 42).to_vec();
        assert_eq!(request[6..14], 42i64.to_le_bytes());
        assert_eq!(request[14..18], 0xABCDu32.to_le_bytes());
        assert_eq!(request[33..37], 5u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_cyclic_decoder_panic(
            tail in prop::collection::vec(any::<u8>(), 0..200),
            flip in any::<prop::sample::Index>(),
            with: u8,
        ) {
            let mut out = [ReadValue::MISSING; 3];
            let mut body = [answer(634), vec![3, 0, 0, 0], tail.clone()].concat();
            let _ = decode_read(&body, &[Shape::Scalar, Shape::Element, Shape::Element], &mut out);
            let place = flip.index(body.len());
            body[place] = with;
            let _ = decode_read(&body, SCALARS, &mut out);
            let batch = WriteBatch { first: 0, end: 3, count: 3 };
            let body = [answer(676), vec![3, 0, 0, 0], tail].concat();
            let _ = decode_write(&body, batch, &[Some(1.0); 3], &mut [0; 3]);
        }
    }
}
