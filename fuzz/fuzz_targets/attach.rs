//! A topic whose files hold anything, opened and used in every way.
#![no_main]

#[path = "../checks/attach.rs"]
#[allow(dead_code)]
mod attach;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    attach::attach(bytes);
});
