//! The exported names: nothing but pointers, and what C calls with them.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::HEAD;
use super::complain::complain;
use super::reader::{self, Read};
use super::state::{CURRENT, Current, READING, WRITING, lock};
use super::writer;
use crate::args;
use crate::fail::{Failure, Result};

/// The border: a failure is printed, and `otherwise` returned.
fn guard<T>(function: &str, otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure.to_string(),
        Err(_) => "this is a defect of libshmflow, please report it".to_owned(),
    };
    let _ = catch_unwind(AssertUnwindSafe(|| complain(function, &failure)));
    otherwise
}

fn current() -> Result<Current> {
    let current = lock(&CURRENT).clone();
    current.ok_or_else(|| Failure::argument("call init_flow(topic, size) first"))
}

/// Sets the topic of the next calls, and the size of its ring in bytes.
///
/// # Safety
/// `topic` is a text or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_flow(topic: *const c_char, size: c_int) {
    guard("init_flow", (), || {
        static LEAVE: Once = Once::new();
        LEAVE.call_once(|| {
            // If it fails, the kernel does what it would do.
            // SAFETY: a function without arguments, which is called when the program exits, or the library is unloaded.
            let _ = unsafe { libc::atexit(leave) };
        });
        // The earlier topic is not meant any more, even if the new one is invalid.
        *lock(&CURRENT) = None;
        // SAFETY: the caller's.
        let topic = unsafe { args::text(topic, "topic") }?;
        ring::Topic::new(topic, None)?;
        let size = usize::try_from(size).ok().filter(|size| *size > HEAD).ok_or_else(|| {
            Failure::argument(format!("the size of the ring is {size} bytes, and one head alone has {HEAD}"))
        })?;
        *lock(&CURRENT) = Some(Current { topic: topic.to_owned(), size });
        Ok(())
    });
}

/// Publishes `size` bytes.
///
/// # Safety
/// `data` points to `size` bytes, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write_data(data: *const c_char, size: c_int) {
    guard("write_data", (), || {
        let Current { topic, size: ring } = current()?;
        let size =
            usize::try_from(size).map_err(|_| Failure::argument(format!("an image of {size} bytes")))?;
        // SAFETY: the caller's.
        let data = unsafe { args::bytes(data.cast(), size, "data") }?;
        let written = writer::write(lock(&WRITING).of(&topic), &topic, ring, data)?;
        if let Some(bytes) = written {
            let (len, needed) = (data.len(), data.len().saturating_add(HEAD));
            complain(
                "write_data",
                &format!(
                    "an image of {len} bytes is larger than the {ring} bytes of init_flow(\"{topic}\", {ring}): its ring \
                     takes {bytes} bytes of shared memory, and read_data gets it only with a size of at least {needed}"
                ),
            );
        }
        Ok(())
    });
}

/// Copies the next image, with its head, to `buffer`: 1; or 0, if there is none.
///
/// # Safety
/// `buffer` has room for the size that was given to `init_flow`, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read_data(buffer: *mut c_char) -> c_int {
    guard("read_data", 0, || {
        if buffer.is_null() {
            return Err(Failure::argument("buffer is NULL"));
        }
        let Current { topic, size } = current()?;
        let mut reading = lock(&READING);
        let consumer = reading.of(&topic);
        loop {
            let copy = |head: [u8; HEAD], data: &[u8]| {
                // SAFETY: `read` checked that both together are no more than `size`, for which `buffer` has room by the
                // caller's contract. Their memory is a slot that this process can only read, or a private copy.
                unsafe {
                    std::ptr::copy_nonoverlapping(head.as_ptr(), buffer.cast(), HEAD);
                    std::ptr::copy_nonoverlapping(data.as_ptr(), buffer.cast::<u8>().add(HEAD), data.len());
                }
            };
            match reader::read(consumer, &topic, size, copy)? {
                Read::Image => return Ok(1),
                Read::Nothing => return Ok(0),
                // The next one may fit. Each is skipped once, so this ends.
                Read::TooLarge(len) => complain(
                    "read_data",
                    &format!(
                        "an image of {len} bytes was skipped: with its header it is larger than the {size} bytes of \
                         init_flow(\"{topic}\", {size})"
                    ),
                ),
            }
        }
    })
}

/// Leaves the topics when the program ends. A handle that another thread is using stays: the kernel closes it.
extern "C" fn leave() {
    let _ = catch_unwind(|| {
        if let Ok(mut reading) = READING.try_lock() {
            reading.clear();
        }
        if let Ok(mut writing) = WRITING.try_lock() {
            writing.clear();
        }
    });
}
