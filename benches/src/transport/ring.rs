//! This project's ring, as anybody would use it.

use super::{Receiver, Sender, Transport};
use crate::Res;
use crate::spec::Spec;
use shmflow::{Consumer, Error, OverflowPolicy, Producer, StartAt};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Ring;

/// See `ring_prefix`. Only characters that file names need not escape.
fn topic(spec: &Spec) -> String {
    format!("{}-{}", spec.run, spec.topic.replace('.', "-"))
}

/// What `open` gives, once the thread is over that touches the memory of a new ring: what is measured is a ring in use.
fn settled<T>(open: impl FnOnce() -> Res<T>) -> Res<T> {
    let threads = || Ok::<_, std::io::Error>(std::fs::read_dir("/proc/self/task")?.count());
    let before = threads()?;
    let handle = open()?;
    let start = Instant::now();
    while threads()? > before {
        if start.elapsed() > Duration::from_secs(60) {
            return Err("the memory of the new ring is not there after a minute".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(handle)
}

impl Transport for Ring {
    type Sender = Producer;
    type Receiver = Consumer;

    fn sender(spec: &Spec) -> Res<Producer> {
        let builder = Producer::builder(&topic(spec)).depth(spec.depth).slot_capacity(spec.first_bytes());
        let builder = if spec.history > 0 { builder.history(spec.history) } else { builder };
        let policy = if spec.lossless { OverflowPolicy::Lossless } else { OverflowPolicy::default() };
        let builder = builder.overflow_policy(policy);
        if spec.fresh { Ok(builder.open()?) } else { settled(|| Ok(builder.open()?)) }
    }

    fn receiver(spec: &Spec) -> Res<Consumer> {
        let builder = Consumer::builder(&topic(spec));
        if spec.fresh {
            return Ok(builder.connect_timeout(Duration::from_secs(10)).open()?);
        }
        settled(|| Ok(builder.start(StartAt::Next).open()?))
    }
}

impl Sender for Producer {
    fn send(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Res<()> {
        let mut claim = self.claim(bytes)?;
        fill(&mut claim);
        claim.publish()?;
        Ok(())
    }

    fn send_copy(&mut self, source: &[u8]) -> Res<()> {
        self.write(source)?;
        Ok(())
    }
}

impl Receiver for Consumer {
    fn poll(&mut self, read: impl FnOnce(&[u8])) -> Res<bool> {
        Ok(self.try_recv()?.map(|frame| read(&frame)).is_some())
    }

    fn wait(&mut self, limit: Duration, read: impl FnOnce(&[u8])) -> Res<bool> {
        match self.recv_timeout(limit) {
            Ok(frame) => read(&frame),
            Err(Error::Timeout { .. }) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        Ok(true)
    }
}
