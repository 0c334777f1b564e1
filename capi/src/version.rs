//! Which library this is.
#![allow(unsafe_code, reason = "exported names")]

use std::ffi::c_char;

use crate::fail::guard_or;

/// The version of the library that runs, as "0.1.0". Never NULL, and never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn shmflow_version() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    guard_or(std::ptr::null(), || Ok(TEXT.as_ptr().cast()))
}
