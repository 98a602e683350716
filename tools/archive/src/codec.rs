//! Bytes that are kept: columns of numbers, compressed, behind a checksum.
//!
//! ```text
//! crc32 of the rest, 4 bytes | version, 1 | length before lz4, 4 | lz4
//! ```
//! Numbers are LEB128 varints, signed ones in zigzag; the four bytes are little-endian.

/// A block that was not written like this: bits have changed, or its end is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a block of samples is damaged")]
pub struct Damaged;

/// The form of what is sealed; 1 knows of no times of the sources, and is the same without them.
const VERSION: u8 = 2;
/// More columns are not believed: those of a million points, each with five varints of 64 bits and a value.
const COLUMNS_BYTES_MAX: usize = (1 << 20) * (5 * 10 + 8);

/// Columns compressed, behind a checksum.
pub(crate) fn seal(columns: &[u8]) -> Vec<u8> {
    seal_as(columns, u32::try_from(columns.len()).unwrap_or(u32::MAX))
}

/// The same, of columns that are said to have this length.
pub(crate) fn seal_as(columns: &[u8], length: u32) -> Vec<u8> {
    let mut body = vec![VERSION];
    body.extend(length.to_le_bytes());
    body.extend(lz4_flex::block::compress(columns));
    [&crc32fast::hash(&body).to_le_bytes()[..], &body].concat()
}

/// # Errors
/// They are [`Damaged`].
pub(crate) fn unseal(block: &[u8]) -> Result<Vec<u8>, Damaged> {
    let (crc, body) = block.split_first_chunk().ok_or(Damaged)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(Damaged);
    }
    let (&version, rest) = body.split_first().ok_or(Damaged)?;
    let (length, packed) = rest.split_first_chunk().ok_or(Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if !(1..=VERSION).contains(&version) || length > COLUMNS_BYTES_MAX {
        return Err(Damaged);
    }
    lz4_flex::block::decompress(packed, length).map_err(|_| Damaged)
}

/// What the bits of each value differ from those of the one before: first the highest byte of each, last the lowest.
pub(crate) fn put_values(to: &mut Vec<u8>, values: impl Iterator<Item = f64> + Clone) {
    for byte in (0..size_of::<f64>()).rev() {
        let mut before = 0_u64;
        for bits in values.clone().map(f64::to_bits) {
            to.push(((bits ^ before) >> (8 * byte)) as u8);
            before = bits;
        }
    }
}

pub(crate) fn take_values(from: &mut &[u8], count: usize) -> Option<Vec<f64>> {
    let mut bits = vec![0_u64; count];
    for _ in 0..size_of::<f64>() {
        let (plane, behind) = from.split_at_checked(count)?;
        bits.iter_mut().zip(plane).for_each(|(bits, byte)| *bits = *bits << 8 | u64::from(*byte));
        *from = behind;
    }
    let mut before = 0;
    let value = |difference: u64| {
        before ^= difference;
        f64::from_bits(before)
    };
    Some(bits.into_iter().map(value).collect())
}

/// Small numbers of either sign in few bytes.
pub(crate) fn put_signed(to: &mut Vec<u8>, number: u64) {
    put(to, number << 1 ^ ((number as i64) >> 63) as u64);
}

pub(crate) fn take_signed(from: &mut &[u8]) -> Option<u64> {
    let number = take(from)?;
    Some(number >> 1 ^ (number & 1).wrapping_neg())
}

/// Seven bits a byte, the lowest first.
pub(crate) fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

pub(crate) fn take(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, behind) = from.split_first()?;
        *from = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
