//! Payloads that say in every word which frame they belong to: no mixture of two, and no stale byte, passes for one.
//!
//! `victims/victim.c` and `victims/victim.py` write and check the same bytes.

/// The shortest payload: writer, count and length.
pub(crate) const LEAST: usize = 24;

/// Writers from here on repeat one frame, as a pipeline does that reads a file again and again.
pub(crate) const REPEATING: u64 = 1 << 32;

/// Those who come for one frame (`visit`): each has a number of its own from here on.
pub(crate) const VISITORS: std::ops::Range<u64> = 1 << 31..REPEATING;

/// Fills the payload of frame `count` of writer `tag`; at least [`LEAST`] bytes.
pub(crate) fn fill(tag: u64, count: u64, bytes: &mut [u8]) {
    let len = bytes.len() as u64;
    for (at, chunk) in (0..).zip(bytes.chunks_mut(8)) {
        let word = word(tag, count, len, at).to_le_bytes();
        for (byte, wanted) in chunk.iter_mut().zip(word) {
            *byte = wanted;
        }
    }
}

/// Writer and count of a payload, every byte of which was looked at; what is wrong with it if it is not whole.
pub(crate) fn check(bytes: &[u8]) -> Result<(u64, u64), String> {
    let head = |at: usize| bytes.get(8 * at..8 * at + 8).and_then(|word| word.try_into().ok());
    let (Some(tag), Some(count), Some(len)) = (head(0), head(1), head(2)) else {
        return Err(format!("{} bytes are no frame of ours", bytes.len()));
    };
    let [tag, count, len] = [tag, count, len].map(u64::from_le_bytes);
    if len != bytes.len() as u64 {
        return Err(format!("frame {count} of writer {tag} has {} bytes and says {len}", bytes.len()));
    }
    for (at, chunk) in (0..).zip(bytes.chunks(8)) {
        let wanted = word(tag, count, len, at).to_le_bytes();
        if !wanted.starts_with(chunk) {
            return Err(format!("torn: frame {count} of writer {tag}, {len} bytes, at byte {}", 8 * at));
        }
    }
    Ok((tag, count))
}

/// How long frame `count` is, if frames are at most `most` bytes.
pub(crate) fn length(count: u64, most: usize) -> usize {
    let span = most.saturating_sub(LEAST).max(1) as u64;
    LEAST + usize::try_from(count.wrapping_mul(97) % span).unwrap_or(0)
}

fn word(tag: u64, count: u64, len: u64, at: u64) -> u64 {
    match at {
        0 => tag,
        1 => count,
        2 => len,
        _ => ((tag << 56) ^ (count << 24) ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_whole_and_any_changed_byte_shows() {
        let mut bytes = vec![0; 61];
        fill(7, 9, &mut bytes);
        assert_eq!(check(&bytes), Ok((7, 9)));
        for at in 24..bytes.len() {
            bytes[at] ^= 1;
            assert!(check(&bytes).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        assert!(check(&bytes[..60]).is_err() && check(&[0; 8]).is_err());
    }
}
