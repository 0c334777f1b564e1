//! Settings of a producer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::Producer;
use super::inner::{Inner, Policy};
use crate::admin;
use crate::error::{Error, Result};
use crate::info::Geometry;
use crate::layout::peers::{DESCRIPTION_BYTES, FILE_LEN, flags};
use crate::lifecycle::open::{self, Delivery};
use crate::lifecycle::{GeometryRequest, Options};
use crate::sys::cancel::CancelToken;
use crate::topic::Topic;
use crate::trace::{self, Fields, Level};

/// What happens to a frame for which there is no free slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// It overwrites the oldest frame that no participant holds, read or unread.
    #[default]
    OverwriteOldest,
    /// It is dropped while the ring is full of frames that live registered consumers have not read ([`Error::Full`]).
    DropNew,
    /// The producer waits for a slot that is owed to no registered consumer: each gets every frame that is published after it
    /// has registered, if all producers of the topic have this policy.
    ///
    /// Not waited for are consumers with [`Delivery::Latest`](crate::Delivery::Latest), those that are not registered (read
    /// only, or without a [place](crate::Consumer::id)), the dead, and those that have taken nothing for the
    /// [`stall_timeout`](ProducerBuilder::stall_timeout). A consumer that is read by the thread that publishes is waited for
    /// in vain: publishing then takes the whole timeout, again and again, and the consumer loses frames.
    Lossless,
}

/// How several producers share a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerMode {
    /// Frames of all producers are interleaved in one sequence.
    #[default]
    Shared,
    /// The frames of one producer, the primary, count; standbys take over when it dies, or when it publishes nothing for
    /// longer than `takeover_timeout` although they have frames (zero: only when it dies).
    Primary {
        /// How long a primary may publish nothing; 1 s is a good choice.
        takeover_timeout: Duration,
    },
    /// The topic has one producer: another open fails with [`Error::InUse`].
    Exclusive,
}

/// Options to open a topic with as a producer.
///
/// The producer that creates the topic sets depth, spare slots, history and permissions; a later producer joins the
/// existing ring, and enlarges the slots if its frames need it.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until `open` is called"]
pub struct ProducerBuilder {
    topic: String,
    dir: Option<PathBuf>,
    name: Option<String>,
    depth: u32,
    spare_slots: u32,
    history: Option<u32>,
    slot_capacity: usize,
    meta_capacity: usize,
    perms: u32,
    persistent: bool,
    description: Option<String>,
    allow_foreign: bool,
    prefault: bool,
    overflow_policy: OverflowPolicy,
    stall_timeout: Duration,
    cancel_token: CancelToken,
    mode: ProducerMode,
    /// What its frames are, for others to see.
    declared_caps: String,
}

