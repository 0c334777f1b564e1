//! What the tests of the elements share: a topic of one's own, pipelines that are stopped whatever happens, and waiting
//! for conditions instead of for time to pass.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::print_stderr, reason = "a test that is left out says why")]

pub mod child;
pub mod pads;
pub mod pipelines;
pub mod reads;
pub mod screen;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gstreamer as gst;

use gst::prelude::*;

/// Long enough for anything that is going to happen on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Starts GStreamer with the elements.
pub fn init() {
    gst::init().expect("GStreamer starts");
    gstshmflow::register_static().expect("the elements register");
}

/// A topic in a directory of its own, removed at the end with whatever is left in it.
#[derive(Debug)]
pub struct Topic {
    dir: PathBuf,
}

impl Topic {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        init();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = Path::new("/dev/shm").join(format!("shmflow-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory in /dev/shm");
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The sink with more properties, as text for [`Running::new`].
    pub fn sink(&self, more: &str) -> String {
        format!("shmflowsink name=sink topic=video directory={} {more}", self.dir.display())
    }

    /// The source, likewise.
    pub fn src(&self, more: &str) -> String {
        format!("shmflowsrc name=src topic=video directory={} {more}", self.dir.display())
    }

    /// The files that the topic has now.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A pipeline that is set to NULL when the test is over.
#[derive(Debug)]
pub struct Running {
    pub pipeline: gst::Pipeline,
}

impl Running {
    /// Makes a pipeline of text; it does not play yet.
    pub fn new(text: &str) -> Self {
        init();
        let pipeline = gst::parse::launch(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        Self { pipeline: pipeline.downcast().expect("more than one element") }
    }

    pub fn playing(text: &str) -> Self {
        let running = Self::new(text);
        running.play();
        running
    }

    pub fn play(&self) {
        self.pipeline.set_state(gst::State::Playing).expect("the pipeline plays");
    }

    pub fn set_state(&self, state: gst::State) {
        self.pipeline.set_state(state).expect("the state changes");
        let (result, ..) = self.pipeline.state(patience());
        result.expect("the state is reached");
    }

    pub fn element(&self, name: &str) -> gst::Element {
        self.pipeline.by_name(name).unwrap_or_else(|| panic!("no element {name}"))
    }

    /// A field of an element's `topic-stats`.
    pub fn stat(&self, element: &str, field: &str) -> u64 {
        stat(&self.element(element), field)
    }

    /// Waits until a counter is exactly this: it is raised just after the frame it counts was published.
    pub fn reaches(&self, element: &str, field: &str, value: u64) {
        until(&format!("{element}'s {field} is {value}"), || self.stat(element, field) == value);
    }

    /// Ends the stream from its source, and waits until the sink has seen it.
    pub fn finish(&self) {
        assert!(self.pipeline.send_event(gst::event::Eos::new()), "EOS is taken");
        self.wait_eos();
    }

    /// Waits for the end of the stream; an error is a failure.
    pub fn wait_eos(&self) {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let types = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(Some(patience()), &types).expect("the stream ends in time");
        if let gst::MessageView::Error(error) = message.view() {
            panic!("{} ({:?})", error.error(), error.debug());
        }
    }

    /// Waits for a warning, and gives its text.
    pub fn wait_warning(&self) -> String {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let types = [gst::MessageType::Warning, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(Some(patience()), &types).expect("there is a warning in time");
        match message.view() {
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for an error message, and gives its text and debug text.
    pub fn wait_error(&self) -> String {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let message = bus
            .timed_pop_filtered(Some(patience()), &[gst::MessageType::Error])
            .expect("there is an error in time");
        match message.view() {
            gst::MessageView::Error(error) => {
                format!("{} | {}", error.error(), error.debug().unwrap_or_default())
            }
            _ => unreachable!("filtered"),
        }
    }

    /// The error on the bus, if there is one now.
    pub fn error(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        let message = bus.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(format!("{} | {:?}", error.error(), error.debug())),
            _ => None,
        }
    }

    /// Waits for an element message with this name.
    pub fn wait_message(&self, name: &str) -> gst::Structure {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let types = [gst::MessageType::Element, gst::MessageType::Error];
            let Some(message) = bus.timed_pop_filtered(Some(gst::ClockTime::SECOND), &types) else {
                continue;
            };
            match message.view() {
                gst::MessageView::Error(error) => panic!("{} ({:?})", error.error(), error.debug()),
                _ => {
                    if let Some(structure) = message.structure().filter(|structure| structure.name() == name)
                    {
                        return structure.to_owned();
                    }
                }
            }
        }
        panic!("no message {name}");
    }

    /// The next sample of the appsink called `out`.
    pub fn pull(&self) -> Option<gst::Sample> {
        self.element("out").emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&patience().nseconds()])
    }

    /// Pushes into the appsrc called `in`.
    pub fn push(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.element("in").emit_by_name::<gst::FlowReturn>("push-buffer", &[buffer]).into_result()
    }

    /// The same, with caps and segment.
    pub fn push_sample(&self, sample: &gst::Sample) {
        let pushed = self.element("in").emit_by_name::<gst::FlowReturn>("push-sample", &[sample]);
        assert_eq!(pushed, gst::FlowReturn::Ok);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A field of an element's `topic-stats`.
pub fn stat(element: &gst::Element, field: &str) -> u64 {
    let stats = element.property::<gst::Structure>("topic-stats");
    stats
        .get::<u64>(field)
        .or_else(|_| stats.get::<u32>(field).map(u64::from))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// [`PATIENCE`], as GStreamer has it.
pub fn patience() -> gst::ClockTime {
    gst::ClockTime::try_from(PATIENCE).expect("a short time")
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether this GStreamer has all of these elements; says so if not.
pub fn have(elements: &[&str]) -> bool {
    init();
    let missing: Vec<_> = elements.iter().filter(|name| gst::ElementFactory::find(name).is_none()).collect();
    if !missing.is_empty() {
        eprintln!("left out: this GStreamer has no {missing:?}");
    }
    missing.is_empty()
}

/// Whether this program is installed; says so if not.
pub fn have_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !found {
        eprintln!("left out: there is no {name} (make deps installs it)");
    }
    found
}

/// A checksum of a buffer's bytes.
pub fn checksum(buffer: &gst::BufferRef) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let map = buffer.map_readable().expect("readable");
    let mut hasher = DefaultHasher::new();
    hasher.write(&map);
    hasher.finish()
}
