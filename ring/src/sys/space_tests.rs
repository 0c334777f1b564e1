//! A reservation under signals, as they come to a process that is being profiled.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::super::testing::{Role, TempDir};
use super::reserve;

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, SeqCst);
}

#[test]
#[ignore = "runs as a process of another test"]
fn role_of_one_that_reserves_under_a_timer() {
    if Role::argument().is_none() {
        return;
    }
    let dir = TempDir::new();
    let handler = SigAction::new(SigHandler::Handler(count), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler counts.
    unsafe { sigaction(Signal::SIGUSR1, &handler) }.unwrap();
    // A reservation that does not get done ends the process.
    nix::unistd::alarm::set(60);
    // SAFETY: may always be called.
    let (reserving, over) = (unsafe { libc::pthread_self() }, AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                // SAFETY: that thread outlives this one.
                assert_eq!(unsafe { libc::pthread_kill(reserving, libc::SIGUSR1) }, 0);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        while SIGNALS.load(SeqCst) < 20 {
            let file = File::create(dir.path().join("f")).unwrap();
            reserve(&file, 0, 83 << 20).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 83 << 20);
        }
        over.store(true, SeqCst);
    });
}

#[test]
fn a_large_reservation_ends_although_signals_arrive_all_the_time() {
    let role =
        Role::start("sys::space::signal_tests::role_of_one_that_reserves_under_a_timer", Path::new("/"));
    assert!(role.passes());
}
