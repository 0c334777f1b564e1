//! The ways from one process to another that are compared.

use std::path::Path;

use clap::ValueEnum;
use gstreamer as gst;
use gstreamer::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::cli::Touch;
use crate::floor;
use crate::line;
use crate::pipewire;
use crate::row::{Format, Row, Stream};

/// Buffers that each peer may use.
pub(crate) const BUFFERS: u32 = 8;

/// In the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    /// Nothing: what the measuring producer costs by itself (a fakesink)
    None,
    /// The least that two elements can do
    Floor,
    /// shmsink and shmsrc
    Shm,
    /// unixfdsink and unixfdsrc (GStreamer 1.24 and newer)
    Unixfd,
    /// pipewiresink and pipewiresrc, with a daemon of this run's own
    Pipewire,
    /// iceoryx2sink and iceoryx2src (gst-plugin-iceoryx2)
    Iceoryx2,
    /// shmflowsink and shmflowsrc
    Shmflow,
    /// The same with busy-wait=50
    ShmflowBusy50,
    /// The same with busy-wait=150
    ShmflowBusy,
    /// The same with busy-wait=300
    ShmflowBusy300,
}

/// Those of the report; `due` has its own.
pub(crate) const PEERS: [Peer; 8] = [
    Peer::None,
    Peer::Floor,
    Peer::Shm,
    Peer::Unixfd,
    Peer::Pipewire,
    Peer::Iceoryx2,
    Peer::Shmflow,
    Peer::ShmflowBusy,
];

/// How many subscribers an iceoryx2 service has by default, which its elements do not change.
const ICEORYX2_SUBSCRIBERS: u32 = 8;

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Floor => "floor",
            Self::Shm => "shm",
            Self::Unixfd => "unixfd",
            Self::Pipewire => "pipewire",
            Self::Iceoryx2 => "iceoryx2",
            Self::Shmflow => "shmflow",
            Self::ShmflowBusy50 => "shmflow-busy50",
            Self::ShmflowBusy => "shmflow-busy",
            Self::ShmflowBusy300 => "shmflow-busy300",
        }
    }

    /// For how many microseconds the source looks for a frame that is due, if it does.
    pub(crate) fn busy_wait(self) -> Option<u32> {
        match self {
            Self::ShmflowBusy50 => Some(50),
            Self::ShmflowBusy => Some(150),
            Self::ShmflowBusy300 => Some(300),
            _ => None,
        }
    }

    /// Whether it is of this project.
    pub(crate) fn is_ours(self) -> bool {
        self == Self::Shmflow || self.busy_wait().is_some()
    }

    fn elements(self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("fakesink", "fakesrc"),
            Self::Floor => ("floorsink", "floorsrc"),
            Self::Shm => ("shmsink", "shmsrc"),
            Self::Unixfd => ("unixfdsink", "unixfdsrc"),
            Self::Pipewire => ("pipewiresink", "pipewiresrc"),
            Self::Iceoryx2 => ("iceoryx2sink", "iceoryx2src"),
            Self::Shmflow | Self::ShmflowBusy50 | Self::ShmflowBusy | Self::ShmflowBusy300 => {
                ("shmflowsink", "shmflowsrc")
            }
        }
    }

    /// Why it cannot be measured here, if it cannot.
    pub(crate) fn absence(self) -> Option<String> {
        let (sink, source) = self.elements();
        if let Some(missing) =
            [sink, source].into_iter().find(|name| gst::ElementFactory::find(name).is_none())
        {
            return Some(format!("this GStreamer has no {missing}"));
        }
        // Older builds do not look for frames.
        let lacks = |element: gst::Element| element.find_property("busy-wait").is_none();
        if self.busy_wait().is_some() && gst::ElementFactory::make(source).build().is_ok_and(lacks) {
            return Some("this build has no busy-wait".into());
        }
        match self {
            Self::Pipewire if !pipewire::is_running() => {
                Some("it needs a daemon; with --pipewire one is started for the run".into())
            }
            _ => None,
        }
    }

    /// The version of the plugin that has its sink.
    pub(crate) fn version(self) -> Option<String> {
        let plugin = gst::ElementFactory::find(self.elements().0)?.plugin()?;
        Some(plugin.version().to_string())
    }

    /// Nobody receives from a fakesink.
    pub(crate) fn has_consumers(self) -> bool {
        self != Self::None
    }

    /// Whether it is one of the ways that somebody could choose, and no yardstick.
    pub(crate) fn is_a_choice(self) -> bool {
        !matches!(self, Self::None | Self::Floor)
    }

    /// Whether it is to be measured in this row: the floor moves no pixels, and a producer that does not wait would
    /// overwrite its one header; and nobody expects a frame of those that come as fast as they can.
    pub(crate) fn takes_part(self, row: &Row) -> bool {
        let is_video = matches!(row.stream, Stream::Video { .. });
        match self {
            Self::Floor => row.is_paced() && row.touch == Touch::Little && is_video,
            _ => self.busy_wait().is_none() || row.is_paced(),
        }
    }

    /// Why it cannot do what a row asks for, where its documentation says so.
    pub(crate) fn refusal(self, row: &Row) -> Option<&'static str> {
        match (self, row.stream) {
            (Self::Pipewire, Stream::Audio) => {
                Some("no consumer got a frame: its audio goes through a graph with a clock of its own")
            }
            (Self::Iceoryx2, Stream::Video { format: Format::Bgrx, .. }) => {
                Some("carries BGR, RGB, I420 and NV12, no BGRx")
            }
            (Self::Iceoryx2, Stream::Packets | Stream::Audio) => Some("carries raw video only"),
            (Self::Iceoryx2, _) if row.consumers > ICEORYX2_SUBSCRIBERS => Some("has at most 8 consumers"),
            _ => None,
        }
    }

    /// What both sides meet at, unique to this measurement.
    pub(crate) fn address(self, directory: &Path, number: u32) -> String {
        match self {
            Self::Pipewire => format!("compare-{}-{number}", std::process::id()),
            _ if self.is_ours() => format!("compare-{}-{number}", std::process::id()),
            Self::Iceoryx2 => format!("compare/{}/{number}", std::process::id()),
            _ => directory.join(format!("{}-{number}", self.name())).to_string_lossy().into_owned(),
        }
    }

    /// The sink, pushing as soon as it gets a frame, with room for the same number of frames as every other peer's.
    pub(crate) fn sink(self, address: &str, row: &Row) -> Result<gst::Element> {
        let builder = gst::ElementFactory::make(self.elements().0)
            .property("sync", false)
            .property("enable-last-sample", false);
        let builder = match self {
            Self::None => builder,
            Self::Shm => {
                let area = row.bytes().saturating_mul(u64::from(BUFFERS)).saturating_add(1 << 20);
                builder
                    .property("socket-path", address)
                    .property("wait-for-connection", false)
                    .property("shm-size", u32::try_from(area).unwrap_or(u32::MAX))
            }
            Self::Unixfd => builder.property("socket-path", address),
            Self::Pipewire => builder
                .property_from_str("mode", "provide")
                .property("stream-properties", pipewire::node(address, row.stream == Stream::Audio)),
            Self::Iceoryx2 => builder.property("service", address).property("buffer-size", BUFFERS),
            Self::Floor => builder.property("location", address),
            Self::Shmflow | Self::ShmflowBusy50 | Self::ShmflowBusy | Self::ShmflowBusy300 => {
                builder.property("topic", address).property("max-buffers", BUFFERS)
            }
        };
        Ok(builder.build()?)
    }

    pub(crate) fn source(self, address: &str, row: &Row) -> Result<gst::Element> {
        let builder = gst::ElementFactory::make(self.elements().1);
        let builder = match self {
            Self::None => builder,
            Self::Shm => builder.property("socket-path", address).property("is-live", true),
            Self::Unixfd => builder.property("socket-path", address),
            Self::Pipewire => builder
                .property("target-object", address)
                .property("stream-properties", pipewire::viewer(row.stream == Stream::Audio)),
            Self::Iceoryx2 => builder.property("service", address).property("buffer-size", BUFFERS),
            Self::Floor => builder.property("location", address),
            Self::Shmflow | Self::ShmflowBusy50 | Self::ShmflowBusy | Self::ShmflowBusy300 => {
                let builder = builder.property("topic", address);
                match self.busy_wait() {
                    Some(budget) => builder.property("busy-wait", budget),
                    None => builder,
                }
            }
        };
        Ok(builder.build()?)
    }
}

