//! Arguments from C: pointers, of which nothing is certain but what is checked here.
#![allow(unsafe_code, reason = "this is where C's pointers become references")]

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;

use crate::fail::{Failure, Result};

/// No structure of this interface is larger, in any version: a larger size is an uninitialised one.
const LARGEST: usize = 1 << 12;

fn null(what: &str) -> Failure {
    Failure::argument(format!("{what} is NULL"))
}

fn check<T>(pointer: *const T, what: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(null(what));
    }
    if !pointer.is_aligned() {
        return Err(Failure::argument(format!("{what} is not a valid pointer: it is not aligned")));
    }
    Ok(())
}

/// A handle, or another object, to look at.
///
/// # Safety
/// Not null and aligned, it points to a `T` that lives on for `'a`.
pub(crate) unsafe fn object<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    check(pointer, what)?;
    // SAFETY: the caller's.
    Ok(unsafe { &*pointer })
}

/// As [`object`], to change.
///
/// # Safety
/// As there; and no other thread uses it meanwhile.
pub(crate) unsafe fn object_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    check(pointer, what)?;
    // SAFETY: the caller's.
    Ok(unsafe { &mut *pointer })
}

/// Takes back a handle from `Box::into_raw`.
///
/// # Safety
/// Not null and aligned, it is such a handle, and it is not used afterwards.
pub(crate) unsafe fn taken<T>(pointer: *mut T, what: &str) -> Result<Box<T>> {
    check(pointer, what)?;
    // SAFETY: the caller's.
    Ok(unsafe { Box::from_raw(pointer) })
}

/// The place of a result.
///
/// # Safety
/// Not null and aligned, it points to room for a `T`.
pub(crate) unsafe fn place<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut MaybeUninit<T>> {
    check(pointer, what)?;
    // SAFETY: the caller's; uninitialised is what `MaybeUninit` is for.
    Ok(unsafe { &mut *pointer.cast::<MaybeUninit<T>>() })
}

/// The place of an optional result.
///
/// # Safety
/// As for [`place`].
pub(crate) unsafe fn optional_place<'a, T>(
    pointer: *mut T,
    what: &str,
) -> Result<Option<&'a mut MaybeUninit<T>>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    unsafe { place(pointer, what) }.map(Some)
}

/// A text; `None` for NULL.
///
/// # Safety
/// Not null, it points to bytes that end with a NUL and do not change during `'a`.
pub(crate) unsafe fn optional_text<'a>(pointer: *const c_char, what: &str) -> Result<Option<&'a str>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(pointer) };
    match text.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Failure::argument(format!("{what} is not UTF-8: {}", text.to_string_lossy()))),
    }
}

/// A required text.
///
/// # Safety
/// As for [`optional_text`].
pub(crate) unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    // SAFETY: the caller's.
    unsafe { optional_text(pointer, what) }?.ok_or_else(|| null(what))
}

/// Some bytes; NULL is valid for 0 bytes.
///
/// # Safety
/// Not null, it points to `len` bytes that do not change during `'a`.
pub(crate) unsafe fn bytes<'a>(pointer: *const c_void, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    check(pointer.cast::<u8>(), what)?;
    check_len(len, what)?;
    // SAFETY: the caller's; no longer than a slice may be.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), len) })
}

/// Some numbers.
///
/// # Safety
/// Not null and aligned, `pointer` points to `count` numbers.
pub(crate) unsafe fn numbers(pointer: *const u64, count: usize, what: &str) -> Result<Vec<u64>> {
    check(pointer, what)?;
    check_len(count.saturating_mul(size_of::<u64>()), what)?;
    // SAFETY: the caller's; no longer than a slice may be.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) }.to_vec())
}

/// Handles to look at, of which some may be NULL.
///
/// # Safety
/// Not null and aligned, `pointer` points to `count` pointers, each NULL or to a `T` that lives on for `'a`.
pub(crate) unsafe fn pointers<'a, T>(
    pointer: *const *mut T,
    count: usize,
    what: &str,
) -> Result<Vec<Option<&'a T>>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    check(pointer, what)?;
    check_len(count.saturating_mul(size_of::<*mut T>()), what)?;
    // SAFETY: the caller's; no longer than a slice may be.
    let all = unsafe { std::slice::from_raw_parts(pointer, count) };
    let given = |one: &*mut T| (!one.is_null()).then_some(*one);
    // SAFETY: the caller's.
    let object = |one: *mut T| unsafe { object(one, what) };
    all.iter().map(|one| given(one).map(object).transpose()).collect()
}

/// Room for some bytes; NULL is good for none of them.
///
/// # Safety
/// Not null, it points to `len` bytes that nobody else uses during `'a`.
pub(crate) unsafe fn buffer<'a>(pointer: *mut c_void, len: usize, what: &str) -> Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(pointer.cast::<u8>(), what)?;
    check_len(len, what)?;
    // SAFETY: the caller's; no longer than a slice may be. Memory that comes from C has some value.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), len) })
}

/// A length that memory can have.
pub(crate) fn check_len(len: usize, what: &str) -> Result<()> {
    if isize::try_from(len).is_err() {
        return Err(Failure::argument(format!("{what} cannot have {len} bytes (is it a negative number?)")));
    }
    Ok(())
}

