//! Files of frames that continue each other's digests, made and taken apart as the formats' documentation says.

/// Payloads, each behind its length in three bytes.
pub(super) fn payloads(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut payloads, mut rest) = (Vec::new(), bytes);
    while let [low, middle, high, after @ ..] = rest {
        let length = u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
        let (payload, after) = after.split_at(after.len().min(length));
        payloads.push(payload.to_vec());
        rest = after;
    }
    payloads
}

/// A file with these payloads.
pub(super) fn sealed(magic: [u8; 8], version: u32, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [&magic[..], &version.to_le_bytes()].concat();
    let mut digest = digest_of(&[0; 16], &[0; 8], &file);
    for payload in payloads {
        let length = payload.len() as u32;
        let head = (u64::from(length) | u64::from(!length) << 32).to_le_bytes();
        digest = digest_of(&digest, &head, payload);
        file.extend_from_slice(&head);
        file.extend_from_slice(payload);
        file.extend_from_slice(&digest);
    }
    file
}

fn digest_of(before: &[u8; 16], head: &[u8; 8], payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(head).update(payload);
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

/// The payloads of a sound file.
pub(super) fn frames_of(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (head, after) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (payload, after) = after.split_at_checked(length)?;
        rest = after.get(16..)?;
        Some(payload)
    })
}
