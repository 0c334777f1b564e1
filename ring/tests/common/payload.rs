//! Payloads that say in every word which frame they belong to, so that no mixture of two passes for one.

/// The shortest payload: tag, count and length.
pub const LEAST: usize = 24;

/// `len` bytes of frame `count` of the writer `tag`.
pub fn payload(tag: u64, count: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(tag, count, &mut bytes);
    bytes
}

/// As [`payload`], in place.
pub fn fill(tag: u64, count: u64, bytes: &mut [u8]) {
    assert!(bytes.len() >= LEAST);
    let len = bytes.len() as u64;
    for (i, chunk) in bytes.chunks_mut(8).enumerate() {
        let word = word(tag, count, len, i as u64).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

/// Tag and count of a payload, every byte of which was looked at; what is wrong with it if it is not whole.
pub fn check(bytes: &[u8]) -> Result<(u64, u64), String> {
    if bytes.len() < LEAST {
        return Err(format!("{} bytes are no frame of ours", bytes.len()));
    }
    let head = |i: usize| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().unwrap());
    let (tag, count, len) = (head(0), head(1), head(2));
    if len != bytes.len() as u64 {
        return Err(format!("frame {count} of writer {tag} has {} bytes and says {len}", bytes.len()));
    }
    for (i, chunk) in bytes.chunks(8).enumerate() {
        let wanted = word(tag, count, len, i as u64).to_le_bytes();
        if chunk != &wanted[..chunk.len()] {
            return Err(format!(
                "torn: frame {count} of writer {tag}, {len} bytes, at byte {}: {chunk:x?}",
                8 * i
            ));
        }
    }
    Ok((tag, count))
}

fn word(tag: u64, count: u64, len: u64, i: u64) -> u64 {
    match i {
        0 => tag,
        1 => count,
        2 => len,
        _ => (tag << 56 ^ count << 24 ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}