/// Structures that grow with versions: plain data, any bytes of which are a value. Those that come in begin with their
/// size in bytes.
///
/// # Safety
/// `repr(C)`, without padding that matters, of numbers and pointers only; a `usize` first if [`read`] is used.
pub(crate) unsafe trait Versioned: Copy {
    /// Bytes that the first version had.
    const LEAST: usize;
}

/// Reads a structure as a program compiled with any version of the header has it: what that version did not have keeps
/// the value it has in `default`, what we do not know has to be zero. NULL gives `default`.
///
/// # Safety
/// Not null, it points to as many readable bytes as the `usize` there says.
pub(crate) unsafe fn read<T: Versioned>(pointer: *const T, default: T, what: &str) -> Result<T> {
    if pointer.is_null() {
        return Ok(default);
    }
    check(pointer, what)?;
    // SAFETY: the caller's; a `usize` comes first.
    let size = unsafe { pointer.cast::<usize>().read() };
    check_size::<T>(size, what)?;
    let known = size.min(size_of::<T>());
    // SAFETY: `size` bytes are there, says the caller.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), size) };
    if bytes.get(known..).unwrap_or_default().iter().any(|byte| *byte != 0) {
        return Err(Failure::argument(format!(
            "{what} sets a field that this version of the library does not have: the program was compiled with a newer version"
        )));
    }
    let mut value = default;
    // SAFETY: both have `known` bytes, and any bytes are a `T`.
    unsafe { std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    Ok(value)
}

/// As [`read`], for a structure that has to be given.
///
/// # Safety
/// As there.
pub(crate) unsafe fn given<T: Versioned>(pointer: *const T, default: T, what: &str) -> Result<T> {
    if pointer.is_null() {
        return Err(null(what));
    }
    // SAFETY: the caller's.
    unsafe { read(pointer, default, what) }
}

/// Writes as much of a structure as the caller's version has, and zeros into what we do not know.
///
/// # Safety
/// Not null, `pointer` has room for `size` bytes.
pub(crate) unsafe fn write<T: Versioned>(pointer: *mut T, size: usize, value: T, what: &str) -> Result<()> {
    check(pointer, what)?;
    check_size::<T>(size, what)?;
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's.
    unsafe {
        std::ptr::write_bytes(pointer.cast::<u8>(), 0, size);
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), pointer.cast::<u8>(), known);
    }
    Ok(())
}

fn check_size<T: Versioned>(size: usize, what: &str) -> Result<()> {
    if (T::LEAST..=LARGEST).contains(&size) {
        return Ok(());
    }
    Err(Failure::argument(format!(
        "the size of {what} cannot be {size} (sizeof is {}; was its _init function called?)",
        size_of::<T>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Second {
        size: usize,
        first: u64,
        second: u64,
    }

    // SAFETY: integers, the size first.
    unsafe impl Versioned for Second {
        const LEAST: usize = 16;
    }

    const DEFAULT: Second = Second { size: 24, first: 1, second: 2 };

    fn read_words(words: &[u64]) -> Result<Second> {
        // SAFETY: as many bytes as the first word says, or fewer than are looked at.
        unsafe { read(words.as_ptr().cast(), DEFAULT, "options") }
    }

    #[test]
    fn structures_of_other_versions_are_read_as_far_as_both_know_them() {
        assert_eq!(read_words(&[16, 7]).unwrap(), Second { size: 16, first: 7, second: 2 });
        assert_eq!(read_words(&[24, 7, 8]).unwrap(), Second { size: 24, first: 7, second: 8 });
        assert_eq!(read_words(&[32, 7, 8, 0]).unwrap(), Second { size: 32, first: 7, second: 8 });
        let newer = read_words(&[32, 7, 8, 9]).unwrap_err();
        assert!(format!("{newer:?}").contains("newer"), "{newer:?}");
        for size in [0, 1, 8, 15, 4097, u64::MAX] {
            assert!(read_words(&[size, 7, 8]).is_err());
        }
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read(std::ptr::null(), DEFAULT, "options") }.unwrap(), DEFAULT);
    }

    #[test]
    fn structures_of_other_versions_are_written_whole() {
        let mut room = [9u64; 5];
        for (size, expected) in [(16, [24, 1, 9, 9, 9]), (24, [24, 1, 2, 9, 9]), (32, [24, 1, 2, 0, 9])] {
            room.fill(9);
            // SAFETY: there is room for more.
            unsafe { write(room.as_mut_ptr().cast(), size, DEFAULT, "stats") }.unwrap();
            assert_eq!(room, expected);
        }
        // SAFETY: refused before anything is written.
        assert!(unsafe { write(room.as_mut_ptr().cast(), 3, DEFAULT, "stats") }.is_err());
    }

    #[test]
    fn pointers_that_cannot_be_are_refused() {
        // SAFETY: none of these is followed.
        unsafe {
            assert!(object::<u64>(std::ptr::null(), "it").is_err());
            assert!(object::<u64>(std::ptr::without_provenance(4097), "it").is_err());
            assert!(bytes(std::ptr::null(), 1, "data").is_err());
            assert!(bytes(std::ptr::dangling(), usize::MAX, "data").is_err());
            assert!(bytes(std::ptr::null(), 0, "data").unwrap().is_empty());
            assert!(text(std::ptr::null(), "topic").is_err());
            assert!(text(c"\xff".as_ptr(), "topic").is_err());
        }
    }
}
