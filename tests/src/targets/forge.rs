//! A forger: alters what is genuine, piece by piece.

/// Puts the words of a forger into a genuine article. Each alteration is an offset in two bytes, a length in one (at most
/// [`PIECE_BYTES`]), and so many bytes that replace what stands there; beyond the end nothing is altered. The words before
/// are two bytes: how much is cut off the end.
pub(super) fn alter(genuine: &mut Vec<u8>, words: &[u8]) {
    let [low, high, rest @ ..] = words else { return };
    let cut = usize::from(u16::from_le_bytes([*low, *high]));
    genuine.truncate(genuine.len().saturating_sub(cut));
    let mut rest = rest;
    while let [low, high, length, after @ ..] = rest {
        let (piece, after) = after.split_at(after.len().min(usize::from(*length) % (PIECE_BYTES + 1)));
        rest = after;
        let offset = usize::from(u16::from_le_bytes([*low, *high]));
        genuine.iter_mut().skip(offset).zip(piece).for_each(|(there, forged)| *there = *forged);
    }
}

/// The longest piece that is altered at once: a word.
const PIECE_BYTES: usize = 8;

/// Bytes as words, what is missing of the last one zero.
pub(super) fn words_of(bytes: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    };
    bytes.chunks(8).map(word).collect()
}

/// Words as bytes.
pub(super) fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genuine_article_is_cut_and_altered_where_the_words_say() {
        let mut article = vec![0; 10];
        alter(&mut article, &[2, 0, /* */ 1, 0, 2, 7, 8, /* */ 7, 0, 3, 9, 9, 9, /* */ 0, 1, 1, 5]);
        assert_eq!(article, [0, 7, 8, 0, 0, 0, 0, 9]);
    }

    #[test]
    fn words_survive_their_bytes() {
        let words = [1, u64::MAX, 1 << 40];
        assert_eq!(words_of(&bytes_of(&words)), words);
        assert_eq!(words_of(&[1, 2]), [0x201]);
    }
}
