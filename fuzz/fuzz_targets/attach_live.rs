//! A topic whose files change in any way while it is being used.
#![no_main]

#[path = "../checks/attach.rs"]
#[allow(dead_code)]
mod attach;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    attach::attach_live(bytes);
});
