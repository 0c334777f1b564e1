//! The sink's properties: names, defaults, descriptions and checks.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

use crate::common::enums::{LeakyType, Negotiation, ProducerMode};
use crate::common::settings::settings_by_name;
use crate::common::validate;

/// The values that the user set. Fixed while the element is above READY.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) topic: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) description: Option<String>,
    pub(super) max_buffers: u32,
    pub(super) max_depth: u32,
    /// Bytes; 0 is no limit.
    pub(super) max_bytes: u64,
    pub(super) history: u32,
    pub(super) spare_slots: u32,
    pub(super) perms: u32,
    pub(super) persistent: bool,
    pub(super) allow_foreign_owner: bool,
    pub(super) leaky_type: LeakyType,
    /// Milliseconds; 0 is for ever.
    pub(super) stall_timeout: u32,
    pub(super) producer_mode: ProducerMode,
    /// Milliseconds; 0 is never.
    pub(super) takeover_timeout: u32,
    pub(super) negotiation: Negotiation,
    pub(super) wait_for_connection: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            topic: None,
            directory: None,
            description: None,
            max_buffers: 0,
            max_depth: 64,
            max_bytes: 0,
            history: 0,
            spare_slots: 2,
            perms: 0o600,
            persistent: false,
            allow_foreign_owner: false,
            leaky_type: LeakyType::default(),
            stall_timeout: 5000,
            producer_mode: ProducerMode::default(),
            takeover_timeout: 1000,
            negotiation: Negotiation::default(),
            wait_for_connection: false,
        }
    }
}

settings_by_name!(Settings {
    "topic" => topic,
    "directory" => directory,
    "description" => description,
    "max-buffers" => max_buffers,
    "max-depth" => max_depth,
    "max-bytes" => max_bytes,
    "history" => history,
    "spare-slots" => spare_slots,
    "perms" => perms,
    "persistent" => persistent,
    "allow-foreign-owner" => allow_foreign_owner,
    "leaky-type" => leaky_type,
    "stall-timeout" => stall_timeout,
    "producer-mode" => producer_mode,
    "takeover-timeout" => takeover_timeout,
    "negotiation" => negotiation,
    "wait-for-connection" => wait_for_connection,
});

impl Settings {
    /// Checks what no `GParamSpec` can: values against each other, and with an explanation.
    pub(super) fn check(&self) -> Result<(), String> {
        validate::topic(self.topic.as_deref(), self.directory.as_deref())?;
        validate::description(self.description.as_deref())?;
        validate::perms(self.perms)?;
        validate::slots(self.max_buffers, self.history, self.spare_slots, self.max_depth)?;
        Ok(())
    }
}

/// All properties of the sink.
pub(super) fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let default = Settings::default();
        vec![
            glib::ParamSpecString::builder("topic")
                .nick("Topic")
                .blurb(
                    "Name under which the frames are published; consumers use the same name. Any text of up to 200 \
                     bytes without control characters; slashes are allowed (robot/cam0)",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("directory")
                .nick("Directory")
                .blurb(
                    "Directory of the topic's files: a tmpfs that both sides can access (unset = the environment \
                     variable SHMFLOW_DIR, or else /dev/shm)",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("description")
                .nick("Description")
                .blurb(
                    "What the topic shows, for people: in shmflow ls and lists of devices. It also travels as a tag, and replaces \
                     the stream's own description",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("max-buffers")
                .nick("Maximum buffers")
                .blurb(
                    "Depth of the ring in frames: how far a consumer may lag before it loses frames. Memory for all of \
                     them is requested when the first frame arrives (0 = 8 for raw video, a second for audio, 128 for \
                     everything else)",
                )
                .default_value(default.max_buffers)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("max-depth")
                .nick("Maximum depth")
                .blurb(
                    "Maximum depth to which the sink may deepen the ring when upstream elements keep so many buffers \
                     (a decoder with many threads) that frames have to be copied (0 = never deepen)",
                )
                .default_value(default.max_depth)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("max-bytes")
                .nick("Maximum bytes")
                .blurb(
                    "Maximum size of this topic's ring in shared memory, in bytes: the sink lowers the depth to fit, \
                     and fails if fewer than 3 frames fit (0 = no limit)",
                )
                .default_value(default.max_bytes)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("history")
                .nick("History")
                .blurb(
                    "Number of newest frames kept for late joiners after all current consumers have read them. A small \
                     value reuses few slots, which stay in the CPU cache (0 = 1, and of packets all that the ring holds, so \
                     that who joins late can begin at the last key frame)",
                )
                .default_value(default.history)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("spare-slots")
                .nick("Spare slots")
                .blurb(
                    "Slots beyond the depth that consumers together can never pin, so that a frame can always be \
                     published: consumers that hold too many slots get copies",
                )
                .default_value(default.spare_slots)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("perms")
                .nick("Permissions")
                .blurb(
                    "Permissions of the topic's files; the umask does not apply. Octal needs a leading zero: 0660 lets \
                     the group join (384 = 0600, owner only)",
                )
                .maximum(0o7777)
                .default_value(default.perms)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("persistent")
                .nick("Persistent")
                .blurb("Keep the topic and its last frames when the last participant has left")
                .default_value(default.persistent)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("allow-foreign-owner")
                .nick("Allow foreign owner")
                .blurb(
                    "Join a topic whose files belong to a user other than this one or root. That user can then crash \
                     this process by truncating them",
                )
                .default_value(default.allow_foreign_owner)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("leaky-type", default.leaky_type)
                .nick("Leaky type")
                .blurb(
                    "Which frame is lost when a consumer is slower than the stream; none: the stream waits for its consumers, \
                     except those with delivery=latest or read-only, and those that stall",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("stall-timeout")
                .nick("Stall timeout")
                .blurb(
                    "With leaky-type=none: how many milliseconds to wait for a consumer that takes nothing, before it is \
                     passed over until it has caught up (0 = for ever)",
                )
                .default_value(default.stall_timeout)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("producer-mode", default.producer_mode)
                .nick("Producer mode")
                .blurb("How this sink shares the topic with other sinks")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("takeover-timeout")
                .nick("Takeover timeout")
                .blurb(
                    "With producer-mode=primary: this sink takes over from a primary that has published nothing for \
                     this many milliseconds (its process is stopped), and from a dead primary at once (0 = only from a \
                     dead one)",
                )
                .default_value(default.takeover_timeout)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("negotiation", default.negotiation)
                .nick("Negotiation")
                .blurb("How the sink uses the accepted caps of consumers when it negotiates with upstream")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("wait-for-connection")
                .nick("Wait for a connection")
                .blurb(
                    "Hold the stream until a consumer connects: a film then starts or continues where it was held; of a \
                     live source, frames that became late meanwhile are dropped",
                )
                .default_value(default.wait_for_connection)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("num-clients")
                .nick("Number of clients")
                .blurb("Number of consumers (clients) now; notifies, also while no frames flow")
                .read_only()
                .build(),
            glib::ParamSpecUInt64::builder("dropped")
                .nick("Dropped")
                .blurb("Number of frames that were not published: leaky-type=upstream, no free slot, or late after waiting")
                .read_only()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("topic-stats")
                .nick("Topic statistics")
                .blurb("Counters since READY; docs/elements.md describes the fields")
                .read_only()
                .build(),
        ]
    });
    &PROPERTIES
}
