//! The seal: the digest of every byte before it, at the end of an archive.
//!
//! It stands in a frame that zstd's own tools skip, so that they read a sealed archive like any other.

use std::io::{self, Read, Write};

/// What a frame that is skipped begins with, and how long the rest of it is.
const HEAD: [u8; 8] = [0x5c, 0x2a, 0x4d, 0x18, blake3::OUT_LEN as u8, 0, 0, 0];
/// Bytes of a seal.
const BYTES: usize = HEAD.len() + blake3::OUT_LEN;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

fn seal(hasher: &blake3::Hasher) -> Vec<u8> {
    [&HEAD[..], hasher.finalize().as_bytes()].concat()
}

/// Passes bytes on, and seals them in the end.
pub(crate) struct Sealing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Sealing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }

    /// Puts the seal behind what was written.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&seal(&self.hasher))?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Passes on what was sealed, and keeps the seal back.
pub(crate) struct Unsealing<R> {
    inner: R,
    hasher: blake3::Hasher,
    held: Vec<u8>,
    /// What of `held` was passed on already.
    passed: usize,
    ended: bool,
}

impl<R: Read> Unsealing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), held: Vec::new(), passed: 0, ended: false }
    }

    /// Reads to the end; whether the seal there is that of the bytes before it.
    pub(crate) fn into_verdict(mut self) -> io::Result<bool> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.held[self.passed..] == seal(&self.hasher))
    }

    fn refill(&mut self) -> io::Result<()> {
        self.held.drain(..self.passed);
        self.passed = 0;
        let before = self.held.len();
        self.held.resize(before + CHUNK, 0);
        let read = self.inner.read(&mut self.held[before..]);
        self.held.truncate(before + read.as_ref().map_or(0, |read| *read));
        self.ended = read? == 0;
        Ok(())
    }
}

impl<R: Read> Read for Unsealing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && self.held.len() - self.passed <= BYTES {
            self.refill()?;
        }
        let length = (self.held.len() - self.passed).saturating_sub(BYTES).min(into.len());
        let bytes = &self.held[self.passed..self.passed + length];
        into[..length].copy_from_slice(bytes);
        self.hasher.update(bytes);
        self.passed += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new());
        sealing.write_all(bytes).unwrap();
        sealing.finish().unwrap()
    }

    fn is_whole(bytes: &[u8]) -> bool {
        Unsealing::new(bytes).into_verdict().unwrap()
    }

    #[test]
    fn what_was_sealed_comes_out_without_its_seal_whatever_its_length() {
        for length in [0, 1, BYTES, CHUNK - BYTES, CHUNK, 3 * CHUNK + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut read = Vec::new();
            Unsealing::new(&sealed(&bytes)[..]).read_to_end(&mut read).unwrap();
            assert!(read == bytes && is_whole(&sealed(&bytes)), "{length}");
        }
    }

    #[test]
    fn any_flip_any_cut_and_any_byte_more_breaks_the_seal() {
        let whole = sealed(b"setpoints");
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            assert!(!is_whole(&flipped) && !is_whole(&whole[..at]), "at {at}");
        }
        assert!(!is_whole(&[&whole[..], &[0]].concat()));
    }
}
