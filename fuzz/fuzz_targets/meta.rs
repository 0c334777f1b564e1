//! Any bytes as a metadata block.
#![no_main]

#[path = "../checks/meta.rs"]
mod meta;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    meta::check(bytes);
});