/// Removes what a shmsink leaves behind when its process had to be killed.
pub(crate) fn sweep(pid: u32) {
    let prefix = format!("shmpipe.{pid}.");
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Initialises GStreamer and loads the plugin to be measured.
///
/// # Errors
/// If GStreamer cannot be used, or a plugin that was asked for cannot be loaded. Without a plugin, shmflow's rows are
/// left out.
pub(crate) fn initialise(plugin: Option<&Path>) -> Result<()> {
    gst::init()?;
    floor::register()?;
    let beside = std::env::current_exe()?.with_file_name("libgstshmflow.so");
    let path = match plugin {
        Some(path) => path,
        None if beside.exists() => beside.as_path(),
        None => return Ok(()),
    };
    let plugin = gst::Plugin::load_file(path)
        .map_err(|error| format!("the plugin {} cannot be loaded: {error}", path.display()))?;
    gst::Registry::get().add_plugin(&plugin)?;
    Ok(())
}

/// The first error on a pipeline's bus.
pub(crate) fn bus_error(pipeline: &gst::Pipeline) -> Option<String> {
    let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
    error_in(&message)
}

/// An error message, told as a person would want it.
pub(crate) fn error_in(message: &gst::MessageRef) -> Option<String> {
    match message.view() {
        gst::MessageView::Error(error) => {
            let source = error.src().map_or_else(String::new, |object| object.path_string().to_string());
            let details = error.debug().map_or_else(String::new, |text| format!(" ({text})"));
            Some(format!("{source}: {}{details}", error.error()))
        }
        _ => None,
    }
}

/// Stops a pipeline; says so when that fails, as nothing else can be done.
pub(crate) fn stop(pipeline: &gst::Pipeline) {
    if let Err(error) = pipeline.set_state(gst::State::Null) {
        line::complain(&format!("a pipeline did not stop: {error}"));
    }
}
