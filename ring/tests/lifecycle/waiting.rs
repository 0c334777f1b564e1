//! Waiting for a topic that is not there yet.

use std::time::{Duration, Instant};

use shmflow::{CancelToken, Consumer, Error, Producer};

use super::actor::actor;
use super::common::{Dir, wait_until};

#[test]
fn a_consumer_in_another_process_waits_for_the_topic() {
    let dir = Dir::new();
    let mut waiter = actor(&dir, &[]);
    waiter.tell("consume wait=20000");
    assert_eq!(waiter.read_reply(), "waits");
    wait_until("it sleeps", || sleeps_in_poll(waiter.pid()));
    let start = Instant::now();
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(waiter.read_reply(), "ok");
    assert!(start.elapsed() < Duration::from_secs(5), "an event wakes it, and not a time-out");
    producer.write(b"first").unwrap();
    assert_eq!(waiter.ask("recv 5000"), "ok 1 lease 5");
    waiter.finish();
}

/// Whether some thread of a process is in `poll`.
fn sleeps_in_poll(pid: nix::unistd::Pid) -> bool {
    let calls = [
        libc::SYS_ppoll,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll,
    ];
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.flatten().any(|task| {
        let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
        calls.iter().any(|number| call.starts_with(&format!("{number} ")))
    })
}

#[test]
fn waiting_goes_on_past_other_topics_and_half_made_ones() {
    let dir = Dir::new();
    let mut waiter = actor(&dir, &[]);
    waiter.tell("consume wait=20000");
    assert_eq!(waiter.read_reply(), "waits");
    wait_until("it sleeps", || sleeps_in_poll(waiter.pid()));
    let _other = Producer::builder("tt").dir(&dir).open().unwrap();
    std::fs::write(dir.path().join("shmflow.t.tmp.0000000000000001"), b"").unwrap();
    wait_until("it sleeps again", || sleeps_in_poll(waiter.pid()));
    let producer = Producer::builder("t").dir(&dir).open().unwrap();
    assert_eq!(waiter.read_reply(), "ok");
    assert_eq!(producer.consumer_count(), 1);
}

#[test]
fn the_wait_for_a_topic_has_a_limit() {
    let dir = Dir::new();
    let start = Instant::now();
    let wait = Duration::from_millis(50);
    let error = Consumer::builder("t").dir(&dir).connect_timeout(wait).open().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("no such topic"), "{error}");
    assert!(start.elapsed() >= wait && start.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_wait_for_a_topic_can_be_cancelled() {
    let dir = Dir::new();
    let cancel_token = CancelToken::new();
    let consumer = Consumer::builder("t").dir(&dir).connect_timeout(None).cancel_token(&cancel_token);
    let waiter = std::thread::spawn(move || consumer.open());
    wait_until("it sleeps", || sleeps_in_poll(nix::unistd::getpid()));
    let start = Instant::now();
    cancel_token.cancel();
    assert!(matches!(waiter.join().unwrap(), Err(Error::Cancelled { .. })));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_reader_waits_too_and_comes_after_a_removal() {
    let dir = Dir::new();
    for round in 1..=3 {
        let mut waiter = actor(&dir, &[]);
        waiter.tell("consume wait=20000 readonly");
        assert_eq!(waiter.read_reply(), "waits");
        let producer = Producer::builder("t").dir(&dir).perms(0o644).open().unwrap();
        assert_eq!(waiter.read_reply(), "ok");
        producer.write(&[0; 10]).unwrap();
        assert_eq!(waiter.ask("recv 5000"), "ok 1 copy 10", "round {round}");
        if round % 2 == 0 {
            shmflow::remove("t", Some(dir.path()), true).unwrap();
            assert!(waiter.ask("recv 5000").starts_with("Removed"));
        }
    }
}

/// Waits in a thread of its own until a signal makes `ask` say yes.
fn ends_by_a_signal(wait: impl FnOnce(&CancelToken) -> Result<(), Error> + Send) {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    extern "C" fn nothing(_: i32) {}
    // Without SA_RESTART, as Python has it.
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let cancel_token = {
        let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
        CancelToken::with_check(move || {
            asked.store(true, SeqCst);
            stop.load(SeqCst)
        })
    };
    let cancel_token = &cancel_token;
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let waiter = scope.spawn(move || {
            // SAFETY: always may be called.
            tell.send(unsafe { libc::pthread_self() }).unwrap();
            wait(cancel_token)
        });
        let thread = told.recv().unwrap();
        // SAFETY: the thread is not joined yet.
        let disturb = || assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
        wait_until("a disturbed wait asks, and goes on", || {
            disturb();
            asked.load(SeqCst)
        });
        assert!(!waiter.is_finished());
        stop.store(true, SeqCst);
        disturb();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Cancelled { .. })));
    });
}

#[test]
fn a_signal_ends_a_wait_for_a_topic_or_a_frame_if_the_cancel_token_says_so() {
    let dir = Dir::new();
    ends_by_a_signal(|cancel_token| {
        Consumer::builder("t").dir(&dir).cancel_token(cancel_token).connect_timeout(None).open().map(drop)
    });
    let _producer = Producer::builder("t").dir(&dir).open().unwrap();
    ends_by_a_signal(|cancel_token| {
        let mut consumer = Consumer::builder("t").dir(&dir).cancel_token(cancel_token).open()?;
        consumer.recv().map(drop)
    });
    ends_by_a_signal(|cancel_token| {
        let mut consumer = Consumer::builder("t").dir(&dir).cancel_token(cancel_token).open()?;
        consumer.poll_fd()?;
        consumer.recv().map(drop)
    });
}
