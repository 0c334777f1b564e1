//! A process that receives a signal every other millisecond, as one does that is being profiled.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use shmflow::Producer;

use super::common::Dir;
use super::common::role::{self, Role};

extern "C" fn nothing(_: libc::c_int) {}

#[test]
#[ignore = "a role of other tests"]
fn role_of_a_maker_under_a_timer() {
    let Some(dir) = role::dir() else { return };
    let handler = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &handler) }.unwrap();
    // SAFETY: always may be called.
    let (maker, over) = (unsafe { libc::pthread_self() }, AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                // SAFETY: the thread outlives this one.
                assert_eq!(unsafe { libc::pthread_kill(maker, libc::SIGUSR1) }, 0);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        // 83 MB at first, then 166.
        let producer = Producer::builder("t").dir(&dir).slot_capacity(8_294_400).depth(8).open().unwrap();
        producer.grow(16_588_800, 8).unwrap();
        role::say("made");
        over.store(true, SeqCst);
    });
}

#[test]
fn a_ring_is_made_and_enlarged_although_signals_arrive_all_the_time() {
    let dir = Dir::new();
    let mut maker = Role::start("signals::role_of_a_maker_under_a_timer", &dir);
    let pid = maker.pid();
    let (made, done) = channel::<()>();
    // One that does not get done is killed, and then has said nothing.
    let watchdog = std::thread::spawn(move || {
        if done.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
    });
    assert_eq!(maker.read_reply(), "made");
    drop(made);
    watchdog.join().unwrap();
    maker.finish();
    assert!(dir.files().is_empty());
}
