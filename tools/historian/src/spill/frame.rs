//! Frames, and how they lie in a segment.
//!
//! ```text
//! "CRLt", 4 bytes | length of what comes behind, 4 | crc32, 4 | an entry in postcard's form
//! ```
//! Numbers are little-endian. The checksum covers the segment's number and the frame's offset, too: bytes of another place are
//! never taken for the ones that belong here. Behind a damaged frame the next whole one is looked for, so that a flipped bit
//! costs one frame. Frames of an older version began with "CRLs"; they are told from damage, and nothing in them is believed.

use serde::{Serialize, de::DeserializeOwned};

/// How a frame begins.
const MAGIC: [u8; 4] = *b"CRLt";
/// How one began whose samples said nothing of their sources.
const FORMER_MAGIC: [u8; 4] = *b"CRLs";
/// Bytes before the entry.
pub(super) const HEAD: usize = 12;
/// Bytes of an entry at most; longer ones are neither written nor believed.
pub(super) const ENTRY_BYTES_MAX: usize = 256 << 20;

const _: () = assert!(ENTRY_BYTES_MAX <= u32::MAX as usize, "a length has four bytes");

/// Where a frame lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Appends an entry as a frame; `None` if it is too long. `place` is where the first byte of `to` lies.
pub(super) fn put<T: Serialize>(to: &mut Vec<u8>, place: Place, entry: &T) -> Option<()> {
    let start = to.len();
    to.extend_from_slice(&[0; HEAD]);
    let mut bytes = postcard::to_extend(entry, std::mem::take(to)).ok()?;
    let length = bytes.len() - start - HEAD;
    if length > ENTRY_BYTES_MAX {
        return None;
    }
    let here = Place { offset: place.offset + start as u64, ..place };
    let sum = checksum(here, &bytes[start + HEAD..]);
    bytes[start..start + 4].copy_from_slice(&MAGIC);
    bytes[start + 4..start + 8].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[start + 8..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    *to = bytes;
    Some(())
}

/// What is read next.
#[derive(Debug, PartialEq)]
pub(super) enum Next<T> {
    /// A whole frame.
    Entry(T),
    /// So many bytes that are no frame.
    Damaged(u64),
    /// A whole frame with an entry that this program does not know.
    Unknown,
}

/// The frames of a segment, or of its end.
pub(super) struct Frames<'a> {
    bytes: &'a [u8],
    place: Place,
}

impl<'a> Frames<'a> {
    /// `place` is where the first byte lies.
    pub(super) const fn new(bytes: &'a [u8], place: Place) -> Self {
        Self { bytes, place }
    }

    /// Where the next frame lies.
    pub(super) const fn offset(&self) -> u64 {
        self.place.offset
    }

    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Option<Next<T>> {
        if self.bytes.is_empty() {
            return None;
        }
        let Some((magic, entry)) = whole(self.bytes, self.place) else {
            let skipped = self.distance();
            self.skip(skipped);
            return Some(Next::Damaged(skipped as u64));
        };
        self.skip(HEAD + entry.len());
        let known = (magic == MAGIC).then(|| postcard::from_bytes(entry).ok()).flatten();
        Some(known.map_or(Next::Unknown, Next::Entry))
    }

    /// To the next whole frame, or to the end.
    fn distance(&self) -> usize {
        let begins = |at: &usize| {
            let place = Place { offset: self.place.offset + *at as u64, ..self.place };
            whole(&self.bytes[*at..], place).is_some()
        };
        (1..self.bytes.len()).find(begins).unwrap_or(self.bytes.len())
    }

    fn skip(&mut self, count: usize) {
        self.bytes = &self.bytes[count..];
        self.place.offset += count as u64;
    }
}

/// How the frame begins with which these bytes do, and its entry, if there is one.
fn whole(bytes: &[u8], place: Place) -> Option<([u8; 4], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let number = |at: usize| head[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let (length, sum) = (number(4)? as usize, number(8)?);
    let entry = rest.get(..length)?;
    let magic = *head.first_chunk()?;
    let is_ours = magic == MAGIC || magic == FORMER_MAGIC;
    (is_ours && length <= ENTRY_BYTES_MAX && checksum(place, entry) == sum).then_some((magic, entry))
}

fn checksum(place: Place, entry: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&place.segment.to_le_bytes());
    sum.update(&place.offset.to_le_bytes());
    sum.update(&(entry.len() as u64).to_le_bytes());
    sum.update(entry);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place = Place { segment: 7, offset: 0 };

    fn segment(entries: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for entry in entries {
            put(&mut bytes, PLACE, entry).unwrap();
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read(bytes: &[u8], place: Place) -> (Vec<Vec<u8>>, u64) {
        let (mut frames, mut entries, mut damaged) = (Frames::new(bytes, place), Vec::new(), 0);
        while let Some(next) = frames.next() {
            match next {
                Next::Entry(entry) => entries.push(entry),
                Next::Damaged(count) => damaged += count,
                Next::Unknown => panic!("every entry is known"),
            }
        }
        assert_eq!(frames.offset(), place.offset + bytes.len() as u64);
        (entries, damaged)
    }

    /// Entries that hold frames' beginnings, too.
    fn entries() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let entry = prop_oneof![prop::collection::vec(any::<u8>(), 0..40), Just(b"xCRLt\0\0\0\0\0\0\0\0".to_vec())];
        prop::collection::vec(entry, 1..8)
    }

    proptest! {
        #[test]
        fn what_was_put_is_read_in_order_and_in_no_other_place(entries in entries()) {
            let (bytes, _) = segment(&entries);
            prop_assert_eq!(read(&bytes, PLACE), (entries, 0));
            for elsewhere in [Place { segment: 8, ..PLACE }, Place { offset: 1, ..PLACE }] {
                prop_assert_eq!(read(&bytes, elsewhere), (vec![], bytes.len() as u64));
            }
        }

        #[test]
        fn f82_a_torn_tail_costs_what_was_torn_alone(entries in entries(), cut in any::<prop::sample::Index>()) {
            let (bytes, ends) = segment(&entries);
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let damaged = cut - whole.checked_sub(1).map_or(0, |last| ends[last]);
            prop_assert_eq!(read(&bytes[..cut], PLACE), (entries[..whole].to_vec(), damaged as u64));
        }

        #[test]
        fn f83_a_flipped_bit_costs_its_frame_alone(entries in entries(), bit in any::<prop::sample::Index>()) {
            let (mut bytes, ends) = segment(&entries);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let hit = ends.iter().position(|end| bit / 8 < *end).unwrap();
            let (found, damaged) = read(&bytes, PLACE);
            let mut expected = entries;
            expected.remove(hit);
            prop_assert_eq!(found, expected);
            prop_assert!(damaged > 0);
        }

        #[test]
        fn frames_of_an_older_version_are_unknown_and_no_damage(entries in entries()) {
            let (mut bytes, ends) = segment(&entries);
            let begins = std::iter::once(0).chain(ends.iter().copied()).take(ends.len());
            begins.for_each(|at| bytes[at..at + 4].copy_from_slice(&FORMER_MAGIC));
            let mut frames = Frames::new(&bytes, PLACE);
            let found: Vec<Next<Vec<u8>>> = std::iter::from_fn(|| frames.next()).collect();
            prop_assert!(found.len() == entries.len() && found.iter().all(|next| *next == Next::Unknown));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, PLACE);
        }
    }
}
