//! Settings of a consumer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::arrival::ArrivalTimer;
use super::busy_wait::BusyWait;
use super::filter::Filter;
use super::place::Placeless;
use super::pool::Pool;
use super::selection::Selection;
use super::{Consumer, ConsumerStats, CopyReason, PendingConsumer};
use crate::admin::{similar_topics, suggest};
use crate::error::{DidYouMean, Error, Result};
use crate::lifecycle::Options;
use crate::lifecycle::files::Mode;
use crate::lifecycle::open::{self, Delivery, Opened, StartAt};
use crate::lifecycle::whole;
use crate::sys::cancel::CancelToken;
use crate::sys::clock::Deadline;
use crate::sys::watch::{Appeared, Watch};
use crate::topic::{FileKind, Topic};
use crate::trace::{self, ConsumerTrace, Fields, Level};

/// Where a consumer continues when it was lapped: frames that it had not read were overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLapped {
    /// At the oldest frame in the ring: the fewest are lost.
    #[default]
    Oldest,
    /// At the newest: the least delay.
    Newest,
}

/// Options to open a topic with as a consumer.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until `open` is called"]
pub struct ConsumerBuilder {
    topic: String,
    dir: Option<PathBuf>,
    name: Option<String>,
    start: StartAt,
    on_lapped: OnLapped,
    latest: bool,
    share: (u32, u32),
    max_rate: Option<f64>,
    busy_wait: Duration,
    filter: Filter,
    max_leases: Option<u32>,
    allow_copies: bool,
    report_no_producer: bool,
    read_only: bool,
    /// `None`: do not wait; `Some(None)`: for ever.
    wait: Option<Option<Duration>>,
    pub(super) cancel_token: CancelToken,
    allow_foreign: bool,
    prefault: bool,
    copy_on_write: bool,
    always_copy: bool,
    accepted_caps: String,
    delivery: Delivery,
}

/// Whether it is worth waiting for the topic.
pub(super) fn is_to_come(error: &Error) -> bool {
    matches!(error, Error::TopicNotFound { .. }) || whole::is_deleted(error)
}

