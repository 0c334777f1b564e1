//! No ring at all: a counter, a futex word and a row of buffers in shared memory. What a sender overwrites
//! is guarded by the receiver's counter, for one receiver; with more of them the frames must be empty.
#![allow(unsafe_code)]

use super::{Receiver, Sender, Transport};
use crate::Res;
use crate::machine::now_ns;
use crate::page::{Page, row_bytes, sleep_on, wake_all};
use crate::spec::Spec;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// Counter: newest frame; its futex word changes with every frame.
const NEWEST: usize = 0;
/// Counter: newest frame that the receiver is done with.
const DONE: usize = 1;
/// A receiver that is silent for so long is dead: the scene fails instead of hanging.
const PATIENCE_NS: u64 = 20_000_000_000;

#[derive(Debug)]
pub(crate) struct Bare {
    page: Page,
    bytes: usize,
    depth: u64,
    sleep: bool,
    /// The newest frame that was sent or received here.
    at: u64,
    /// What the receiver's counter said last: asked again only when the buffers are used up.
    done: u64,
}

impl Bare {
    fn new(page: Page, spec: &Spec) -> Res<Self> {
        if spec.receivers > 1 && spec.bytes > 0 {
            return Err("bare buffers are safe for one receiver only".into());
        }
        let at = page.word(NEWEST).load(Acquire);
        Ok(Self {
            page,
            bytes: spec.bytes,
            depth: u64::from(spec.depth.max(1)),
            sleep: spec.sleep,
            at,
            done: at,
        })
    }

    fn number(&self, frame: u64) -> usize {
        usize::try_from(frame % self.depth).unwrap_or(0)
    }
}

impl Transport for Bare {
    type Sender = Self;
    type Receiver = Self;

    fn sender(spec: &Spec) -> Res<Self> {
        let buffers = row_bytes(usize::try_from(spec.depth.max(1))?, spec.bytes);
        Self::new(Page::create(&spec.bare_path(), buffers)?, spec)
    }

    fn receiver(spec: &Spec) -> Res<Self> {
        Self::new(Page::open(&spec.bare_path())?, spec)
    }
}

impl Sender for Bare {
    fn send(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Res<()> {
        let frame = self.at + 1;
        if self.bytes > 0 {
            if bytes > self.bytes {
                return Err(format!("{bytes} bytes do not fit a buffer of {}", self.bytes).into());
            }
            if frame - self.done > self.depth {
                let patience = now_ns().saturating_add(PATIENCE_NS);
                loop {
                    // Pairs with the release in `poll`: what it read is read before we write again.
                    self.done = self.page.word(DONE).load(Acquire);
                    if frame - self.done <= self.depth {
                        break;
                    }
                    if now_ns() > patience {
                        return Err("the receiver takes no more frames".into());
                    }
                    std::hint::spin_loop();
                }
            }
            // SAFETY: the receiver is done with this buffer (checked above) and does not touch it before
            // the counter below says that it holds a new frame.
            let buffer = unsafe { self.page.buffer_mut(self.number(frame), self.bytes) }?;
            fill(buffer.get_mut(..bytes).unwrap_or_default());
        } else {
            fill(&mut []);
        }
        self.page.word(NEWEST).store(frame, Release);
        self.at = frame;
        if self.sleep {
            let word = self.page.futex(NEWEST);
            word.fetch_add(1, Release);
            wake_all(word);
        }
        Ok(())
    }
}

impl Receiver for Bare {
    fn poll(&mut self, read: impl FnOnce(&[u8])) -> Res<bool> {
        // Pairs with the release in `send`.
        if self.page.word(NEWEST).load(Acquire) <= self.at {
            return Ok(false);
        }
        let frame = self.at + 1;
        if self.bytes > 0 {
            // SAFETY: the sender wrote this buffer before it raised the counter, and does not write it again
            // before DONE, which only this only receiver raises, reaches `frame`.
            read(unsafe { self.page.buffer_ref(self.number(frame), self.bytes) }?);
            self.page.word(DONE).store(frame, Release);
        } else {
            read(&[]);
        }
        self.at = frame;
        Ok(true)
    }

    fn wait(&mut self, limit: Duration, read: impl FnOnce(&[u8])) -> Res<bool> {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let until = now_ns().saturating_add(limit);
        loop {
            let value = self.page.futex(NEWEST).load(Acquire);
            if self.page.word(NEWEST).load(Relaxed) > self.at {
                return self.poll(read);
            }
            let left = until.saturating_sub(now_ns());
            if left == 0 {
                return Ok(false);
            }
            sleep_on(self.page.futex(NEWEST), value, left);
        }
    }
}
