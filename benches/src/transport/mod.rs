//! The three ways to send a frame, behind one small trait, compiled once per transport: nothing is called
//! through a pointer while it is measured.

mod bare;
mod iceoryx;
mod ring;

use crate::Res;
use crate::spec::{Kind, Spec};
use std::time::Duration;

pub(crate) use bare::Bare;
pub(crate) use iceoryx::{Iceoryx, prefix as iceoryx_prefix, remove_files as remove_iceoryx_files};
pub(crate) use ring::Ring;

/// One publish-subscribe implementation.
pub(crate) trait Transport {
    type Sender: Sender;
    type Receiver: Receiver;
    fn sender(spec: &Spec) -> Res<Self::Sender>;
    /// Called when the sender is there.
    fn receiver(spec: &Spec) -> Res<Self::Receiver>;
}

/// The publishing side.
pub(crate) trait Sender {
    /// Takes a free frame of `bytes`, lets `fill` write it in place, and publishes it.
    /// Wakes the receivers if the spec says that they sleep.
    fn send(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Res<()>;

    /// Publishes a copy of `source`, by the call that is meant for it where there is one.
    fn send_copy(&mut self, source: &[u8]) -> Res<()> {
        self.send(source.len(), |frame| frame.copy_from_slice(source))
    }
}

/// The receiving side. The frame is given back when `read` returns.
pub(crate) trait Receiver {
    /// The next frame if there is one; false if not.
    fn poll(&mut self, read: impl FnOnce(&[u8])) -> Res<bool>;
    /// Sleeps until there is a frame; false when `limit` passed without.
    fn wait(&mut self, limit: Duration, read: impl FnOnce(&[u8])) -> Res<bool>;
}

/// Something to do with a transport that is known only at run time.
pub(crate) trait Job {
    type Output;
    fn run<T: Transport>(self) -> Self::Output;
}

/// How the names of the ring's files in shared memory begin, for the topics of one run.
pub(crate) fn ring_prefix(run: &str) -> String {
    format!("shmflow.{run}-")
}

/// Runs `job` with the transport `kind`.
pub(crate) fn with<J: Job>(kind: Kind, job: J) -> J::Output {
    match kind {
        Kind::Bare => job.run::<Bare>(),
        Kind::Iceoryx => job.run::<Iceoryx>(),
        Kind::Ring => job.run::<Ring>(),
    }
}