impl ProducerBuilder {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.into(),
            dir: None,
            name: None,
            depth: 8,
            spare_slots: 2,
            history: None,
            slot_capacity: 64 << 10,
            meta_capacity: 4096,
            perms: 0o600,
            persistent: false,
            description: None,
            allow_foreign: false,
            prefault: true,
            overflow_policy: OverflowPolicy::default(),
            stall_timeout: Duration::from_secs(5),
            cancel_token: CancelToken::new(),
            mode: ProducerMode::default(),
            declared_caps: String::new(),
        }
    }

    /// How many frames the ring holds for its consumers, at least 1. Default 8.
    pub fn depth(mut self, frames: u32) -> Self {
        self.depth = frames;
        self
    }

    /// Slots beyond the depth, in which producers write: one for each producer and one more. Default 2.
    pub fn spare_slots(mut self, slots: u32) -> Self {
        self.spare_slots = slots;
        self
    }

    /// Number of newest frames kept for late joiners, up to the depth. Frames beyond it are overwritten as soon as every
    /// registered consumer has read them, which keeps the memory in the cache. Default: the depth.
    pub fn history(mut self, frames: u32) -> Self {
        self.history = Some(frames);
        self
    }

    /// Initial size of a slot in bytes; the ring grows when a frame is larger. Default 64 KiB.
    pub fn slot_capacity(mut self, bytes: usize) -> Self {
        self.slot_capacity = bytes;
        self
    }

    /// Bytes of metadata that a frame may have. Default 4096.
    pub fn meta_capacity(mut self, bytes: usize) -> Self {
        self.meta_capacity = bytes;
        self
    }

    /// Permissions of the topic's files; the umask does not apply. A user who may write can register and lease, a user who
    /// may only read receives copies. At most `0o777`. Default `0o600`.
    pub fn perms(mut self, mode: u32) -> Self {
        self.perms = mode;
        self
    }

    /// Keep the topic when its last participant leaves. Default: it is removed.
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// A name for display; at most 64 bytes. Default: the name of the process.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What the topic shows, for people: `shmflow ls` and lists of devices have it beside the topic's name. One line of at most 1000
    /// bytes. It stays when this producer leaves, as long as the topic does; another producer that has one replaces it, and an
    /// empty one removes it. Default: what is there already.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("shmflow-doc-description-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// let producer = shmflow::Producer::builder("doc/description").dir(&dir).description("Front door").open()?;
    /// let info = shmflow::inspect("doc/description", Some(&dir))?;
    /// assert_eq!(info.description.as_deref(), Some("Front door"));
    /// # drop(producer); std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// The directory of the topic's files. Default: `$SHMFLOW_DIR`, or else `/dev/shm`.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().into());
        self
    }

    /// What happens to a frame for which there is no free slot.
    pub fn overflow_policy(mut self, overflow_policy: OverflowPolicy) -> Self {
        self.overflow_policy = overflow_policy;
        self
    }

    /// How long a [lossless](OverflowPolicy::Lossless) producer waits for a consumer that takes nothing although there are frames
    /// for it. From then on the consumer is passed over, until it is past the frames that were there at that time: its next
    /// frame says how many it [lost](crate::Frame::lost_before), and [`Producer::stalled_consumers`] lists it meanwhile. Only
    /// the time that this producer spends waiting counts. Zero: for ever. Default 5 s.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// A cancel token made earlier, which ends a [lossless](OverflowPolicy::Lossless) producer's waits for a slot. While there is
    /// room a cancelled token changes nothing.
    pub fn cancel_token(mut self, cancel_token: &CancelToken) -> Self {
        self.cancel_token = cancel_token.clone();
        self
    }

    /// How several producers share the topic.
    pub fn mode(mut self, mode: ProducerMode) -> Self {
        self.mode = mode;
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

    /// Says in the producer's entry what its frames are, with so many bytes of metadata at least.
    #[cfg(feature = "zerocopy")]
    pub(crate) fn declare(mut self, caps: &str, meta_capacity: usize) -> Self {
        self.declared_caps = caps.into();
        self.meta_capacity = self.meta_capacity.max(meta_capacity);
        self
    }

    fn geometry(&self) -> GeometryRequest {
        GeometryRequest {
            depth: self.depth,
            spare_slots: self.spare_slots,
            history: self.history.unwrap_or(self.depth),
            slot_capacity: self.slot_capacity as u64,
            meta_capacity: self.meta_capacity as u64,
        }
    }

    /// Bytes of shared memory that a topic takes which is created with these settings.
    ///
    /// ```
    /// let hd = shmflow::Producer::builder("doc/bytes").depth(8).slot_capacity(1920 * 1080 * 3 / 2);
    /// assert!((31_000_000..32_000_000).contains(&hd.shared_bytes()?));
    /// # Ok::<(), shmflow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings that no topic can have.
    pub fn shared_bytes(&self) -> Result<u64> {
        let geometry = Geometry::of(&self.geometry().geometry(1, 1, self.perms)?);
        Ok(geometry.reserved_bytes.saturating_add(FILE_LEN as u64))
    }

    /// Opens the topic, creates it if it does not exist, and adopts what dead processes left. Other topics of the directory
    /// without live participants are removed a little later; see [`gc`](crate::gc).
    ///
    /// # Errors
    /// [`Error::InvalidTopicName`], [`Error::InvalidArgument`]; [`Error::NoSpace`] if there is no room for it;
    /// [`Error::PermissionDenied`], [`Error::ForeignOwner`]; [`Error::NotARing`], [`Error::VersionMismatch`];
    /// [`Error::TooManyProducers`], [`Error::InUse`]; [`Error::Busy`] if a stopped process is in the way.
    pub fn open(self) -> Result<Producer> {
        if self.perms > 0o777 {
            let what = format!("permissions of {:#o} (at most 0o777; was it meant to be octal?)", self.perms);
            return Err(Error::InvalidArgument { what });
        }
        check_description(self.description.as_deref())?;
        let topic = Topic::new(&self.topic, self.dir.as_deref())?;
        let wanted = self.geometry();
        let options = Options {
            name: self.name.unwrap_or_else(crate::info::process_name),
            accepted_caps: self.declared_caps,
            allow_foreign: self.allow_foreign,
            prefault: self.prefault,
            copy_on_write: false,
            perms: self.perms,
            persistent: self.persistent,
            description: self.description,
            delivery: Delivery::default(),
        };
        let open = || open::producer(&topic, &options, &wanted, self.mode == ProducerMode::Exclusive);
        let epoch = match open() {
            // Rings of the dead may have taken it.
            Err(Error::NoSpace { .. }) if admin::gc_for_room(topic.dir()) => open()?,
            opened => opened?,
        };
        admin::gc_soon(topic.dir());
        let policy = Policy {
            overflow: self.overflow_policy,
            stall_timeout: self.stall_timeout,
            cancel_token: self.cancel_token,
            mode: self.mode,
            allow_foreign: self.allow_foreign,
        };
        let inner = Arc::new(Inner::new(epoch, policy)?);
        if self.overflow_policy == OverflowPolicy::Lossless {
            // Dead or stopped before it: it waits for nobody yet.
            inner.member.peers.header().flags.fetch_or(flags::LOSSLESS, SeqCst);
        }
        // What other participants left that died while the topic had no producer.
        inner.reap();
        trace::event(Level::Debug, "producer attached", topic.name(), Fields::of(Some(inner.id)));
        let producer = Producer { inner };
        if cfg!(feature = "tracing") && producer.directory_warning().is_some() {
            let reason =
                "the system writes every frame to the disk; use a directory on tmpfs, as /dev/shm is";
            trace::event(Level::Warn, "topic directory is on a disk", topic.name(), Fields::because(reason));
        }
        Ok(producer)
    }
}

/// One line, short enough.
fn check_description(text: Option<&str>) -> Result<()> {
    const MAX: usize = 1000;
    const _: () = assert!(MAX <= DESCRIPTION_BYTES);
    let text = text.unwrap_or_default();
    let what = if text.len() > MAX {
        format!("a description of {} bytes (at most {MAX})", text.len())
    } else if text.chars().any(char::is_control) {
        "a description with a control character; it should be one line of text".into()
    } else {
        return Ok(());
    };
    Err(Error::InvalidArgument { what })
}
