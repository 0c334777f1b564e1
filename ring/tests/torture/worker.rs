//! What the other processes do.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, fork};
use shmflow::{CancelToken, Consumer, Delivery, Error, Frame, OnLapped, Producer, StartAt};

use crate::common::payload::{LEAST, check, payload};
use crate::common::{Random, role};
use crate::seen::Seen;
use crate::{LARGE, SMALL, TOPIC, patient, producer};

/// Not a test: what the other processes are.
#[test]
#[ignore = "played by the other processes"]
fn worker() {
    let Some(dir) = role::dir() else { return };
    let job = role::heard().unwrap();
    let words: Vec<&str> = job.split(' ').collect();
    let (tag, seed) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    // When the input ends, it is time to leave.
    static LEAVE: AtomicBool = AtomicBool::new(false);
    let cancel_token = CancelToken::new();
    let cancel = cancel_token.clone();
    std::thread::spawn(move || {
        while role::heard().is_some() {}
        LEAVE.store(true, SeqCst);
        cancel.cancel();
    });
    let (forks, visits) = (words[0] == "forking-producer", words[0].starts_with("visiting"));
    let random = Random::new(seed);
    let mut worker = Work { dir: &dir, tag, count: 0, largest: SMALL as u64, random, forks, visits };
    if words[0] == "timed-producer" {
        start_timer();
    }
    while !LEAVE.load(SeqCst) {
        let turns = if visits { worker.random.below(40) } else { u64::MAX };
        match words[0] {
            "producer" | "forking-producer" | "timed-producer" | "visiting-producer" => {
                worker.produce(!visits, turns, &LEAVE);
            }
            "patient-producer" => worker.produce_patiently(&cancel_token),
            "recorder" => worker.record(Delivery::All, &LEAVE),
            "preview" => worker.record(Delivery::Latest, &LEAVE),
            "consumer" | "visiting-consumer" => worker.consume(false, turns, &LEAVE),
            "reader" => worker.consume(true, turns, &LEAVE),
            other => panic!("no such job: {other}"),
        }
    }
}

struct Work<'a> {
    dir: &'a Path,
    tag: u64,
    count: u64,
    largest: u64,
    random: Random,
    /// Now and then it forks a child, which lives on when it is killed.
    forks: bool,
    /// Comes and goes, on a topic of which somebody deletes files.
    visits: bool,
}

extern "C" fn nothing(_: libc::c_int) {}

/// A signal every four milliseconds, as a profiler sends them.
fn start_timer() {
    let handler = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    let every = libc::timeval { tv_sec: 0, tv_usec: 4000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the handler does nothing, and the timer is read here.
    unsafe {
        sigaction(Signal::SIGALRM, &handler).unwrap();
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()), 0);
    }
}

/// Forks a child that has inherited everything and does nothing for so long.
fn leave_a_child(time: Duration) {
    // SAFETY: the child only makes system calls, and ends by one.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { .. } => {}
        // SAFETY: as above.
        ForkResult::Child => unsafe {
            // The test waits for the end of what this process says.
            for fd in 0..3 {
                libc::close(fd);
            }
            std::thread::sleep(time);
            libc::_exit(0);
        },
    }
}

