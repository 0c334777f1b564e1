//! The source's properties: what they are, their defaults, how they are described and checked.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

use crate::common::enums::{OnDisconnect, OnLapped};
use crate::common::settings::settings_by_name;
use crate::common::{formats, validate};

/// What the user chose. Fixed while the element is above READY.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) topic: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) is_live: bool,
    pub(super) on_disconnect: OnDisconnect,
    /// Milliseconds; 0 is for ever.
    pub(super) connection_timeout: u32,
    pub(super) on_lapped: OnLapped,
    /// 0 is half the ring's depth.
    pub(super) max_leases: u32,
    pub(super) ignore_eos: bool,
    pub(super) read_only: bool,
    pub(super) allow_foreign_owner: bool,
    pub(super) caps: Option<gst::Caps>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            topic: None,
            directory: None,
            is_live: true,
            on_disconnect: OnDisconnect::default(),
            connection_timeout: 0,
            on_lapped: OnLapped::default(),
            max_leases: 0,
            ignore_eos: false,
            read_only: false,
            allow_foreign_owner: false,
            caps: None,
        }
    }
}

settings_by_name!(Settings {
    "topic" => topic,
    "directory" => directory,
    "is-live" => is_live,
    "on-disconnect" => on_disconnect,
    "connection-timeout" => connection_timeout,
    "on-lapped" => on_lapped,
    "max-leases" => max_leases,
    "ignore-eos" => ignore_eos,
    "read-only" => read_only,
    "allow-foreign-owner" => allow_foreign_owner,
    "caps" => caps,
});

impl Settings {
    /// Checks what no `GParamSpec` can, with an explanation.
    pub(super) fn check(&self) -> Result<(), String> {
        validate::topic(self.topic.as_deref(), self.directory.as_deref())?;
        if let Some(caps) = &self.caps {
            formats::check(caps)
                .map_err(|why| format!("The property caps describes what cannot be received. {why}"))?;
        }
        Ok(())
    }
}

/// All properties of the source.
pub(super) fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let default = Settings::default();
        vec![
            glib::ParamSpecString::builder("topic")
                .nick("Topic")
                .blurb("Name under which the frames are published; need not exist yet")
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("directory")
                .nick("Directory")
                .blurb(
                    "Where the topic's files are: a tmpfs that both sides see (unset = the environment variable \
                     SHMFLOW_DIR, else /dev/shm)",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("is-live")
                .nick("Is live")
                .blurb(
                    "Whether frames come at their own pace: nothing in PAUSED, the newest frame first, latency \
                     reported. With false every frame the ring still has is read, from PAUSED on",
                )
                .default_value(default.is_live)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("on-disconnect", default.on_disconnect)
                .nick("On disconnect")
                .blurb(
                    "What happens when the last producer is gone without an end of stream (killed, or stopped without \
                     EOS)",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("connection-timeout")
                .nick("Connection timeout")
                .blurb(
                    "For how many milliseconds to wait for a producer, at the start and after the last one was gone, \
                     before an error is posted (0 = for ever)",
                )
                .default_value(default.connection_timeout)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("on-lapped", default.on_lapped)
                .nick("On lapped")
                .blurb("Where to go on after this pipeline was too slow and frames were overwritten")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("max-leases")
                .nick("Maximum leases")
                .blurb(
                    "How many frames the elements downstream may hold in shared memory at a time; beyond it they get \
                     copies, so that hoarding starves nobody (0 = half the depth of the ring)",
                )
                .default_value(default.max_leases)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("ignore-eos")
                .nick("Ignore EOS")
                .blurb("Stay when the producers ended in order, and go on with the next one")
                .default_value(default.ignore_eos)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("read-only")
                .nick("Read only")
                .blurb(
                    "Join without writing anything into the topic: every frame is copied, producers do not see this \
                     consumer. For users who may read but not write the topic's files",
                )
                .default_value(default.read_only)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("allow-foreign-owner")
                .nick("Allow foreign owner")
                .blurb(
                    "Join a topic whose files belong to another user than this one or root. That user can then crash \
                     this process by truncating them",
                )
                .default_value(default.allow_foreign_owner)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Caps>("caps")
                .nick("Caps")
                .blurb(
                    "Caps of frames that carry none, as programs in C or Python may write them; frames that say what \
                     they are ignore it",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("dropped")
                .nick("Dropped")
                .blurb("Frames that were published but not delivered: overwritten before they could be read, or skipped")
                .read_only()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("topic-stats")
                .nick("Topic statistics")
                .blurb("What happened since READY, see the documentation of shmflowsrc for the fields")
                .read_only()
                .build(),
        ]
    });
    &PROPERTIES
}
