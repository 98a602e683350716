//! The asymmetric work of opening and renewing a channel, as values that can be carried to another thread.

use crate::{
    Violation,
    channel::{Secured, sequence_number},
    codec::{Put, Reader},
    crypto,
    limits::CERTIFICATE_BYTES_MAX,
    transport::{HEADER_BYTES, set_size},
};

/// Milliseconds of work for whoever has the time.
#[derive(Debug)]
pub(crate) enum Work {
    Seal(Sealing),
    Open(Opening),
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Done {
    Sealed(Vec<Vec<u8>>),
    Opened(Opened),
}

impl Work {
    /// Does it.
    pub(crate) fn run(&self) -> Result<Done, Violation> {
        match self {
            Work::Seal(sealing) => sealing.run().map(Done::Sealed),
            Work::Open(opening) => opening.run().map(Done::Opened),
        }
    }
}

/// A request to open or renew a channel, before it is signed and encrypted.
///
/// The sequence number is under the signature, and other messages go on taking numbers while this one is being signed. So
/// it is sealed for every place of a window, and leaves as the one whose place has come.
#[derive(Debug)]
pub(crate) struct Sealing {
    pub(crate) security: Option<Secured>,
    pub(crate) channel_id: u32,
    /// How many chunks are sent before the first place of the window.
    pub(crate) first: u64,
    /// Places in the window.
    pub(crate) places: u64,
    pub(crate) request_id: u32,
    pub(crate) body: Vec<u8>,
}

impl Sealing {
    /// Signs and encrypts, once for every place: milliseconds of work each, on any thread.
    fn run(&self) -> Result<Vec<Vec<u8>>, Violation> {
        (self.first..self.first + self.places).map(|place| self.seal(sequence_number(place))).collect()
    }

    /// The chunk with this sequence number.
    pub(crate) fn seal(&self, sequence: u32) -> Result<Vec<u8>, Violation> {
        let mut out = b"OPNF\0\0\0\0".to_vec();
        out.put_u32(self.channel_id);
        let Some(Secured { suite, ours, peer, .. }) = &self.security else {
            out.put_bytes(crypto::POLICY_NONE_URI.as_bytes());
            out.put_null();
            out.put_null();
            self.put_contents(&mut out, sequence);
            set_size(&mut out, 0);
            return Ok(out);
        };
        out.put_bytes(suite.uri.as_bytes());
        out.put_bytes(ours.certificate_der());
        out.put_bytes(peer.thumbprint());
        let clear = out.len();
        self.put_contents(&mut out, sequence);
        let length_bytes = crypto::padding_length_bytes(peer.key_bytes());
        crypto::pad(&mut out, clear, ours.key_bytes(), suite.plain_block_bytes(peer.key()), length_bytes);
        // The size in the signed header is that of the encrypted message.
        let cipher_bytes = suite.cipher_bytes(peer.key(), out.len() - clear + ours.key_bytes());
        let size = u32::try_from(clear + cipher_bytes).map_err(|_| Violation::TooLong)?;
        out.get_mut(4..HEADER_BYTES).unwrap_or_default().copy_from_slice(&size.to_le_bytes());
        let signature = suite.sign(ours.key(), &out)?;
        out.extend_from_slice(&signature);
        let cipher = suite.encrypt(peer.key(), out.get(clear..).unwrap_or_default())?;
        out.truncate(clear);
        out.extend_from_slice(&cipher);
        Ok(out)
    }

    fn put_contents(&self, out: &mut Vec<u8>, sequence: u32) {
        out.put_u32(sequence);
        out.put_u32(self.request_id);
        out.extend_from_slice(&self.body);
    }
}

/// The answer to a request to open or renew, as it came.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) security: Option<Secured>,
    pub(crate) chunk: Vec<u8>,
}

/// The same, decrypted and verified.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) channel_id: u32,
    pub(crate) sequence: u32,
    pub(crate) request_id: u32,
    pub(crate) body: Vec<u8>,
}

impl Opening {
    /// Decrypts and verifies: milliseconds of work, on any thread.
    pub(crate) fn run(&self) -> Result<Opened, Violation> {
        let mut reader = Reader::new(&self.chunk);
        reader.take(HEADER_BYTES)?;
        let channel_id = reader.u32()?;
        let uri = reader.str()?;
        let certificate = reader.bytes(CERTIFICATE_BYTES_MAX)?;
        let thumbprint = reader.bytes(CERTIFICATE_BYTES_MAX)?;
        let Some(secured) = &self.security else {
            if uri != crypto::POLICY_NONE_URI {
                return Err(Violation::Policy);
            }
            return Self::contents(channel_id, reader.rest());
        };
        if uri != secured.suite.uri {
            return Err(Violation::Policy);
        }
        if !secured.peer.is(certificate) || thumbprint != secured.ours.thumbprint_bytes() {
            return Err(Violation::Certificate);
        }
        if !secured.peer.is_still_trusted() {
            return Err(Violation::TrustWithdrawn);
        }
        let clear = self.chunk.len() - reader.rest().len();
        let plain = secured.suite.decrypt(secured.ours.key(), reader.rest())?;
        let signature_bytes = secured.peer.key_bytes();
        let (padded, signature) =
            plain.split_at_checked(plain.len().wrapping_sub(signature_bytes)).ok_or(Violation::Security)?;
        let signed = [self.chunk.get(..clear).unwrap_or_default(), padded].concat();
        secured.suite.verify(&secured.peer, &signed, signature)?;
        let length_bytes = crypto::padding_length_bytes(secured.ours.key_bytes());
        Self::contents(channel_id, crypto::unpad(padded, length_bytes)?)
    }

    fn contents(channel_id: u32, contents: &[u8]) -> Result<Opened, Violation> {
        let mut reader = Reader::new(contents);
        Ok(Opened { channel_id, sequence: reader.u32()?, request_id: reader.u32()?, body: reader.rest().to_vec() })
    }
}
