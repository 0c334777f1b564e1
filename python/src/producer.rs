//! Writing frames.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use shmflow::meta::{Clock, Kind, Meta, Times};
use shmflow::{OverflowPolicy, ProducerMode};

use crate::consumer::signal_aware;
use crate::errors::{OrRaise, raise};
use crate::fork::Origin;
use crate::forms::{View, is_packed};
use crate::picture::{Picture, fill_bytes, fill_picture, picture};
use crate::shared::Shared;
use crate::slot::FrameWriter;
use crate::stream::{describe, frame_duration, is_raw_video};
use crate::{block, metadata, settings};

/// Writes frames to a topic, which it creates if it does not exist. It waits for a consumer only with
/// `overflow_policy="lossless"`.
///
/// With `format`, `width` and `height` (or `caps` that have them) it writes pictures, with GStreamer's layout and with caps,
/// so that a `shmflowsrc` needs none. Without, it writes bare bytes. Several threads may use it.
#[pyclass(module = "shmflow", frozen, weakref)]
pub(crate) struct Producer {
    shared: Arc<Shared>,
    picture: Option<Picture>,
    base: Meta,
}

impl Producer {
    /// The metadata of a frame that is written now.
    fn meta(
        &self,
        pts: Option<u64>,
        duration: Option<u64>,
        capture_time: Option<u64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Meta>> {
        let dict = match metadata {
            None => None,
            Some(metadata) => Some(metadata.cast::<PyDict>().map_err(|_| {
                PyTypeError::new_err(
                    "metadata must be a dictionary with the keys of Frame.metadata, or an encoded block",
                )
            })?),
        };
        // Bare bytes without metadata travel without a block.
        let silent = pts.is_none() && duration.is_none() && capture_time.is_none() && dict.is_none();
        if silent && self.base.kind == Kind::Bytes && self.base.caps.is_none() {
            return Ok(None);
        }
        let mut meta = self.base.clone();
        (meta.times.clock, meta.times.capture_ns) = (Clock::Monotonic, u64::try_from(monotonic_ns()).ok());
        if let Some(dict) = dict {
            metadata::apply(&mut meta, dict, self.picture.is_some())?;
        }
        let times = &mut meta.times;
        if let Some(capture) = capture_time {
            (times.capture_ns, times.clock) = (Some(capture), Clock::Monotonic);
        }
        times.pts = pts.or(times.pts);
        times.duration = duration.or(times.duration);
        Ok(Some(meta))
    }

    /// Copies `data` into a claim that is large enough.
    fn fill(
        &self,
        py: Python<'_>,
        producer: &shmflow::Producer,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<shmflow::Claim> {
        let claim = |len| self.shared.claim(py, producer, len);
        match &self.picture {
            Some(picture) => fill_picture(py, claim, picture, data),
            None => fill_bytes(py, claim, data),
        }
    }
}

/// Has the slots keep as much metadata as a frame brings.
fn make_room(py: Python<'_>, producer: &shmflow::Producer, len: usize) -> PyResult<()> {
    if len <= producer.geometry().meta_capacity {
        return Ok(());
    }
    py.detach(|| producer.grow_meta(len)).or_raise(py)
}

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (topic, width = None, height = None, format = None, fps = None, *, caps = None, depth = 8,
        history = None, spare_slots = 2, slot_capacity = None, metadata_capacity = 4096, perms = 0o600, persistent = false, overflow_policy = "overwrite",
        stall_timeout = 5.0, mode = "shared", takeover_timeout = 1.0, name = None, description = None, directory = None, allow_foreign_owner = false, prefault = true))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        topic: &Bound<'_, PyAny>,
        width: Option<&Bound<'_, PyAny>>,
        height: Option<&Bound<'_, PyAny>>,
        format: Option<&str>,
        fps: Option<&Bound<'_, PyAny>>,
        caps: Option<&Bound<'_, PyAny>>,
        depth: u32,
        history: Option<u32>,
        spare_slots: u32,
        slot_capacity: Option<usize>,
        metadata_capacity: usize,
        perms: u32,
        persistent: bool,
        overflow_policy: &str,
        stall_timeout: Option<f64>,
        mode: &str,
        takeover_timeout: f64,
        name: Option<&str>,
        description: Option<&str>,
        directory: Option<PathBuf>,
        allow_foreign_owner: bool,
        prefault: bool,
    ) -> PyResult<Self> {
        let (width, height) = (settings::pixels("width", width)?, settings::pixels("height", height)?);
        let (layout, caps) = describe(py, settings::caps(caps)?.as_deref(), format, width, height, fps)?;
        let picture = layout.map(|layout| picture(py, layout)).transpose()?;
        let policies = [
            ("overwrite", OverflowPolicy::OverwriteOldest),
            ("drop", OverflowPolicy::DropNew),
            ("lossless", OverflowPolicy::Lossless),
        ];
        let overflow_policy = settings::choose(py, "overflow_policy", overflow_policy, &policies)?;
        // For ever is zero there and None here, as of every other wait.
        let stall_timeout = match settings::duration(py, "stall_timeout", stall_timeout)? {
            Some(timeout) if timeout.is_zero() => {
                return Err(raise(
                    py,
                    "InvalidArgument",
                    "stall_timeout must not be 0: pass None to wait for ever, or another overflow_policy",
                ));
            }
            timeout => timeout.unwrap_or(Duration::ZERO),
        };
        let raised = Arc::new(Mutex::new(None));
        let cancel_token = signal_aware(&raised);
        let takeover_timeout =
            settings::duration(py, "takeover_timeout", Some(takeover_timeout))?.unwrap_or(Duration::ZERO);
        let modes = [
            ("shared", ProducerMode::Shared),
            ("primary", ProducerMode::Primary { takeover_timeout }),
            ("exclusive", ProducerMode::Exclusive),
        ];
        let topic = &settings::topic(topic)?;
        let mut builder = shmflow::Producer::builder(topic)
            .depth(depth)
            .spare_slots(spare_slots)
            .meta_capacity(metadata_capacity)
            .perms(perms)
            .persistent(persistent)
            .overflow_policy(overflow_policy)
            .stall_timeout(stall_timeout)
            .cancel_token(&cancel_token)
            .mode(settings::choose(py, "mode", mode, &modes)?)
            .allow_foreign_owner(allow_foreign_owner)
            .prefault(prefault);
        if let Some(slot_capacity) = slot_capacity.max(picture.as_ref().map(|picture| picture.len)) {
            builder = builder.slot_capacity(slot_capacity);
        }
        if let Some(history) = history {
            builder = builder.history(history);
        }
        if let Some(name) = name {
            builder = builder.name(name);
        }
        if let Some(description) = description {
            builder = builder.description(description);
        }
        if let Some(directory) = directory {
            builder = builder.dir(directory);
        }
        let origin = Origin::here();
        let producer = py.detach(|| builder.open()).or_raise(py)?;
        if let Some(warning) = producer.directory_warning().and_then(|text| CString::new(text).ok()) {
            PyErr::warn(py, &py.get_type::<PyUserWarning>(), &warning, 1)?;
        }
        let is_video = picture.is_some() || is_raw_video(caps.as_deref());
        let layout = picture.as_ref().map(|picture| picture.layout.clone());
        let times = Times::default()
            .duration(layout.as_ref().and_then(|layout| frame_duration(layout.fps)))
            .latency_ns(layout.is_some().then_some(0));
        let kind = if is_video { Kind::Video } else { caps.as_deref().map_or(Kind::Bytes, Kind::of_caps) };
        let mut base = Meta::new(kind).video(layout).times(times);
        base.caps = caps;
        let shared = Shared {
            inner: Mutex::new(Some(Arc::new(producer))),
            topic: topic.into(),
            origin,
            is_lossless: overflow_policy == OverflowPolicy::Lossless,
            cancel_token,
            raised,
        };
        Ok(Self { shared: Arc::new(shared), picture, base })
    }

    /// Publishes a copy of `data`; the frame's sequence number.
    ///
    /// For pictures: an array of the right shape and type with any strides, planes by name or in order, a received frame
    /// of the same format, or the bytes of a whole frame. For bare bytes: anything that is bytes.
    #[pyo3(signature = (data, *, pts = None, duration = None, capture_time = None, metadata = None))]
    fn write(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        pts: Option<u64>,
        duration: Option<u64>,
        capture_time: Option<u64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let producer = self.shared.open(py)?;
        if let Some(bytes) = metadata.and_then(|metadata| metadata.cast::<PyBytes>().ok()) {
            let encoded = bytes.as_bytes();
            // What no consumer can read is not published.
            let view = block::decode(py, encoded, self.picture.as_ref().map(|picture| &picture.layout))?;
            make_room(py, &producer, encoded.len())?;
            let mut claim = self.fill(py, &producer, data)?;
            block::check_fit(py, &view, claim.len())?;
            claim.set_meta_bytes(encoded).or_raise(py)?;
            return Ok(self.shared.waiting(py, || claim.publish())?.seq());
        }
        let meta = self.meta(pts, duration, capture_time, metadata)?;
        if let Some(meta) = &meta {
            make_room(py, &producer, meta.encoded_len().map_err(shmflow::Error::from).or_raise(py)?)?;
        }
        let mut claim = self.fill(py, &producer, data)?;
        if let Some(meta) = &meta {
            claim.set_meta(meta).or_raise(py)?;
        }
        Ok(self.shared.waiting(py, || claim.publish())?.seq())
    }

    /// A frame to write directly to shared memory: `with producer.frame() as array: array[:] = ...`. It is published when
    /// the block ends, and dropped if the block ends with an exception. Planar formats give planes by name.
    ///
    /// When the block has ended the array is read-only. If another reference to it exists then, such as a slice or a
    /// memoryview, the frame is published as a copy. For bare bytes, `size` is their number.
    #[pyo3(signature = (size = None, *, pts = None, duration = None, capture_time = None, metadata = None))]
    fn frame(
        &self,
        py: Python<'_>,
        size: Option<usize>,
        pts: Option<u64>,
        duration: Option<u64>,
        capture_time: Option<u64>,
        metadata: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<FrameWriter> {
        self.shared.open(py)?;
        let invalid = |why: &str| raise(py, "InvalidArgument", why);
        let (views, single, len) = match (&self.picture, size) {
            (None, Some(size)) => (vec![View::bytes(size)], true, size),
            (None, None) => {
                return Err(invalid("this producer writes bare bytes: pass their number, frame(size)"));
            }
            (Some(_), Some(_)) => {
                return Err(invalid("the size of a picture is known: call frame() without size"));
            }
            (Some(picture), None) => match &picture.views {
                Some(views) => (views.clone(), is_packed(&picture.layout.format), picture.len),
                None => (vec![View::bytes(picture.len)], true, picture.len),
            },
        };
        let meta = self.meta(pts, duration, capture_time, metadata)?;
        if let Some(meta) = &meta {
            let producer = self.shared.open(py)?;
            make_room(py, &producer, meta.encoded_len().map_err(shmflow::Error::from).or_raise(py)?)?;
        }
        Ok(FrameWriter::new(Arc::clone(&self.shared), meta, views, single, len))
    }

    /// Ends the stream after the newest frame. Consumers that have read every frame raise `Ended` once every producer has
    /// ended the stream or left. Writing again revokes it.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.open(py)?.end();
        Ok(())
    }

    /// Leaves the topic, without ending the stream: consumers wait for the next producer. To end the stream call `end` first.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.origin.check(py, "producer", &self.shared.topic)?;
        // A wait in another thread ends.
        self.shared.cancel_token.cancel();
        let taken = self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(taken));
        Ok(())
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Ends the stream and leaves; after an exception only leaves.
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !self.shared.origin.is_here() || self.closed() {
            return Ok(());
        }
        if kind.is_none() {
            self.end(py)?;
        }
        self.close(py)
    }

    /// The topic's name.
    #[getter]
    fn topic(&self) -> &str {
        &self.shared.topic
    }

    /// The caps that frames carry.
    #[getter]
    fn caps(&self) -> Option<&str> {
        self.base.caps.as_deref()
    }

    /// Bytes of a picture in memory, gaps between rows included; None for bare bytes.
    #[getter]
    fn frame_size(&self) -> Option<usize> {
        self.picture.as_ref().map(|picture| picture.len)
    }

    /// The shape of the array of a picture, or of its planes by name.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(picture) = &self.picture else { return Ok(None) };
        let tuple = |view: &View| pyo3::types::PyTuple::new(py, &view.shape);
        match picture.views.as_deref() {
            Some([view]) if is_packed(&picture.layout.format) => Ok(Some(tuple(view)?.into_any())),
            Some(views) => {
                let dict = PyDict::new(py);
                for view in views {
                    dict.set_item(view.name, tuple(view)?)?;
                }
                Ok(Some(dict.into_any()))
            }
            None => Ok(None),
        }
    }

    /// The number of registered consumers. Read-only consumers are not counted.
    #[getter]
    fn consumer_count(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.shared.open(py)?.consumer_count())
    }

    /// How often a consumer has asked for a key frame, ever, on this topic. A producer of an encoded stream has its encoder
    /// make one when it changes: once in half a second, say, however many ask.
    #[getter]
    fn key_frame_requests(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.shared.open(py)?.key_frame_requests())
    }

    /// The registered consumers: (name, caps that it accepts, or None) of each.
    #[getter]
    fn consumers(&self, py: Python<'_>) -> PyResult<Vec<(String, Option<String>)>> {
        let consumers = self.shared.open(py)?.consumers();
        Ok(consumers.into_iter().map(|consumer| (consumer.name, consumer.accepted_caps)).collect())
    }

    /// Names of the consumers that this lossless producer passes over now, because they took nothing for `stall_timeout`.
    #[getter]
    fn stalled_consumers(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let consumers = self.shared.open(py)?.stalled_consumers();
        Ok(consumers.into_iter().map(|consumer| consumer.name).collect())
    }

    /// Statistics as a dictionary: `published` and `dropped` frames, `bytes`, and `stalls`, which counts how often a consumer
    /// was passed over.
    #[getter]
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.shared.open(py)?.stats();
        let dict = PyDict::new(py);
        dict.set_item("published", stats.published)?;
        dict.set_item("dropped", stats.dropped)?;
        dict.set_item("bytes", stats.bytes)?;
        dict.set_item("stalls", stats.stalls)?;
        Ok(dict)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "a producer cannot be pickled: open topic `{}` by its name in the other process",
            self.shared.topic
        )))
    }

    fn __repr__(&self) -> String {
        let what = match &self.picture {
            Some(Picture { layout, .. }) => format!("{} {}x{}", layout.format, layout.width, layout.height),
            None => "bytes".into(),
        };
        let state = if self.closed() { ", closed" } else { "" };
        format!("<shmflow.Producer of {:?}: {what}{state}>", self.shared.topic)
    }
}

/// Of the clock that `time.monotonic_ns` shows, too.
fn monotonic_ns() -> i128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}