impl ConsumerBuilder {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.into(),
            dir: None,
            name: None,
            start: StartAt::default(),
            on_lapped: OnLapped::default(),
            latest: false,
            share: (0, 1),
            max_rate: None,
            busy_wait: Duration::ZERO,
            filter: Filter::default(),
            max_leases: None,
            allow_copies: true,
            report_no_producer: false,
            read_only: false,
            wait: None,
            cancel_token: CancelToken::new(),
            allow_foreign: false,
            prefault: true,
            copy_on_write: false,
            always_copy: false,
            accepted_caps: String::new(),
            delivery: Delivery::default(),
        }
    }

    /// The directory of the topic's files. Default: `$SHMFLOW_DIR`, or else `/dev/shm`.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().into());
        self
    }

    /// A name for display; at most 64 bytes. Default: the name of the process.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where to start. Default: at the oldest frame in the ring.
    pub fn start(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// Where to continue when frames were overwritten. Default: at the oldest.
    pub fn on_lapped(mut self, on_lapped: OnLapped) -> Self {
        self.on_lapped = on_lapped;
        self
    }

    /// Always the newest frame: each receiving call skips those that came before it, and waits only if there is none that was
    /// not received yet. For programs that act on what they see, and for previews. Frames that are skipped do not count as lost,
    /// and no [lossless](crate::OverflowPolicy::Lossless) producer waits for such a consumer. Default false: every frame.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-latest-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/latest").dir(&dir).open()?;
    /// let mut consumer = shmflow::Consumer::builder("doc/latest").dir(&dir).latest(true).open()?;
    /// for _ in 0..3 { producer.write(b"x")?; }
    /// assert_eq!(consumer.recv()?.seq(), 3);
    /// # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn latest(mut self, latest: bool) -> Self {
        self.latest = latest;
        self
    }

    /// At most `per_second` frames a second, the newest each time: between two of them a waiting consumer sleeps, and no publication
    /// wakes it. As [`latest`](Self::latest) otherwise. Default: no limit.
    pub fn max_rate(mut self, per_second: f64) -> Self {
        self.max_rate = Some(per_second);
        self
    }

    /// How long it may look for a frame instead of being woken for it: for programs in which microseconds count. A consumer that
    /// waits learns when the next frame is due, sleeps until shortly before, and then looks for it, yielding the processor between
    /// two looks; after this time it sleeps as without. A frame that is found so comes without a wake-up, and
    /// costs its producer no system call. Default: 0, never.
    ///
    /// Nothing is looked for while frames do not come at a steady pace, after they have stopped, or while more threads want to
    /// run than there are processors. It costs this much time of a processor per frame at most: 100 to 300 µs suit frames at 60
    /// a second. [`ConsumerStats::expected`] counts what was found. Without effect on [`poll_fd`](Consumer::poll_fd) and
    /// [`try_recv`](Consumer::try_recv), and while [`max_rate`](Self::max_rate) has it rest. The thread that waits gets a timer
    /// slack of 1 ns (`PR_SET_TIMERSLACK`).
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-busy-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/busy").dir(&dir).open()?;
    /// use std::time::Duration;
    /// let mut consumer =
    ///     shmflow::Consumer::builder("doc/busy").dir(&dir).busy_wait(Duration::from_micros(150)).open()?;
    /// producer.write(b"x")?;
    /// assert_eq!(consumer.recv()?.seq(), 1);
    /// # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn busy_wait(mut self, at_most: Duration) -> Self {
        self.busy_wait = at_most;
        self
    }

    /// A share of the stream for each of several consumers: of `of` shares, counted from 0, this is number `index`. It gets the
    /// frames whose sequence number divided by `of` leaves `index`; the others do not count as lost, and no
    /// [lossless](crate::OverflowPolicy::Lossless) producer waits for this consumer to read, or to pass, them. With
    /// [`latest`](Self::latest), the newest of these. Default: (0, 1), all.
    pub fn share(mut self, index: u32, of: u32) -> Self {
        self.share = (index, of);
        self
    }

    /// Which frames are given out.
    pub(crate) fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Leases that this consumer may hold at a time, at least 1. Beyond that, and when producers would run short of
    /// slots, it receives copies: more than the ring has slots are never lent, whatever is asked for here. Default: half the
    /// depth.
    pub fn max_leases(mut self, frames: u32) -> Self {
        self.max_leases = Some(frames.max(1));
        self
    }

    /// Whether frames that cannot be leased are received as copies. Without, receiving gives [`Error::WouldCopy`] and leaves
    /// the frame where it is: for programs that would rather drop frames, or release some, than copy 33 MB. Default true.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-nocopy-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let producer = shmflow::Producer::builder("doc/nocopy").dir(&dir).open()?;
    /// let builder = shmflow::Consumer::builder("doc/nocopy").dir(&dir);
    /// let mut consumer = builder.max_leases(1).allow_copies(false).open()?;
    /// for _ in 0..2 { producer.write(b"x")?; }
    /// let first = consumer.recv()?;
    /// assert!(matches!(consumer.recv(), Err(shmflow::Error::WouldCopy { .. })));
    /// drop(first);
    /// assert_eq!(consumer.recv()?.seq(), 2);
    /// # drop((consumer, producer)); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn allow_copies(mut self, allow: bool) -> Self {
        self.allow_copies = allow;
        self
    }

    /// Whether a wait for a frame ends with [`Error::NoProducer`] when everything was read and no producer is left that has not
    /// [ended](crate::Producer::end) the stream before this consumer's eyes: it left without doing so, or died, or was gone
    /// before this consumer came. Noticed within a second by a call that waits, within five by calls that do not. Reported
    /// once for each time: the next call waits for the next producer. Default false: wait for it.
    pub fn report_no_producer(mut self, report: bool) -> Self {
        self.report_no_producer = report;
        self
    }

    /// Write nothing into shared memory: no registration, copies only. Works without permission to write, and in any
    /// number, on topics whose permissions admit readers. On others, which need permission to write, it writes once: a flag
    /// that has producers wake it. Default false.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// If the topic does not exist yet, wait for it: at most this long, or for ever (`None`). Default: do not wait (in
    /// Python the default is for ever).
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.wait = Some(timeout.into());
        self
    }

    /// A cancel token made earlier, which also ends the wait for the topic.
    pub fn cancel_token(mut self, cancel_token: &CancelToken) -> Self {
        self.cancel_token = cancel_token.clone();
        self
    }

    /// Allow a topic that belongs to a user other than this one or root. The owner of its files can end this process by
    /// truncating them.
    pub fn allow_foreign_owner(mut self, allow: bool) -> Self {
        self.allow_foreign = allow;
        self
    }

    /// Touch all of the memory soon after it is mapped (more than 2 MiB of it in a thread), and not frame by frame. Default
    /// true.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.prefault = prefault;
        self
    }

    /// Whether foreign code in this process may write where a frame's bytes are ([`Frame::private_ptr`](crate::Frame::private_ptr)): a stray
    /// store gets a private copy of its page, which nobody else sees, and which is gone with the frame. Without, it is a
    /// segmentation fault. For bindings to languages whose libraries do not know memory that only they may not write. Default
    /// false.
    ///
    /// If this process may have no such mapping (limits on address space or data, `vm.overcommit_memory=2`), its frames are
    /// copies, with [`CopyReason::NotPrivate`].
    ///
    /// To lease a frame costs a system call more, of 0.6 µs, and where the process had page faults since the slot was
    /// leased before, a look at its page tables: see docs/architecture.md.
    pub fn copy_on_write(mut self, copy_on_write: bool) -> Self {
        self.copy_on_write = copy_on_write;
        self
    }

    /// Copy every frame, and hold no slot longer than that takes. Default false.
    pub fn always_copy(mut self, always_copy: bool) -> Self {
        self.always_copy = always_copy;
        self
    }

    /// Whether a [lossless](crate::OverflowPolicy::Lossless) producer waits for this consumer. Default: it does.
    ///
    /// A consumer that is not [registered](Consumer::id) is never waited for.
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// The caps that this consumer accepts; see [`Consumer::set_accepted_caps`].
    pub fn accepted_caps(mut self, caps: &str) -> Self {
        self.accepted_caps = caps.into();
        self
    }

    /// A consumer that opens the topic when it is there, and needs no thread to wait for that: its descriptor tells an event
    /// loop. [`connect_timeout`](Self::connect_timeout) does not count.
    ///
    /// # Errors
    /// [`Error::InvalidTopicName`], [`Error::InvalidArgument`].
    pub fn open_pending(self) -> Result<PendingConsumer> {
        let topic = self.check()?;
        Ok(PendingConsumer::new(Self { wait: None, ..self }, topic))
    }

    /// What can be wrong without looking at the topic.
    fn check(&self) -> Result<Topic> {
        let topic = Topic::new(&self.topic, self.dir.as_deref())?;
        super::check_accepted_caps(&self.accepted_caps)?;
        self.selection()?;
        if self.read_only && !self.allow_copies {
            let what = "a read-only consumer that allows no copies (it receives nothing else)".into();
            return Err(Error::InvalidArgument { what });
        }
        if self.always_copy && !self.allow_copies {
            let what = "a consumer that copies every frame and allows no copies".into();
            return Err(Error::InvalidArgument { what });
        }
        Ok(topic)
    }

    /// Opens the topic.
    ///
    /// # Errors
    /// [`Error::TopicNotFound`] if it does not exist and the consumer does not wait, [`Error::Timeout`] if it was not
    /// created in time, [`Error::Cancelled`]; [`Error::InvalidTopicName`]; [`Error::PermissionDenied`], [`Error::ForeignOwner`];
    /// [`Error::ReadOnlyNotAllowed`]; [`Error::NotARing`], [`Error::VersionMismatch`], [`Error::Corrupt`];
    /// [`Error::Busy`] if a stopped process is in the way.
    pub fn open(self) -> Result<Consumer> {
        let topic = self.check()?;
        suggest(&topic, self.open_topic(&topic))
    }

    /// As [`open`](Self::open), for who looks again and again: similar names are not looked for.
    pub(super) fn open_topic(self, topic: &Topic) -> Result<Consumer> {
        let selection = self.selection()?;
        let options = Options {
            name: self.name.clone().unwrap_or_else(crate::info::process_name),
            accepted_caps: self.accepted_caps.clone(),
            allow_foreign: self.allow_foreign,
            prefault: self.prefault,
            copy_on_write: self.copy_on_write && !self.always_copy,
            perms: 0,
            persistent: false,
            description: None,
            delivery: if selection.is_latest() { Delivery::Latest } else { self.delivery },
        };
        let attempt = || {
            if self.read_only {
                open::reader(topic, &options, self.start)
            } else {
                open::consumer(topic, &options, self.start)
            }
        };
        let opened = match (attempt(), self.wait) {
            (Err(error), Some(timeout)) if is_to_come(&error) => {
                self.wait_and_open(topic, timeout, attempt)?
            }
            (result, _) => result?,
        };
        let reason = opened.epoch.member.id().is_none().then(|| self.unregistered().as_str());
        let fields = Fields { reason, ..Fields::of(opened.epoch.member.id()) };
        trace::event(Level::Debug, "consumer attached", topic.name(), fields);
        let cursor = opened.cursor;
        let mut consumer = self.consumer(opened, options, selection);
        if selection.next(cursor) != cursor {
            // What is for others until then is not kept for it.
            consumer.advance(cursor);
        }
        Ok(consumer)
    }

    /// Which frames it takes.
    fn selection(&self) -> Result<Selection> {
        let mut selection = Selection::default();
        selection.set_latest(self.latest);
        selection.set_share(self.share.0, self.share.1)?;
        self.max_rate.map_or(Ok(()), |rate| selection.set_max_rate(rate))?;
        Ok(selection)
    }

    /// Why it has no place among the participants, if it has none.
    fn unregistered(&self) -> CopyReason {
        if self.read_only { CopyReason::ReadOnly } else { CopyReason::NotRegistered }
    }

    fn wait_and_open(
        &self,
        topic: &Topic,
        timeout: Option<Duration>,
        attempt: impl Fn() -> Result<Opened>,
    ) -> Result<Opened> {
        let deadline = timeout.map(Deadline::after);
        // The ring gets its name last: before that there is nothing to open.
        let file = topic.file_name(FileKind::Ring);
        let mut watch = Watch::new(topic)?;
        loop {
            if watch.is_to_come() {
                watch = Watch::new(topic)?;
            }
            match attempt() {
                Err(error) if is_to_come(&error) => {}
                result => return result,
            }
            match watch.wait(file.as_ref(), deadline, &self.cancel_token) {
                Ok(Appeared::Changed) => {}
                // The directory went away, as that of a service does that is stopped. It is waited for, too.
                Err(Error::TopicNotFound { .. }) => watch = Watch::new(topic)?,
                Err(error) => return Err(error),
                Ok(Appeared::TimedOut) => {
                    let (dir, similar) = (topic.dir(), similar_topics(topic.name(), Some(topic.dir())));
                    let what = format!(
                        "there is no such topic in {}{}; start its producer, in the same directory",
                        dir.display(),
                        DidYouMean(&similar)
                    );
                    return Err(Error::Timeout { topic: topic.name().into(), what: what.into() });
                }
                Ok(Appeared::Cancelled) => return Err(Error::Cancelled { topic: topic.name().into() }),
            }
        }
    }

    fn consumer(self, opened: Opened, options: Options, selection: Selection) -> Consumer {
        let Opened { epoch, cursor, joined_at, initial_end } = opened;
        let mode = Mode {
            write_ring: false,
            write_holds: !self.read_only,
            allow_foreign: self.allow_foreign,
            prefault: self.prefault,
            copy_on_write: self.copy_on_write && !self.read_only && !self.always_copy,
        };
        let placeless =
            (!self.read_only && epoch.member.id().is_none()).then(|| Box::new(Placeless::new(options)));
        let max_leases = self.max_leases.unwrap_or((epoch.geometry.depth / 2).max(1));
        Consumer {
            epoch,
            old: Vec::new(),
            mode,
            cursor,
            joined_at,
            lost: 0,
            // What it looks for is the newest, even if that is overwritten between two looks.
            on_lapped: if selection.is_latest() { OnLapped::Newest } else { self.on_lapped },
            selection,
            filter: self.filter,
            max_leases,
            allow_copies: self.allow_copies,
            always_copy: self.always_copy,
            // No producer has this generation.
            known_absence: self.report_no_producer.then_some(u64::MAX),
            leases: Arc::default(),
            pool: Pool::default(),
            cancel_token: self.cancel_token,
            stats: ConsumerStats::default(),
            known_end: initial_end,
            pace: ArrivalTimer::default(),
            busy_wait: BusyWait::new(self.busy_wait),
            room: super::frame::FrameAlloc::default(),
            poll_fd: None,
            placeless,
            origin: None,
            trace: ConsumerTrace::default(),
        }
    }
}
