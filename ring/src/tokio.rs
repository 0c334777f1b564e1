//! Topics in async code, on [tokio](https://docs.rs/tokio). Feature `tokio`.
//!
//! [`AsyncConsumer`] receives frames; [`ProducerEvents`] waits, for a producer, until consumers come, go or change what they
//! accept. No thread of the runtime is ever blocked: a futex cannot be polled, so that another thread sleeps in their place, one for
//! up to 63 consumers (see [`Consumer::poll_fd`]) and one for each [`ProducerEvents`]. Writing has no async form: a producer does
//! not wait for consumers, and one that is [lossless](crate::OverflowPolicy::Lossless) belongs into a thread that may block.
//!
//! Opening a topic takes milliseconds, but for [`ConsumerBuilder::connect_timeout`](crate::ConsumerBuilder::connect_timeout),
//! which waits: open with `tokio::task::spawn_blocking` then, and end the wait with the builder's
//! [`CancelToken`](crate::CancelToken).
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("shmflow-doc-tokio-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).unwrap();
//! use shmflow::tokio::{AsyncConsumer, ProducerEvents};
//! use shmflow::{Consumer, Error, Producer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(async {
//! let producer = Producer::builder("doc/tokio").dir(&dir).open()?;
//! let mut events = ProducerEvents::new(&producer)?;
//! // In this process or any other:
//! let mut consumer = AsyncConsumer::new(Consumer::builder("doc/tokio").dir(&dir).open()?)?;
//!
//! events.wait_for_consumer().await?;
//! producer.write(b"hello")?;
//! producer.end();
//! assert_eq!(&*consumer.recv().await?, b"hello");
//! assert!(matches!(consumer.recv().await, Err(Error::Ended { .. })));
//! # Ok::<(), Error>(())
//! # })?;
//! # std::fs::remove_dir_all(&dir).unwrap();
//! # Ok::<(), Error>(())
//! ```

#![allow(unsafe_code)]

use std::future::poll_fn;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::Handle;
use futures_core::Stream;

pub use crate::producer::ProducerEvents;
use crate::{Consumer, Error, Frame, Result};

/// A [`Consumer`] that is awaited: by [`recv`](Self::recv), or as a [`Stream`]. Dereferences to the consumer, for what does
/// not change it.
///
/// It waits on [`Consumer::poll_fd`]: a thread of this process sleeps in its place, and in that of other consumers.
///
/// As a stream it ends (with `None`) when the producers have ended theirs, or after an error, which is the last item. Like
/// [`Consumer::iter`] it may be asked again: then it waits for the stream to go on.
///
/// A future or stream that is dropped while it waits takes no frame with it. To end waits from elsewhere, drop them, or use
/// the consumer's [`CancelToken`](crate::CancelToken). (One [with a check](crate::CancelToken::with_check) is not asked here.)
#[derive(Debug)]
pub struct AsyncConsumer {
    /// The consumer's descriptor, once more: this one is not closed before it is taken from the reactor.
    ready: AsyncFd<OwnedFd>,
    consumer: Consumer,
    /// The stream has given out an error, and ends.
    failed: bool,
}

impl AsyncConsumer {
    /// Takes a consumer into the runtime that this is called in.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] outside of a tokio runtime; those of [`Consumer::poll_fd`].
    ///
    /// # Panics
    /// As all of tokio's I/O does, if the runtime was built without `enable_io` (or `enable_all`).
    pub fn new(mut consumer: Consumer) -> Result<Self> {
        if Handle::try_current().is_err() {
            let what = "an async consumer outside of a tokio runtime; make it in async code, or under `Runtime::enter`";
            return Err(Error::InvalidArgument { what: what.into() });
        }
        let fd = consumer.poll_fd()?.try_clone_to_owned();
        let fd = fd.map_err(|e| Error::io(consumer.topic(), "duplicate a descriptor", e))?;
        // SAFETY: an `OwnedFd` stays open, and the same, as long as it lives.
        let ready = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }
            .map_err(|e| Error::io(consumer.topic(), "register a descriptor with the runtime", e))?;
        Ok(Self { ready, consumer, failed: false })
    }

    /// The next frame, waiting for it as long as it takes. For a limit, see `tokio::time::timeout`.
    ///
    /// Cancel safe: dropped before it is ready, it has taken no frame.
    ///
    /// # Errors
    /// As [`Consumer::recv`]; [`Error::Io`] if the runtime is shutting down.
    pub async fn recv(&mut self) -> Result<Frame> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// As [`recv`](Self::recv), for futures written by hand: if there is nothing, has the task woken when there is.
    ///
    /// # Errors
    /// As there.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame>> {
        loop {
            // Always first, although frames may be there: this is also where a task that has run for long gives way.
            let ready = ready!(self.ready.poll_read_ready(cx));
            let mut ready = ready.map_err(|e| Error::io(self.consumer.topic(), "wait for a frame", e))?;
            match self.consumer.recv_timeout(Duration::ZERO) {
                // Now the descriptor is unreadable until there is something. If there is by now, this clears nothing.
                Err(Error::Timeout { .. }) => ready.clear_ready(),
                result => return Poll::Ready(result),
            }
        }
    }

    /// As [`Consumer::try_recv`].
    ///
    /// # Errors
    /// As there.
    pub fn try_recv(&mut self) -> Result<Option<Frame>> {
        self.consumer.try_recv()
    }

    /// As [`Consumer::skip_to_newest`].
    ///
    /// # Errors
    /// As there.
    pub fn skip_to_newest(&mut self) -> Result<()> {
        self.consumer.skip_to_newest()
    }

    /// As [`Consumer::set_accepted_caps`].
    ///
    /// # Errors
    /// As there.
    pub fn set_accepted_caps(&mut self, caps: &str) -> Result<()> {
        self.consumer.set_accepted_caps(caps)
    }

    /// The consumer, for code that is not async.
    #[must_use]
    pub fn into_inner(self) -> Consumer {
        self.consumer
    }
}

impl Deref for AsyncConsumer {
    type Target = Consumer;

    fn deref(&self) -> &Consumer {
        &self.consumer
    }
}

impl Stream for AsyncConsumer {
    type Item = Result<Frame>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.failed) {
            return Poll::Ready(None);
        }
        let item = ready!(this.poll_recv(cx));
        if matches!(item, Err(Error::Ended { .. })) {
            return Poll::Ready(None);
        }
        this.failed = item.is_err();
        Poll::Ready(Some(item))
    }
}
