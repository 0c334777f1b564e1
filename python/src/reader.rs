//! What a Python consumer reads with: a consumer of the ring; or, while a topic that was removed is not there again, one to come.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use shmflow::{Consumer, Error, Frame, PendingConsumer, Result, StreamStatus};

/// A look at a topic, which waits until then (`None` for ever), or not at all.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    No,
    /// The same, and reports an end.
    End,
    /// And reports an end.
    Until(Option<Instant>),
}

impl Wait {
    fn receive(self, consumer: &mut Consumer) -> Result<Received<Frame>> {
        let frame = match self {
            Self::No => consumer.try_recv()?,
            Self::End => match consumer.try_recv()? {
                Some(frame) => Some(frame),
                None => match consumer.recv_timeout(Duration::ZERO) {
                    Err(Error::Timeout { .. }) => None,
                    received => Some(received?),
                },
            },
            Self::Until(None) => Some(consumer.recv()?),
            Self::Until(Some(end)) => {
                Some(consumer.recv_timeout(end.saturating_duration_since(Instant::now()))?)
            }
        };
        Ok(frame.map_or(Received::Nothing, Received::Frame))
    }
}

/// What a look found.
pub(crate) enum Received<T> {
    Frame(T),
    Nothing,
    /// The topic was removed, and is to be opened again when it is there: nothing was waited for.
    NoTopic,
}

impl<T> Received<T> {
    pub(crate) fn frame(self) -> Option<T> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Nothing | Self::NoTopic => None,
        }
    }
}

/// Received, lost, copied, bytes, skipped, expected.
pub(crate) type Sums = [u64; 6];

#[derive(Debug)]
pub(crate) struct Reader {
    open: Option<Box<Consumer>>,
    /// While the topic is not there.
    pending: Option<Box<PendingConsumer>>,
    /// A topic that was removed is opened again.
    reconnects: bool,
    /// Of topics that were removed.
    before: Sums,
}

impl Reader {
    pub(crate) fn new(consumer: Consumer, reconnects: bool) -> Self {
        Self { open: Some(Box::new(consumer)), pending: None, reconnects, before: Sums::default() }
    }

    /// The consumer, if the topic is there.
    fn joined(&mut self) -> Result<Option<&mut Consumer>> {
        if let Some(pending) = &mut self.pending
            && let Some(open) = pending.try_open()?
        {
            self.join(open);
        }
        Ok(self.open.as_deref_mut())
    }

    fn join(&mut self, open: Consumer) {
        self.open = Some(Box::new(open));
        self.pending = None;
    }

    /// The topic was removed: leaves it, and waits for another.
    fn leave(&mut self) -> Result<()> {
        self.before = self.sums();
        if let Some(open) = self.open.take() {
            self.pending = Some(Box::new(open.into_pending()?));
        }
        Ok(())
    }

    pub(crate) fn receive(&mut self, wait: Wait) -> Result<Received<Frame>> {
        loop {
            let Some(open) = self.joined()? else { return Ok(Received::NoTopic) };
            match wait.receive(open) {
                Err(Error::Removed { .. }) if self.reconnects => self.leave()?,
                done => return done,
            }
        }
    }

    /// Waits for the topic, so long or for ever.
    pub(crate) fn wait_for_topic(&mut self, limit: Option<Duration>) -> Result<()> {
        if let Some(pending) = &mut self.pending {
            let open = pending.open(limit)?;
            self.join(open);
        }
        Ok(())
    }

    /// Whether receiving would give something at once: a frame, the end of the stream, an error. If not, the descriptor becomes
    /// unreadable.
    pub(crate) fn is_ready(&mut self) -> Result<bool> {
        loop {
            // What is wrong with a topic is for who receives.
            let Ok(joined) = self.joined() else { return Ok(true) };
            let Some(open) = joined else { return Ok(false) };
            if !open.is_ready()? {
                return Ok(false);
            }
            if !(open.is_removed() && self.reconnects) {
                return Ok(true);
            }
            self.leave()?;
        }
    }

    /// Stays the same from topic to topic.
    pub(crate) fn fd(&mut self) -> Result<Option<BorrowedFd<'_>>> {
        match (&mut self.open, &mut self.pending) {
            (Some(open), _) => open.poll_fd().map(Some),
            (None, Some(pending)) => pending.poll_fd().map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn skip_to_newest(&mut self) -> Result<()> {
        self.joined()?.map_or(Ok(()), Consumer::skip_to_newest)
    }

    /// Whether it could ask.
    pub(crate) fn request_key_frame(&mut self) -> Result<bool> {
        self.joined()?.map_or(Ok(false), |open| open.request_key_frame())
    }

    pub(crate) fn set_accepted_caps(&mut self, caps: &str) -> Result<()> {
        match (&mut self.open, &mut self.pending) {
            (Some(open), _) => open.set_accepted_caps(caps),
            (None, Some(pending)) => pending.set_accepted_caps(caps),
            (None, None) => Ok(()),
        }
    }

    /// 0 while the topic is not there.
    pub(crate) fn position(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.position())
    }

    pub(crate) fn stream_status(&self) -> StreamStatus {
        self.open.as_ref().map_or_else(StreamStatus::default, |open| open.stream_status())
    }

    pub(crate) fn sums(&self) -> Sums {
        let now = self.open.as_ref().map(|open| open.stats()).unwrap_or_default();
        let now = [now.received, now.lost, now.copied, now.bytes, now.skipped, now.expected];
        std::array::from_fn(|i| self.before[i].saturating_add(now[i]))
    }
}
