//! A process that takes part in topics as it is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use shmflow::{Consumer, Error, Frame, Producer, ProducerMode, StartAt};

use super::common::role::{self, Role};

/// A user that owns nothing, and its group.
pub(crate) const NOBODY: &str = "user 65534 65534";

/// Whether this test may become another user; says so if not.
pub(crate) fn is_root(test: &str) -> bool {
    let root = Uid::effective().is_root();
    if !root {
        println!("{test}: skipped, because only root can become another user or mount");
    }
    root
}

/// Starts an actor, which has done all of `doing`.
pub(crate) fn actor(dir: impl AsRef<Path>, doing: &[&str]) -> Role {
    let mut role = Role::start("actor::role_of_an_actor", dir);
    assert_eq!(role.read_reply(), "ready");
    for what in doing {
        let answer = role.ask(what);
        assert!(answer.starts_with("ok"), "{what}: {answer}");
    }
    role
}

#[derive(Default)]
struct Actor {
    dir: PathBuf,
    producer: Option<Producer>,
    consumer: Option<Consumer>,
    frames: Vec<Frame>,
}

#[test]
#[ignore = "a role of other tests"]
fn role_of_an_actor() {
    let Some(dir) = role::dir() else { return };
    let mut actor = Actor { dir, ..Actor::default() };
    role::say("ready");
    while let Some(line) = role::heard() {
        let words: Vec<_> = line.split(' ').collect();
        match actor.act(&words) {
            Ok(done) => role::say(format!("ok {done}").trim()),
            Err(error) => role::say(describe(&error)),
        }
    }
}

/// The name of an error's variant, and what it says.
pub(crate) fn describe(error: &Error) -> String {
    let debug = format!("{error:?}");
    let name = debug.split([' ', '(', '{']).next().unwrap_or_default();
    format!("{name}: {error}")
}

impl Actor {
    fn act(&mut self, words: &[&str]) -> Result<String, Error> {
        let number = |i: usize| words[i].parse::<u32>().unwrap();
        let octal = |i: usize| u32::from_str_radix(words[i], 8).unwrap();
        let done = String::new;
        match words[0] {
            "user" => {
                let others: Vec<_> = (3..words.len()).map(|i| Gid::from_raw(number(i))).collect();
                setgroups(&others).unwrap();
                setgid(Gid::from_raw(number(2))).unwrap();
                setuid(Uid::from_raw(number(1))).unwrap();
            }
            "umask" => drop(umask(Mode::from_bits_truncate(octal(1)))),
            "produce" => {
                let mut wanted = Producer::builder("t").dir(&self.dir);
                for word in &words[1..] {
                    wanted = match word.split_once('=').unwrap_or((word, "")) {
                        ("perms", mode) => wanted.perms(u32::from_str_radix(mode, 8).unwrap()),
                        ("persistent", _) => wanted.persistent(true),
                        ("exclusive", _) => wanted.mode(ProducerMode::Exclusive),
                        ("primary", ms) => {
                            let takeover_timeout = Duration::from_millis(ms.parse().unwrap());
                            wanted.mode(ProducerMode::Primary { takeover_timeout })
                        }
                        ("foreign", _) => wanted.allow_foreign_owner(true),
                        ("slot_capacity", bytes) => wanted.slot_capacity(bytes.parse().unwrap()),
                        other => panic!("{other:?}"),
                    };
                }
                self.producer = Some(wanted.open()?);
            }
            "consume" => {
                let mut wanted = Consumer::builder("t").dir(&self.dir);
                for word in &words[1..] {
                    wanted = match word.split_once('=').unwrap_or((word, "")) {
                        ("readonly", _) => wanted.read_only(true),
                        ("next", _) => wanted.start(StartAt::Next),
                        ("foreign", _) => wanted.allow_foreign_owner(true),
                        ("wait", ms) => {
                            role::say("waits");
                            wanted.connect_timeout(Duration::from_millis(ms.parse().unwrap()))
                        }
                        other => panic!("{other:?}"),
                    };
                }
                self.consumer = Some(wanted.open()?);
            }
            "write" => {
                let producer = self.producer.as_ref().unwrap();
                return Ok(producer.write(&vec![7; number(1) as usize])?.to_string());
            }
            "lead" => return Ok(self.producer.as_ref().unwrap().try_become_primary().to_string()),
            "end" => self.producer.as_ref().unwrap().end(),
            "recv" => {
                let wait = Duration::from_millis(number(1).into());
                let frame = self.consumer.as_mut().unwrap().recv_timeout(wait)?;
                let how = if frame.is_copy() { "copy" } else { "lease" };
                let text = format!("{} {how} {}", frame.seq(), frame.len());
                self.frames.push(frame);
                return Ok(text);
            }
            "leave" => {
                self.frames.clear();
                (self.producer, self.consumer) = (None, None);
            }
            "remove" => drop(shmflow::remove("t", Some(&self.dir), words.contains(&"force"))?),
            "collect" => {
                let collected = shmflow::gc(Some(&self.dir))?;
                let why: Vec<_> = collected.skipped.iter().map(|kept| format!("{:?}", kept.reason)).collect();
                return Ok(format!("{} {}", collected.removed.len(), why.join(";").replace('\n', " ")));
            }
            "inspect" => {
                let info = shmflow::inspect("t", Some(&self.dir))?;
                let alive: Vec<_> = info.participants.iter().map(|p| format!("{:?}", p.liveness)).collect();
                return Ok(format!(
                    "{} {} {:?}",
                    info.published(),
                    alive.join(","),
                    info.participants.first().map(|p| p.held_slots)
                ));
            }
            other => panic!("{other}"),
        }
        Ok(done())
    }
}
