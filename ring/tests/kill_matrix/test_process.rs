//! A process that does what it is told, and dies or stops where it is told.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use shmflow::failpoint::{Action, arm};
use shmflow::{CancelToken, Claim, Consumer, FailPoint, Frame, OverflowPolicy, Producer, ProducerMode};

use crate::common::payload::{check, payload};
use crate::common::role::{self, ProcessState, Role};
use crate::fixture::{TOPIC, producer_builder, size_of};

/// The side of the test.
#[derive(Debug)]
pub struct TestProcess {
    role: Role,
}

/// How long anything may take that is not stopped; generous, because the machine may have more to do.
const LONG: Duration = Duration::from_secs(30);

impl TestProcess {
    /// Starts one, whose frames carry this tag.
    pub fn start(dir: &std::path::Path, tag: u64) -> Self {
        let mut test_process = Self { role: Role::start("test_process", dir) };
        test_process.does(&format!("tag {tag}"));
        test_process
    }

    /// Lets it do something, which must work.
    pub fn does(&mut self, commands: &str) {
        self.role.tell(commands);
        self.answers(commands);
    }

    /// Lets it start something.
    pub fn begins(&mut self, commands: &str) {
        self.role.tell(commands);
    }

    /// Waits for the answer to what it began.
    pub fn answers(&mut self, what: &str) {
        let answer = self.role.read_reply();
        assert_eq!(answer, "ok", "a test process was to {what}");
    }

    /// Waits until it has died or stopped where it was armed to.
    pub fn meets(&mut self, action: Action, where_: &str) {
        let wanted = match action {
            Action::Kill | Action::KillWithChild => ProcessState::Died(Some(Signal::SIGKILL as i32)),
            Action::Stop => ProcessState::Stopped,
        };
        let start = Instant::now();
        loop {
            match self.role.fate() {
                ProcessState::Alive if start.elapsed() < LONG => {
                    std::thread::sleep(Duration::from_micros(300))
                }
                ProcessState::Alive => {
                    self.role.kill();
                    panic!("{where_} was not reached; the test process said: {:?}", self.role.hear_rest());
                }
                fate => {
                    if fate != wanted {
                        self.role.kill();
                        panic!("at {where_}: {fate:?}; the test process said: {:?}", self.role.hear_rest());
                    }
                    return;
                }
            }
        }
    }

    /// SIGCONT.
    pub fn goes_on(&mut self) {
        self.role.go_on();
    }

    /// Though it is dead itself: only the child can have its input open.
    pub fn has_a_living_child(&mut self) {
        self.role.tell("nobody acts on this");
    }

    /// SIGKILL, wherever it is.
    pub fn is_killed(&mut self) {
        self.role.kill();
    }

    /// Leaves everything in order, and ends.
    pub fn leaves(mut self) {
        self.does("close");
        self.role.finish();
    }
}

/// The side of the test process: does what comes in by lines, several commands of a line separated by `;`.
pub fn run_commands() {
    let Some(dir) = role::dir() else { return };
    let mut test_process = Performer { dir, tag: 0, count: 0, next: None, ..Performer::default() };
    while let Some(line) = role::heard() {
        let mut result = Ok(());
        for command in line.split(';').map(str::trim).filter(|command| !command.is_empty()) {
            result = result.and_then(|()| test_process.run_commands(command));
        }
        match result {
            Ok(()) => role::say("ok"),
            Err(error) => role::say(error),
        }
    }
}

#[derive(Default)]
struct Performer {
    dir: std::path::PathBuf,
    tag: u64,
    count: u64,
    /// The sequence that the consumer has to see next.
    next: Option<u64>,
    claims: Vec<Claim>,
    frames: Vec<Frame>,
    consumer: Option<Consumer>,
    producer: Option<Producer>,
    /// Keeps consumers from their places.
    occupied: Option<File>,
}

/// Read-locks the bytes of all places for consumers that are free, as anybody can who may read: see docs/layout.md.
fn occupy(dir: &Path) -> File {
    let peers = File::open(dir.join(format!("shmflow.{TOPIC}.peers"))).unwrap();
    for id in 8..64 {
        let byte = libc::flock {
            l_type: libc::F_RDLCK as _,
            l_whence: libc::SEEK_SET as _,
            l_start: (1 << 40) + 1 + id,
            l_len: 1,
            l_pid: 0,
        };
        // One that is taken stays so.
        let _ = fcntl(&peers, FcntlArg::F_OFD_SETLK(&byte));
    }
    peers
}

