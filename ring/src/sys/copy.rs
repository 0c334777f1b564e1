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

/// Copies private bytes into shared memory.
///
/// # Safety
/// `dst` must be valid for writes of `src.len()` bytes, and no reference to them may exist.
pub(super) unsafe fn copy_in(src: &[u8], dst: *mut u8) {
    // SAFETY: as the caller promises; `src` is a reference to other memory.
    unsafe { std::ptr::copy_nonoverlapping(src.as_ptr(), dst, src.len()) };
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
                    // SAFETY: both ranges lie within their buffers, which nobody else has.
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
}