impl Work<'_> {
    /// Whether that is what somebody finds who visits a topic of which files are deleted.
    fn is_deletion(&self, error: &Error) -> bool {
        self.visits
            && matches!(error, Error::Removed { .. } | Error::NotARing { .. } | Error::TopicNotFound { .. })
    }

    fn produce(&mut self, readers: bool, turns: u64, leave: &AtomicBool) {
        let producer = match producer(self.dir, readers).open() {
            Ok(producer) => producer,
            // A stopped process is in the way.
            Err(Error::Busy { .. }) => return,
            Err(error) if self.is_deletion(&error) => return,
            Err(error) => panic!("a producer could not open: {error}"),
        };
        for _ in 0..turns {
            if leave.load(SeqCst) {
                return;
            }
            if let Err(error) = self.publish(&producer) {
                match error {
                    Error::NoSlot { .. } | Error::Busy { .. } => {}
                    error if self.is_deletion(&error) => return,
                    error => panic!("a producer could not publish: {error}"),
                }
            }
            if self.forks && self.random.below(300) == 0 {
                leave_a_child(Duration::from_millis(self.random.below(2000)));
            }
            std::thread::sleep(Duration::from_micros(self.random.below(1500)));
        }
    }

    fn publish(&mut self, producer: &Producer) -> Result<(), Error> {
        if self.random.below(400) == 0 {
            self.largest = (self.largest * 3 / 2).min(LARGE);
        }
        let len = LEAST + self.random.below(self.largest - LEAST as u64) as usize;
        self.count += 1;
        let bytes = payload(self.tag, self.count, len);
        match self.random.below(10) {
            0 => drop(producer.claim(len)?),
            1 => {
                // Held for a while, perhaps across a growth.
                let mut claim = producer.claim(len)?;
                claim.copy_from_slice(&bytes);
                std::thread::sleep(Duration::from_micros(self.random.below(3000)));
                let published = claim.publish()?;
                std::thread::sleep(Duration::from_micros(self.random.below(1000)));
                assert!(*published == *bytes, "a frame changed after its publication");
            }
            _ => drop(producer.write(&bytes)?),
        }
        Ok(())
    }

    fn produce_patiently(&mut self, cancel_token: &CancelToken) {
        let producer = match patient(self.dir).cancel_token(cancel_token).open() {
            Ok(producer) => producer,
            Err(Error::Busy { .. }) => return,
            Err(error) => panic!("a producer could not open: {error}"),
        };
        while !cancel_token.is_cancelled() {
            match self.publish(&producer) {
                Ok(()) | Err(Error::Busy { .. } | Error::Cancelled { .. }) => {}
                Err(error) => panic!("a producer could not publish: {error}"),
            }
            std::thread::sleep(Duration::from_micros(self.random.below(1500)));
        }
    }

    /// Receives everything from the moment at which it is registered, unless it wants the latest.
    fn record(&mut self, delivery: Delivery, leave: &AtomicBool) {
        let builder = Consumer::builder(TOPIC).dir(self.dir).delivery(delivery);
        let mut consumer = match builder.connect_timeout(Duration::from_millis(100)).open() {
            Ok(consumer) => consumer,
            Err(Error::Busy { .. } | Error::Timeout { .. }) => return,
            Err(error) => panic!("a consumer could not open: {error}"),
        };
        assert!(consumer.id().is_some());
        let first = consumer.position();
        let mut seen = Seen::default();
        while !leave.load(SeqCst) {
            match consumer.recv_timeout(Duration::from_millis(100)) {
                Ok(frame) => {
                    // Of the frames that were there before it, each producer may just have been taking one.
                    let owed = delivery == Delivery::All && frame.seq() - frame.lost_before() > first + 64;
                    assert!(!owed || frame.lost_before() == 0, "owed, and lost: {frame:?}");
                    seen.take(&frame);
                }
                Err(Error::Timeout { .. }) => {}
                Err(Error::Removed { .. }) => return,
                Err(error) => panic!("a consumer could not receive: {error}"),
            }
            if self.random.below(8) == 0 {
                std::thread::sleep(Duration::from_micros(self.random.below(1000)));
            }
        }
    }

    fn consume(&mut self, read_only: bool, turns: u64, leave: &AtomicBool) {
        let start = [StartAt::Oldest, StartAt::Newest, StartAt::Next][self.random.below(3) as usize];
        let on_lapped = [OnLapped::Oldest, OnLapped::Newest][self.random.below(2) as usize];
        let builder =
            Consumer::builder(TOPIC).dir(self.dir).read_only(read_only).start(start).on_lapped(on_lapped);
        let mut consumer = match builder.connect_timeout(Duration::from_millis(100)).open() {
            Ok(consumer) => consumer,
            Err(Error::Busy { .. } | Error::Timeout { .. }) => return,
            Err(error) if self.is_deletion(&error) => return,
            Err(error) => panic!("a consumer could not open: {error}"),
        };
        let first = consumer.position();
        let mut seen = Seen::default();
        let mut held: Vec<(Frame, (u64, u64))> = Vec::new();
        for _ in 0..turns {
            if leave.load(SeqCst) {
                return;
            }
            match consumer.recv_timeout(Duration::from_millis(100)) {
                Ok(frame) => {
                    let which = seen.take(&frame);
                    let stats = consumer.stats();
                    assert_eq!(first + stats.received + stats.lost, consumer.position(), "miscounted");
                    if self.random.below(3) == 0 {
                        held.push((frame, which));
                    }
                }
                Err(Error::Timeout { .. }) => {}
                Err(Error::Removed { .. }) => return,
                Err(error) => panic!("a consumer could not receive: {error}"),
            }
            // Nobody has written into what was held.
            while !held.is_empty() && (held.len() > 6 || self.random.below(3) == 0) {
                let (frame, which) = held.swap_remove(self.random.below(held.len() as u64) as usize);
                assert_eq!(check(&frame), Ok(which), "was held: {frame:?}");
            }
            if self.random.below(4) == 0 {
                std::thread::sleep(Duration::from_micros(self.random.below(4000)));
            }
        }
    }
}