impl Performer {
    fn run_commands(&mut self, command: &str) -> Result<(), String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let number = |i: usize| words.get(i).and_then(|word| word.parse::<u64>().ok()).unwrap_or(1);
        let said = |error: shmflow::Error| format!("{command}: {error}");
        match words[0] {
            "tag" => self.tag = number(1),
            "arm" => {
                let step = FailPoint::ALL.iter().find(|step| step.name() == words[1]).expect("a step");
                let action = match words[3] {
                    "kill" => Action::Kill,
                    "kill-with-child" => Action::KillWithChild,
                    _ => Action::Stop,
                };
                arm(*step, number(2), action);
            }
            "producer" => self.producer = Some(producer_builder(&self.dir).open().map_err(said)?),
            "described" => {
                let builder = producer_builder(&self.dir).description("what the topic shows");
                self.producer = Some(builder.open().map_err(said)?);
            }
            // It passes those over who rest, or waits for ever.
            "lossless" | "patient" => {
                let ms = if words[0] == "patient" { 0 } else { 200 };
                let builder = producer_builder(&self.dir)
                    .overflow_policy(OverflowPolicy::Lossless)
                    .stall_timeout(Duration::from_millis(ms));
                self.producer = Some(builder.open().map_err(said)?);
            }
            "large" => {
                let builder = producer_builder(&self.dir).slot_capacity(400_000);
                self.producer = Some(builder.open().map_err(said)?);
            }
            "primary" => {
                let mode = ProducerMode::Primary { takeover_timeout: Duration::from_secs(1) };
                self.producer = Some(producer_builder(&self.dir).mode(mode).open().map_err(said)?);
            }
            "consumer" | "reader" => {
                let builder = Consumer::builder(TOPIC).dir(&self.dir).read_only(words[0] == "reader");
                self.consumer = Some(builder.open().map_err(said)?);
                self.next = None;
            }
            "write" => {
                for _ in 0..number(1) {
                    self.count += 1;
                    let bytes = payload(self.tag, self.count, size_of(self.count));
                    self.producer().write(&bytes).map_err(said)?;
                }
            }
            "claim" => {
                for _ in 0..number(1) {
                    self.count += 1;
                    let bytes = payload(self.tag, self.count, size_of(self.count));
                    let mut claim = self.producer().claim(bytes.len()).map_err(said)?;
                    claim.copy_from_slice(&bytes);
                    self.claims.push(claim);
                }
            }
            "publish" => {
                for claim in self.claims.drain(..) {
                    claim.publish().map_err(said)?;
                }
            }
            "abandon" => {
                for _ in 0..number(1) {
                    drop(self.producer().claim(100).map_err(said)?);
                }
            }
            "grow" => self.producer().grow(number(1) as usize, 0).map_err(said)?,
            "occupy" => self.occupied = Some(occupy(&self.dir)),
            // As somebody does who cleans up by hand.
            "lose" => {
                let lost = |file: &str| file.contains(&format!(".{}", words[1]));
                let files = std::fs::read_dir(&self.dir).unwrap().map(|file| file.unwrap().path());
                files
                    .filter(|file| file.to_str().is_some_and(lost))
                    .for_each(|file| std::fs::remove_file(file).unwrap());
            }
            "end" => self.producer().end(),
            "watch" => {
                let producer = self.producer();
                let timeout = Some(Duration::from_millis(number(1)));
                // Others come and go meanwhile: it is the time that counts.
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(number(1)) {
                    let _ = producer.wait_event(producer.events(), timeout, &CancelToken::new());
                }
            }
            "accept" => self.consumer().set_accepted_caps(words[1]).map_err(said)?,
            "recv" | "hold" => {
                for _ in 0..number(2) {
                    match self.consumer().recv_timeout(Duration::from_millis(number(1))) {
                        Ok(frame) => {
                            let next = self.next.replace(frame.seq() + 1);
                            assert!(
                                next.is_none_or(|next| frame.seq() == next + frame.lost_before()),
                                "{next:?} was next: {frame:?}"
                            );
                            check(&frame)?;
                            if words[0] == "hold" {
                                self.frames.push(frame);
                            }
                        }
                        Err(shmflow::Error::Timeout { .. }) => break,
                        Err(error) => return Err(said(error)),
                    }
                }
            }
            "close" => {
                self.frames.clear();
                self.claims.clear();
                self.consumer = None;
                self.producer = None;
                self.occupied = None;
            }
            other => panic!("no such command: {other}"),
        }
        Ok(())
    }

    fn producer(&self) -> &Producer {
        self.producer.as_ref().expect("a producer")
    }

    fn consumer(&mut self) -> &mut Consumer {
        self.consumer.as_mut().expect("a consumer")
    }
}
