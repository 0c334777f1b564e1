//! Typed views of shared memory: references to structures that consist of atomics only.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use super::{peers, ring};
use crate::sys::map::Mapping;

/// Structures that may be in memory which others write: every field is an atomic, any bits are valid.
///
/// # Safety
/// No field may be anything but an atomic or an array of them.
pub(crate) unsafe trait Shared {}

// SAFETY: an atomic.
unsafe impl Shared for AtomicU64 {}
// SAFETY: atomics only.
unsafe impl Shared for peers::Header {}
// SAFETY: atomics only.
unsafe impl Shared for peers::Participant {}
// SAFETY: atomics only.
unsafe impl Shared for ring::Header {}
// SAFETY: atomics only.
unsafe impl Shared for ring::Slot {}
// SAFETY: atomics only.
unsafe impl Shared for ring::HoldsHeader {}

/// An Acquire load for memory that may be mapped read-only, where the standard library promises no more than relaxed loads.
///
/// On x86-64 the fence is one for the compiler. On 64-bit ARM it would be a barrier in place of an instruction (`ldar`) that
/// only reads in any case. (Of 8 bytes on a 32-bit target std promises nothing; `movq` and `ldrexd` only read.)
pub(crate) trait LoadAcquire {
    /// What it holds.
    type Value;

    /// Loads it.
    fn load_acquire(&self) -> Self::Value;
}

macro_rules! load_acquire {
    ($word:ty, $value:ty) => {
        impl LoadAcquire for $word {
            type Value = $value;

            #[inline(always)]
            fn load_acquire(&self) -> $value {
                if cfg!(target_arch = "aarch64") {
                    return self.load(Acquire);
                }
                let value = self.load(Relaxed);
                fence(Acquire);
                value
            }
        }
    };
}

load_acquire!(AtomicU64, u64);
load_acquire!(AtomicU32, u32);

/// `count` structures in a mapping, `stride` bytes apart.
#[derive(Debug)]
pub(crate) struct Array<T> {
    base: NonNull<u8>,
    stride: usize,
    count: usize,
    _of: PhantomData<NonNull<T>>,
}

// SAFETY: gives out only shared references to atomics, which any thread may use.
unsafe impl<T: Shared> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Array<T> {}

impl<T: Shared> Array<T> {
    /// A view of `count >= 1` structures at `offset`; `None` if they do not fit, or not by their alignment.
    ///
    /// # Safety
    /// The view must not be used after `map` is gone: keep both in one structure.
    pub(crate) unsafe fn new(map: &Mapping, offset: usize, stride: usize, count: usize) -> Option<Self> {
        let len = stride.checked_mul(count.checked_sub(1)?)?.checked_add(size_of::<T>())?;
        let base = map.bytes_ptr(offset, len)?;
        let aligned = base.cast::<T>().is_aligned() && stride.is_multiple_of(align_of::<T>());
        (aligned && stride >= size_of::<T>()).then_some(Self { base, stride, count, _of: PhantomData })
    }

    /// Structure `i`. An index out of range, which no caller lets through, is the first one instead of a stray pointer.
    #[inline(always)]
    pub(crate) fn get(&self, i: usize) -> &T {
        let i = if i < self.count { i } else { 0 };
        // SAFETY: in bounds and aligned as checked in `new`; mapped as long as `self` may be used, by the contract of
        // `new`; shared references to atomics may coexist with writers in other processes.
        unsafe { self.base.add(i * self.stride).cast::<T>().as_ref() }
    }
}
