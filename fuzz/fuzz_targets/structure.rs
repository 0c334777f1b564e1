//! Any bytes as the text of a structure.
#![no_main]
#![allow(dead_code, reason = "of the elements' modules this uses the readers")]

#[path = "../../src/common/caps_text.rs"]
mod caps_text;
#[path = "../../src/common/metas/mod.rs"]
mod metas;
#[path = "../checks/texts.rs"]
mod texts;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    texts::check_structure(bytes);
});
