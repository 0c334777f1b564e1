//! Bulk copies out of and into shared memory.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

const WORD: usize = size_of::<u64>();

/// Copies bytes that others may be writing, with relaxed atomic loads: of whole words where the source is aligned,
/// single bytes before and after.
///
/// # Safety
/// `src` must be valid for reads of `len` bytes and `dst` for writes of as many; they must not overlap, and nobody else
/// may access `dst`.
pub(super) unsafe fn copy_racy(src: *const u8, dst: *mut u8, len: usize) {
    let head = src.align_offset(WORD).min(len);
    let words = (len - head) / WORD;
    let tail = head + words * WORD;
    // SAFETY: all offsets are below `len`; loads of words are aligned, since `head` made them so; stores need not be.
    unsafe {
        copy_bytes(src, dst, head);
        let (from, to) = (src.add(head).cast::<u64>(), dst.add(head).cast::<u64>());
        let mut i = 0;
        // Loads first, then stores: the compiler pairs the plain stores, and the loads do not wait for them.
        while i + 8 <= words {
            let load = |k: usize| AtomicU64::from_ptr(from.add(i + k).cast_mut()).load(Relaxed);
            let chunk = [load(0), load(1), load(2), load(3), load(4), load(5), load(6), load(7)];
            to.add(i).cast::<[u64; 8]>().write_unaligned(chunk);
            i += 8;
        }
        while i < words {
            to.add(i).write_unaligned(AtomicU64::from_ptr(from.add(i).cast_mut()).load(Relaxed));
            i += 1;
        }
        copy_bytes(src.add(tail), dst.add(tail), len - tail);
    }
}

/// # Safety
/// As [`copy_racy`].
unsafe fn copy_bytes(src: *const u8, dst: *mut u8, len: usize) {
    for i in 0..len {
        // SAFETY: `i` is below `len`; a byte is always aligned.
        unsafe { dst.add(i).write(AtomicU8::from_ptr(src.add(i).cast_mut()).load(Relaxed)) };
    }
}

/// Copies private bytes into shared memory; many of them around the caches.
///
/// Ordinary stores first read each line that they are about to overwrite whole, and push out of the caches what is
/// still wanted there; non-temporal stores do neither, but the reader then finds nothing in the caches. Measured (Zen 4,
/// 1 MiB of L2 per core, 32 MiB of L3 shared with others), microseconds for ordinary, non-temporal stores:
///
/// | frame | slots in rotation | copy in | read once | both |
/// |---|---|---|---|---|
/// | 1 MiB | 1 | 22, 37 | 16, 29 | **37**, 66 |
/// | 1 MiB | 8 | 33, 25 | 16, 30 | **49**, 54 |
/// | 3 MiB | 1 | 67, 65 | 48, 86 | **115**, 151 |
/// | 3 MiB | 8 | 241, 160 | 61, 91 | 302, **251** |
/// | 8.3 MB | 1 | 494, 339 | 148, 239 | 643, **577** |
/// | 8.3 MB | 8 | 1048, 564 | 261, 342 | 1309, **906** |
///
/// # Safety
/// `dst` must be valid for writes of `src.len()` bytes, and no reference to them may exist.
pub(super) unsafe fn copy_in(src: &[u8], dst: *mut u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if src.len() >= STREAM_FROM && is_x86_feature_detected!("avx") {
        // SAFETY: AVX is there; the rest as the caller promises.
        return unsafe { stream(src, dst) };
    }
    // SAFETY: as the caller promises; `src` is a reference to other memory.
    unsafe { std::ptr::copy_nonoverlapping(src.as_ptr(), dst, src.len()) };
}

/// From how many bytes on [`copy_in`] goes around the caches; see there.
#[cfg(target_arch = "x86_64")]
const STREAM_FROM: usize = 4 << 20;

/// # Safety
/// As [`copy_in`]; the processor must have AVX.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn stream(src: &[u8], dst: *mut u8) {
    use std::arch::x86_64::{__m256i, _mm_sfence, _mm256_loadu_si256, _mm256_stream_si256};
    const VECTOR: usize = size_of::<__m256i>();
    const STEP: usize = 4 * VECTOR;
    let from = src.as_ptr();
    let head = dst.align_offset(VECTOR).min(src.len());
    let steps = (src.len() - head) / STEP;
    let tail = head + steps * STEP;
    // SAFETY: all offsets are below `src.len()`; `head` made the stores aligned, the loads need not be.
    unsafe {
        std::ptr::copy_nonoverlapping(from, dst, head);
        for step in 0..steps {
            let at = head + step * STEP;
            let (from, to) = (from.add(at).cast::<__m256i>(), dst.add(at).cast::<__m256i>());
            let lines = [
                _mm256_loadu_si256(from),
                _mm256_loadu_si256(from.add(1)),
                _mm256_loadu_si256(from.add(2)),
                _mm256_loadu_si256(from.add(3)),
            ];
            _mm256_stream_si256(to, lines[0]);
            _mm256_stream_si256(to.add(1), lines[1]);
            _mm256_stream_si256(to.add(2), lines[2]);
            _mm256_stream_si256(to.add(3), lines[3]);
        }
        std::ptr::copy_nonoverlapping(from.add(tail), dst.add(tail), src.len() - tail);
        // These stores are not ordered by the release store that publishes the frame: this fence does it.
        _mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alignment_and_length_arrives_whole_and_nothing_else_changes() {
        let source: Vec<u8> = (0..400u32).map(|i| (i.wrapping_mul(167) >> 3) as u8).collect();
        for offset in 0..9 {
            for shift in 0..3 {
                for len in (0..150).chain([255, 256, 300]) {
                    let mut out = vec![0xEE_u8; 400];
                    // SAFETY: both ranges are within their buffers, which nobody else has.
                    unsafe { copy_racy(source.as_ptr().add(offset), out.as_mut_ptr().add(shift), len) };
                    assert_eq!(
                        out[shift..shift + len],
                        source[offset..offset + len],
                        "{offset} {shift} {len}"
                    );
                    assert!(out[..shift].iter().chain(&out[shift + len..]).all(|b| *b == 0xEE));
                }
            }
        }
    }

    #[test]
    fn copies_in_of_every_alignment_arrive_whole_and_nothing_else_changes() {
        let many = if cfg!(miri) { 1 << 10 } else { 4 << 20 };
        let source: Vec<u8> =
            (0..many as u32 + 300).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in [0, 1, 63, 4096.min(many), many - 1, many, many + 1, many + 129, many + 255] {
            for (offset, shift) in [(0, 0), (1, 0), (0, 1), (3, 31), (32, 33), (31, 127)] {
                let mut out = vec![0xEE_u8; len + 200];
                // SAFETY: both ranges are within their buffers, which nobody else has.
                unsafe { copy_in(&source[offset..offset + len], out.as_mut_ptr().add(shift)) };
                assert!(out[shift..shift + len] == source[offset..offset + len], "{len} {offset} {shift}");
                assert!(out[..shift].iter().chain(&out[shift + len..]).all(|b| *b == 0xEE));
            }
        }
    }
}
