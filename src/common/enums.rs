//! The values of the elements' enumerated properties. Nicks are what a user types in `gst-launch-1.0`.

use gstreamer::glib;

/// What the sink does with a frame when every slot is held or unread. Names and meaning are `appsrc`'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstShmflowLeakyType")]
pub(crate) enum LeakyType {
    /// Wait until there is room.
    #[enum_value(name = "Wait for slow consumers (lossless)", nick = "none")]
    None = 0,
    /// Drop the newest frame.
    #[enum_value(
        name = "Drop the new frame when slow consumers have not read the old ones",
        nick = "upstream"
    )]
    Upstream = 1,
    /// Drop the oldest frame.
    #[default]
    #[enum_value(name = "Overwrite the oldest frame: slow consumers lose it", nick = "downstream")]
    Downstream = 2,
}

/// How several sinks share one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstShmflowProducerMode")]
pub(crate) enum ProducerMode {
    /// All publish.
    #[default]
    #[enum_value(name = "All sinks on the topic publish, and their frames interleave", nick = "shared")]
    Shared = 0,
    /// One publishes, the others stand by.
    #[enum_value(
        name = "One sink publishes, the others are standbys and take over when it dies or stops",
        nick = "primary"
    )]
    Primary = 1,
    /// One only.
    #[enum_value(name = "The only sink on the topic: starting a second one is an error", nick = "exclusive")]
    Exclusive = 2,
}

/// How the caps that consumers accept are used upstream of the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstShmflowNegotiation")]
pub(crate) enum Negotiation {
    /// As a preference.
    #[default]
    #[enum_value(
        name = "Offer upstream the caps that consumers accept first, then all others",
        nick = "prefer"
    )]
    Prefer = 0,
    /// As a condition.
    #[enum_value(
        name = "Offer upstream only caps that all consumers accept; may fail with not-negotiated after a capsfilter, tee or decoder",
        nick = "require"
    )]
    Require = 1,
    /// Not at all.
    #[enum_value(name = "Ignore the caps that consumers accept", nick = "off")]
    Off = 2,
}

/// What the source does when the last producer is gone without an end of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstShmflowOnDisconnect")]
pub(crate) enum OnDisconnect {
    /// Wait for the next one.
    #[default]
    #[enum_value(name = "Wait, and continue with the next producer", nick = "none")]
    None = 0,
    /// End the stream.
    #[enum_value(name = "Send end-of-stream", nick = "eos")]
    Eos = 1,
    /// Fail.
    #[enum_value(name = "Post an error", nick = "error")]
    Error = 2,
}

/// Whether a lossless sink waits for a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstShmflowDelivery")]
pub(crate) enum Delivery {
    /// It does.
    #[default]
    #[enum_value(name = "All frames: a sink with leaky-type=none waits for this source", nick = "all")]
    All = 0,
    /// It never does.
    #[enum_value(
        name = "What is there: no sink waits for this source, as for a preview beside a recorder",
        nick = "latest"
    )]
    Latest = 1,
}

/// Where a source continues after it was lapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstShmflowOnLapped")]
pub(crate) enum OnLapped {
    /// At the newest frame.
    #[default]
    #[enum_value(name = "Continue with the newest frame: lowest latency", nick = "newest")]
    Newest = 0,
    /// At the oldest frame still there.
    #[enum_value(name = "Continue with the oldest frame still in the ring: fewest losses", nick = "oldest")]
    Oldest = 1,
}
