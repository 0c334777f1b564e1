//! The source's properties: names, defaults, descriptions and checks.

use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;

use gst::prelude::*;

use crate::common::content::Content;
use crate::common::enums::{Delivery, OnDisconnect, OnLapped};
use crate::common::settings::settings_by_name;
use crate::common::validate;

/// Whoever would look for longer wants a processor of their own for it.
const MAX_BUSY_WAIT_US: u32 = 10_000;

/// The values that the user set. Fixed while the element is above READY.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) topic: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) is_live: bool,
    pub(super) on_disconnect: OnDisconnect,
    /// Milliseconds; 0 is for ever.
    pub(super) connection_timeout: u32,
    pub(super) on_lapped: OnLapped,
    pub(super) delivery: Delivery,
    /// 0 is half the ring's depth.
    pub(super) max_leases: u32,
    /// Frames a second; 0 is no limit.
    pub(super) max_rate: f64,
    /// Microseconds; 0 is never.
    pub(super) busy_wait: u32,
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
            delivery: Delivery::default(),
            max_leases: 0,
            max_rate: 0.0,
            busy_wait: 0,
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
    "delivery" => delivery,
    "max-leases" => max_leases,
    "max-rate" => max_rate,
    "busy-wait" => busy_wait,
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
            Content::of(caps).map_err(|why| {
                format!("The caps property describes a format that cannot be received. {why}")
            })?;
        }
        Ok(())
    }

    /// Topics that may have been meant, where there is none of this name; empty if none is like it.
    pub(super) fn topics_meant(&self) -> String {
        let topic = self.topic.as_deref().unwrap_or_default();
        let directory = self.directory.as_deref().map(std::path::Path::new);
        match shmflow::similar_topics(topic, directory).as_slice() {
            [] => String::new(),
            names => format!(" (did you mean '{}'?)", names.join("' or '")),
        }
    }
}

/// All properties of the source.
pub(super) fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let default = Settings::default();
        vec![
            glib::ParamSpecString::builder("topic")
                .nick("Topic")
                .blurb("Name under which the frames are published; the topic need not exist yet")
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
            glib::ParamSpecBoolean::builder("is-live")
                .nick("Is live")
                .blurb(
                    "Whether this is a live source: no frame in PAUSED, the newest frame first, latency reported. With \
                     false the source reads every frame that the ring still has, from PAUSED on",
                )
                .default_value(default.is_live)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("on-disconnect", default.on_disconnect)
                .nick("On disconnect")
                .blurb(
                    "What the source does when the last producer is gone without an end of stream (killed, or stopped \
                     without EOS)",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("connection-timeout")
                .nick("Connection timeout")
                .blurb(
                    "Maximum time in milliseconds to wait for a producer, at the start and after the last one has left, \
                     before the source posts an error (0 = for ever)",
                )
                .default_value(default.connection_timeout)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("on-lapped", default.on_lapped)
                .nick("On lapped")
                .blurb("Where to continue after this pipeline was too slow and frames were overwritten")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("delivery", default.delivery)
                .nick("Delivery")
                .blurb("Whether sinks with leaky-type=none wait for this source")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("max-leases")
                .nick("Maximum leases")
                .blurb(
                    "Maximum number of frames that downstream elements may hold in shared memory at a time; beyond it \
                     they get copies, so that producers keep free slots (0 = half the depth of the ring)",
                )
                .default_value(default.max_leases)
                .mutable_ready()
                .build(),
            glib::ParamSpecDouble::builder("max-rate")
                .nick("Maximum rate")
                .blurb(
                    "Maximum number of frames per second, the newest each time; in between this source sleeps. For streams \
                     of pictures: sound and encoded streams come whole (0 = no limit)",
                )
                .minimum(0.0)
                .default_value(default.max_rate)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("busy-wait")
                .nick("Busy wait")
                .blurb(
                    "Maximum time in microseconds to look for a frame that is due, instead of being woken for it: less \
                     latency, and no system call for the producer, for so much time of a processor per frame. Without \
                     effect while frames do not come at a steady pace (0 = never; 100 to 300 suit 60 frames per second)",
                )
                .maximum(MAX_BUSY_WAIT_US)
                .default_value(default.busy_wait)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("ignore-eos")
                .nick("Ignore EOS")
                .blurb("At an end of stream, wait for the next producer and continue with it")
                .default_value(default.ignore_eos)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("read-only")
                .nick("Read only")
                .blurb(
                    "Join without writing to the topic: every frame is copied, and producers do not see this consumer. \
                     For users with read permission but no write permission on the topic's files",
                )
                .default_value(default.read_only)
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
            glib::ParamSpecBoxed::builder::<gst::Caps>("caps")
                .nick("Caps")
                .blurb(
                    "Caps for frames that carry none, as programs in C or Python may write them; ignored for frames \
                     that carry caps",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("dropped")
                .nick("Dropped")
                .blurb("Number of frames that were published but not delivered: lost (overwritten unread) or skipped")
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
