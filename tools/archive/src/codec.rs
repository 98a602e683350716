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
/// More columns are not believed: those of a million points, each with four varints of 64 bits, a value and a time.
const COLUMNS_BYTES_MAX: usize = (1 << 20) * (4 * 10 + 2 * 8);

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

/// Words, first the highest byte of each, last the lowest: bytes that are alike lie beside each other.
pub(crate) fn put_planes(to: &mut Vec<u8>, words: impl Iterator<Item = u64> + Clone) {
    for byte in (0..size_of::<u64>()).rev() {
        to.extend(words.clone().map(|word| (word >> (8 * byte)) as u8));
    }
}

pub(crate) fn take_planes(from: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let mut words = vec![0_u64; count];
    for _ in 0..size_of::<u64>() {
        let (plane, behind) = from.split_at_checked(count)?;
        words.iter_mut().zip(plane).for_each(|(word, byte)| *word = *word << 8 | u64::from(*byte));
        *from = behind;
    }
    Some(words)
}

/// What the bits of each value differ from those of the one before.
pub(crate) fn put_values(to: &mut Vec<u8>, values: impl Iterator<Item = f64> + Clone) {
    let bits = values.map(f64::to_bits);
    let before = std::iter::once(0).chain(bits.clone());
    put_planes(to, bits.zip(before).map(|(bits, before)| bits ^ before));
}

pub(crate) fn take_values(from: &mut &[u8], count: usize) -> Option<Vec<f64>> {
    let bits = take_planes(from, count)?;
    let mut before = 0;
    let value = |difference: u64| {
        before ^= difference;
        f64::from_bits(before)
    };
    Some(bits.into_iter().map(value).collect())
}

/// Small numbers of either sign in few bytes.
pub(crate) fn put_signed(to: &mut Vec<u8>, number: u64) {
    put(to, zigzag(number));
}

pub(crate) fn take_signed(from: &mut &[u8]) -> Option<u64> {
    take(from).map(unzigzag)
}

/// Numbers of either sign by their size.
pub(crate) const fn zigzag(number: u64) -> u64 {
    number << 1 ^ ((number as i64) >> 63) as u64
}

pub(crate) const fn unzigzag(number: u64) -> u64 {
    number >> 1 ^ (number & 1).wrapping_neg()
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
