//! What the lifecycle lock is not held for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use nix::fcntl::{FcntlArg, fcntl};
use shmflow::Producer;

use super::common::Dir;

const MIB: usize = 1 << 20;

/// Whether nobody has the lifecycle lock of the topic `t`.
fn is_free(dir: &Dir) -> bool {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 1 << 40,
        l_len: 1,
        l_pid: 0,
    };
    let Ok(peers) = File::open(dir.path().join("shmflow.t.peers")) else { return false };
    fcntl(&peers, FcntlArg::F_OFD_GETLK(&mut lock)).unwrap();
    i32::from(lock.l_type) == libc::F_UNLCK
}

/// The epoch of a ring that has its name and not yet all of its memory, if the lifecycle lock is free at that moment.
fn epoch_reserved_without_the_lock(dir: &Dir) -> Option<u64> {
    let ring = File::open(dir.path().join("shmflow.t.ring")).ok()?;
    let word = |at| {
        let mut word = [0; 8];
        ring.read_exact_at(&mut word, at).unwrap();
        u64::from_le_bytes(word)
    };
    // In this order: what is not reserved afterwards was not before.
    let free = is_free(dir);
    (free && word(136) == 0).then(|| word(16))
}

#[test]
fn the_memory_of_a_large_ring_is_reserved_without_the_lifecycle_lock() {
    let dir = Dir::new();
    let (seen, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let has_seen_both = || seen.load(SeqCst) == 0b110;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                if let Some(epoch @ 1..=2) = epoch_reserved_without_the_lock(&dir) {
                    seen.fetch_or(1 << epoch, SeqCst);
                }
                std::thread::yield_now();
            }
        });
        // On a busy machine the one who looks may miss the moment.
        for _ in 0..10 {
            let producer = Producer::builder("t").dir(&dir).slot_capacity(MIB).depth(60).open().unwrap();
            producer.grow(MIB, 61).unwrap();
            // Nobody else waits for the memory: it comes in the background, as long as the producer is there.
            let reserved = || {
                let mut word = [0; 8];
                File::open(dir.path().join("shmflow.t.ring")).unwrap().read_exact_at(&mut word, 136).unwrap();
                word != [0; 8]
            };
            super::common::wait_until("all of it has memory", reserved);
            if has_seen_both() {
                break;
            }
        }
        over.store(true, SeqCst);
    });
    assert!(has_seen_both(), "epochs whose memory came while the lock was free: {:#b}", seen.load(SeqCst));
}
