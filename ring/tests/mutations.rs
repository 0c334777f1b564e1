//! Random changes of a topic's control words, before it is opened and while it is in use: nothing may panic, hang, or
//! read where nothing is. The fuzzers do the same for longer, and with a nose for what is new.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test's way to fail"
)]

mod common;

#[path = "../../fuzz/checks/attach.rs"]
mod attach;

use common::Random;

/// A list of records, mostly at the places that mean something.
fn input(random: &mut Random, live: bool) -> Vec<u8> {
    // Words in `peers`: its header, the first participants of either role. In `ring`: header, index, slots.
    const PLACES: [(u64, u64); 6] = [(0, 40), (512, 48), (512 + 8 * 24, 48), (0, 27), (512, 16), (528, 48)];
    let mut input = Vec::new();
    for _ in 0..random.below(if live { 40 } else { 5 }) + 1 {
        let (at, count) = PLACES[random.below(6) as usize];
        let at = if random.below(8) == 0 { random.below(1 << 16) } else { at + random.below(count) };
        let what = match (live, random.below(4)) {
            (true, 0) => 0x80 | random.below(0x40) as u8,
            (true, _) => random.below(16) as u8,
            (false, _) => random.below(0x40) as u8,
        };
        input.extend([what, random.below(3) as u8]);
        input.extend((at as u16).to_le_bytes());
        input.extend(random.word().to_le_bytes());
    }
    input
}

/// Runs `count` inputs; a failure says with which one.
fn run(seed: u64, count: u64, live: bool, check: fn(&[u8]) -> bool) {
    let count = std::env::var("SHMFLOW_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(count);
    let mut usable = 0;
    for i in 0..count {
        let input = input(&mut Random::new(seed.wrapping_add(i)), live);
        match std::panic::catch_unwind(|| check(&input)) {
            Ok(worked) => usable += u64::from(worked),
            Err(panic) => {
                println!("input {i} of seed {seed}: {input:02x?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    // Neither all nor none: then the changes would hit nothing, or everything.
    assert!(usable > count / 50 && usable < count, "{usable} of {count} topics could be used");
}

#[test]
fn a_topic_with_changed_words_can_be_used_or_gives_errors() {
    run(1, 1500, false, attach::attach);
}

#[test]
fn a_topic_whose_words_change_in_use_goes_on_or_gives_errors() {
    run(1 << 32, 700, true, attach::attach_live);
}
