//! A received frame.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::exceptions::{PyBufferError, PyMemoryError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView, PyTuple};
use shmflow::meta::{Crop, Flags, MetaError, VideoLayout};

use crate::arrays;
use crate::attached::{self, Failure};
use crate::buffer;
use crate::caps::Caps;
use crate::colour::{Colorimetry, Colours, NoColours, Order, Target};
use crate::described::{Decoded, Known};
use crate::dlpack;
use crate::errors::raise;
use crate::fork::Origin;
use crate::forms::{NoViews, View, around, is_packed, shape_text, views};
use crate::lease::Lease;
use crate::mapping::Mapping;
use crate::metadata;

/// A received frame: its bytes in shared memory, read-only, and its metadata.
///
/// The bytes do not change as long as the frame, or any array, buffer or memoryview of it, exists. Most frames are leases
/// on shared memory; `is_copy` is true for those that are private copies instead.
#[pyclass(module = "shmflow", frozen, weakref)]
pub(crate) struct Frame {
    lease: Mutex<Option<Arc<Lease>>>,
    block: Vec<u8>,
    decoded: OnceLock<Result<Decoded, MetaError>>,
    known: Arc<Known>,
    topic: Arc<str>,
    origin: Origin,
    whole: View,
    single: OnceLock<View>,
    len: usize,
    #[pyo3(get)]
    seq: u64,
    #[pyo3(get)]
    lost_before: u64,
    #[pyo3(get)]
    is_copy: bool,
    #[pyo3(get)]
    epoch: u64,
    #[pyo3(get)]
    producer: (u8, u64),
}

impl Frame {
    pub(crate) fn new(
        frame: shmflow::Frame,
        count: &Arc<std::sync::atomic::AtomicU32>,
        known: &Arc<Known>,
        topic: &Arc<str>,
        origin: Origin,
    ) -> Self {
        let producer = frame.producer();
        Self {
            block: frame.meta_bytes(),
            decoded: OnceLock::new(),
            known: Arc::clone(known),
            topic: Arc::clone(topic),
            origin,
            whole: View::bytes(frame.len()),
            single: OnceLock::new(),
            len: frame.len(),
            seq: frame.seq(),
            lost_before: frame.lost_before(),
            is_copy: frame.is_copy(),
            epoch: frame.epoch(),
            producer: (producer.id, producer.generation),
            lease: Mutex::new(Some(Arc::new(Lease::new(frame, count)))),
        }
    }

    fn decoded(&self, py: Python<'_>) -> PyResult<&Decoded> {
        self.decoded
            .get_or_init(|| self.known.decode(&self.block))
            .as_ref()
            .map_err(|error| raise(py, "MetadataError", error.to_string()))
    }

    /// All of its bytes, as an object that exports them.
    pub(crate) fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let view = arrays::FrameView::new(&self.lease(py)?, self.whole.clone());
        Ok(Bound::new(py, view)?.into_any())
    }

    /// What the frame is as one array. Its shape stays where it is as long as the frame.
    fn single(&self, py: Python<'_>) -> PyResult<&View> {
        if let Some(view) = self.single.get() {
            return Ok(view);
        }
        let Some(views) = self.views(py)? else { return Ok(&self.whole) };
        let format = self.layout(py)?.map_or("", |layout| layout.format.as_str());
        match views.into_iter().next() {
            Some(view) if is_packed(format) => Ok(self.single.get_or_init(|| view)),
            _ => Err(self.refuse(
                py,
                &format!(
                    "{format} has no single array; use frame.planes, frame.payload for its bytes, or frame.bgr() for a converted copy"
                ),
            )),
        }
    }

    /// The bytes' owner, to read them.
    fn lease(&self, py: Python<'_>) -> PyResult<Arc<Lease>> {
        self.origin.check(py, "frame", &self.topic)?;
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        lease.clone().ok_or_else(|| {
            raise(py, "Closed", format!("frame {} of topic `{}` was released", self.seq, self.topic))
        })
    }

    /// The frame's layout.
    fn layout(&self, py: Python<'_>) -> PyResult<Option<&VideoLayout>> {
        Ok(self.decoded(py)?.described.layout.as_ref())
    }

    /// Which part of the layout is the picture of the caps.
    fn visible(&self, py: Python<'_>, layout: &VideoLayout) -> PyResult<Crop> {
        self.decoded(py)?.described.visible.map_err(|(width, height)| {
            let text = format!(
                "its caps have {width}x{height}, but its layout has only {}x{}; use bytes(frame)",
                layout.width, layout.height
            );
            self.refuse(py, &text)
        })
    }

    /// Columns and rows of the picture; those of the layout if the caps are impossible.
    fn size(&self, py: Python<'_>) -> PyResult<Option<(u32, u32)>> {
        let described = &self.decoded(py)?.described;
        Ok(described.layout.as_ref().map(|layout| {
            described.visible.map_or((layout.width, layout.height), |part| (part.width, part.height))
        }))
    }

    /// The arrays of a video frame, checked to be within it.
    pub(crate) fn views(&self, py: Python<'_>) -> PyResult<Option<Vec<View>>> {
        let Some(layout) = self.layout(py)? else { return Ok(None) };
        self.views_of(py, layout, self.visible(py, layout)?).map(Some)
    }

    /// The arrays of a part of it.
    fn views_of(&self, py: Python<'_>, layout: &VideoLayout, part: Crop) -> PyResult<Vec<View>> {
        match views(layout, part, self.len) {
            Ok(views) => Ok(views),
            Err(NoViews::Cut(part)) => Err(self.refuse(
                py,
                &format!(
                    "its picture begins at column {} of {}, where pixels share bytes; use frame.bgr() or frame.rgb(), or \
                     put videoconvert in front of the sink",
                    part.x, layout.format
                ),
            )),
            Err(NoViews::Unknown) => Err(self.refuse(
                py,
                &format!("its format {} has no arrays; use bytes(frame)", layout.format),
            )),
            Err(NoViews::Bad(why)) => Err(self.refuse(
                py,
                &format!(
                    "it has {} bytes, which do not fit {} of {}x{}: {why}",
                    self.len, layout.format, layout.width, layout.height
                ),
            )),
        }
    }

    /// The picture in other colours and of another size.
    fn converted<'py>(
        &self,
        py: Python<'py>,
        order: Order,
        out: Option<&Bound<'py, PyAny>>,
        size: Option<(u32, u32)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let lease = self.lease(py)?;
        let Some(layout) = self.layout(py)? else {
            let why = "it carries no video layout, so that it has no colours; give the consumer caps=, or format=, width= \
                       and height=";
            return Err(self.refuse(py, why));
        };
        let visible = self.visible(py, layout)?;
        let decoded = self.decoded(py)?;
        let caps = decoded.described.caps.as_deref().and_then(Caps::parse).unwrap_or_default();
        let interlaced = caps.has_two_fields(decoded.frame.flags.contains(Flags::INTERLACED));
        // A picture may begin within chroma that pixels share: then what is converted begins a little before it.
        let part = around(layout, visible, interlaced);
        let colours = Colours {
            payload: lease.bytes(),
            format: &layout.format,
            views: &self.views_of(py, layout, part)?,
            width: part.width,
            height: part.height,
            interlaced,
            // By the rows of the whole picture, also where a frame is one field.
            colorimetry: Colorimetry::of(caps.colorimetry, caps.height.unwrap_or(visible.height)),
        };
        let (width, height) = (visible.width, visible.height);
        let before = (visible.x.saturating_sub(part.x), visible.y.saturating_sub(part.y));
        let target = Target::of(py, out, size.unwrap_or((width, height)))?;
        match target.fill(py, &colours, order, before) {
            Ok(()) => Ok(target.array),
            Err(NoColours::Failed(why)) => Err(self.refuse(py, &why)),
            Err(NoColours::Unknown) => Err(self.refuse(
                py,
                &format!(
                    "bgr() and rgb() do not know its format {}; put videoconvert in front of the sink, or convert \
                     frame.planes",
                    layout.format
                ),
            )),
        }
    }

    /// Why what is attached cannot be read.
    fn not_attached(&self, py: Python<'_>, failure: Failure) -> PyErr {
        match failure {
            Failure::Meta(error) => raise(py, "MetadataError", error.to_string()),
            Failure::Python(error) => error,
        }
    }

    fn refuse(&self, py: Python<'_>, why: &str) -> PyErr {
        raise(py, "FormatError", format!("frame {} of topic `{}`: {why}", self.seq, self.topic))
    }
}

#[pymethods]
impl Frame {
    /// The picture as a read-only numpy array, without a copy: rows x columns x channels for packed formats, rows x
    /// columns for gray ones. If the frame is larger than its caps, the array is the visible part. Frames without a video
    /// layout are a row of bytes.
    #[getter]
    fn array<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let lease = self.lease(py)?;
        arrays::of_frame(py, &lease, self.single(py)?.clone())
    }

    /// The frame with memory of its own: its arrays can be written, and no slot is held.
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        let lease = self.lease(py)?;
        let frame = py.detach(|| lease.frame().private_copy()).ok_or_else(|| {
            PyMemoryError::new_err(format!(
                "no memory for a copy of frame {} of topic `{}`",
                self.seq, self.topic
            ))
        })?;
        Ok(Self {
            block: self.block.clone(),
            decoded: self.decoded.clone(),
            known: Arc::clone(&self.known),
            topic: Arc::clone(&self.topic),
            origin: Origin::here(),
            whole: self.whole.clone(),
            single: OnceLock::new(),
            len: self.len,
            seq: self.seq,
            lost_before: self.lost_before,
            is_copy: true,
            epoch: self.epoch,
            producer: self.producer,
            lease: Mutex::new(Some(Arc::new(Lease::new(frame, &Arc::default())))),
        })
    }

    /// The shared mapping that the frame is in, to register it with a driver: see `Mapping`. None for copies.
    #[getter]
    fn mapping(&self, py: Python<'_>) -> PyResult<Option<Mapping>> {
        Ok(Mapping::of(self.lease(py)?.frame()))
    }

    /// The shape of `array`.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.single(py)?.shape)
    }

    /// The number of dimensions of `array`.
    #[getter]
    fn ndim(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.single(py)?.shape.len())
    }

    /// The type of the elements of `array`, as numpy has it.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arrays::numpy(py, "dtype")?.call1((self.single(py)?.element.dtype(),))
    }

    /// For numpy: `array`; a copy of it if `copy`, or if it is of another `dtype`.
    #[pyo3(signature = (dtype = None, *, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = self.array(py)?;
        let dtype = match dtype {
            Some(dtype) => arrays::numpy(py, "dtype")?.call1((dtype,))?,
            None => array.getattr("dtype")?,
        };
        let converts = dtype.ne(array.getattr("dtype")?)?;
        if converts && copy == Some(false) {
            return Err(PyValueError::new_err(format!(
                "a frame of {} as {dtype} is a copy, which copy=False forbids",
                array.getattr("dtype")?
            )));
        }
        if converts || copy == Some(true) { array.call_method1("astype", (dtype,)) } else { Ok(array) }
    }

    /// For PIL and others: the array interface of `array`.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let array = self.array(py)?;
        let interface = array.getattr("__array_interface__")?;
        // Stated, so that nobody takes the payload's first bytes for the picture's.
        interface.set_item("strides", array.getattr("strides")?)?;
        Ok(interface)
    }

    /// All of the frame's bytes as a flat memoryview, without a copy; of a picture with whatever is between its rows and planes.
    #[getter(payload)]
    fn payload_view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        PyMemoryView::from(&self.payload(py)?)
    }

    /// The elements of `array`, row by row, as bytes.
    fn tobytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.array(py)?.call_method0("tobytes")
    }

    /// For notebooks: the picture.
    fn _repr_png_<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("shmflow._png")?.call_method1("of_frame", (&slf,))
    }

    /// For tensors: a capsule over the memory itself, marked as read-only; a copy for callers of DLPack before 1.0.
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if stream.is_some() {
            return Err(PyBufferError::new_err(
                "a frame is in the memory of the processor, which has no streams",
            ));
        }
        if dl_device.is_some_and(|device| device != dlpack::CPU) {
            return Err(PyBufferError::new_err(
                "a frame is in the memory of the processor: make a tensor there, and move it to the device",
            ));
        }
        let lease = self.lease(py)?;
        dlpack::capsule(py, &lease, self.single(py)?, &dlpack::Request { max_version, copy })
    }

    /// The processor's memory.
    fn __dlpack_device__(&self) -> (i32, i32) {
        dlpack::CPU
    }

    /// The planes of the picture as read-only numpy arrays by name, without a copy: see `Planes`.
    #[getter]
    fn planes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let lease = self.lease(py)?;
        let Some(views) = self.views(py)? else {
            return Err(self.refuse(py, "it carries no video layout; use frame.array or bytes(frame)"));
        };
        let planes = views.into_iter().map(|view| Ok((view.name, arrays::of_frame(py, &lease, view)?)));
        arrays::planes(py, planes)
    }

    /// A writable copy of the picture in OpenCV's order, rows x columns x (blue, green, red) of uint8; resized to `size`, its
    /// width and height, and written into the array `out`, if they are given.
    #[pyo3(signature = (out = None, *, size = None))]
    fn bgr<'py>(
        &self,
        py: Python<'py>,
        out: Option<&Bound<'py, PyAny>>,
        size: Option<(u32, u32)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.converted(py, Order::Bgr, out, size)
    }

    /// As `bgr`, in the order red, green, blue.
    #[pyo3(signature = (out = None, *, size = None))]
    fn rgb<'py>(
        &self,
        py: Python<'py>,
        out: Option<&Bound<'py, PyAny>>,
        size: Option<(u32, u32)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.converted(py, Order::Rgb, out, size)
    }

    /// Presentation time in the producer's own stream, in nanoseconds.
    #[getter]
    fn pts(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        Ok(self.decoded(py)?.frame.times.pts)
    }

    /// When the frame was captured, in nanoseconds on the clock that `clock` names; usually CLOCK_MONOTONIC, which is
    /// `time.monotonic_ns()`.
    #[getter]
    fn capture_time(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        Ok(self.decoded(py)?.frame.times.capture_ns)
    }

    /// The clock of `capture_time`: "monotonic", "realtime", "tai", "unknown" or "other".
    #[getter]
    fn clock(&self, py: Python<'_>) -> PyResult<&'static str> {
        Ok(metadata::clock_name(self.decoded(py)?.frame.times.clock))
    }

    /// How long the frame lasts, in nanoseconds.
    #[getter]
    fn duration(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        Ok(self.decoded(py)?.frame.times.duration)
    }

    /// The caps, as GStreamer writes them; for frames that carry none, those that were given to the consumer.
    #[getter]
    fn caps(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.decoded(py)?.described.caps.as_deref())
    }

    /// The pixel format, by GStreamer's name; None for frames without a video layout.
    #[getter]
    fn format(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.layout(py)?.map(|layout| layout.format.as_str()))
    }

    /// Of the picture, as in the caps, in pixels.
    #[getter]
    fn width(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.size(py)?.map(|(width, _)| width))
    }

    /// Of the picture, as in the caps, in pixels; of one field if the frame is one.
    #[getter]
    fn height(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        Ok(self.size(py)?.map(|(_, height)| height))
    }

    /// Frames per second as a `fractions.Fraction`; None if unknown or varying.
    #[getter]
    fn fps<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((numerator, denominator)) = self.layout(py)?.map(|layout| layout.fps) else {
            return Ok(None);
        };
        if numerator == 0 || denominator == 0 {
            return Ok(None);
        }
        py.import("fractions")?.call_method1("Fraction", (numerator, denominator)).map(Some)
    }

    /// The position of the picture in the frame that the producer set, as a dictionary of x, y, width and height, or None.
    /// `array`, `planes` and the rest already show that part.
    #[getter]
    fn crop<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.decoded(py)?.described.crop.map(|crop| metadata::crop_dict(py, crop)).transpose()
    }

    /// The names of the frame's flags: "discont", "gap", "interlaced" and so on.
    #[getter]
    fn flags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let names = metadata::flag_names(self.decoded(py)?.frame.flags);
        Ok(pyo3::types::PyFrozenSet::new(py, names)?.into_any())
    }

    /// The whole metadata block as a dictionary; None for frames without.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let decoded = self.decoded(py)?;
        decoded.present.then(|| metadata::to_dict(py, decoded)).transpose()
    }

    /// Regions of interest, each a dictionary of kind, x, y, width, height, id, parent_id and params (texts of structures).
    #[getter]
    fn regions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let found = attached::regions(py, &self.decoded(py)?.described.extensions);
        found.map_err(|failure| self.not_attached(py, failure))
    }

    /// What detectors found, each a dictionary: an object has label, score, x, y, width, height and rotation; a
    /// classification has classes, pairs of label and score; a track has track_id, first_seen, last_seen and lost.
    #[getter]
    fn detections<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let found = attached::detections(py, &self.decoded(py)?.described.extensions);
        found.map(|(findings, _)| findings).map_err(|failure| self.not_attached(py, failure))
    }

    /// How detections are related: index of the one, index of the other, and "is-part-of", "contains" or "relates-to".
    /// There may be circles.
    #[getter]
    fn relations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let found = attached::detections(py, &self.decoded(py)?.described.extensions);
        found.map(|(_, relations)| relations).map_err(|failure| self.not_attached(py, failure))
    }

    /// Everything that is attached to the frame, as a dictionary of lists, which `metadata` of a producer takes: regions,
    /// detections, relations, time_codes, captions, reference_timestamps, active_formats, audio_levels, custom_metas, tags.
    #[getter]
    fn attached<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = attached::to_dict(py, &self.decoded(py)?.described.extensions);
        found.map_err(|failure| self.not_attached(py, failure))
    }

    /// The metadata block as it was written.
    #[getter]
    fn metadata_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.block)
    }

    /// Releases the frame's memory now, and not when the object is deleted. Arrays and buffers of the frame keep the memory
    /// as long as they exist. The metadata can still be read.
    fn release(&self) {
        if self.origin.is_here() {
            let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(lease);
        }
    }

    /// Whether `release` was called.
    #[getter]
    fn released(&self) -> bool {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(&self, _kind: Py<PyAny>, _value: Py<PyAny>, _traceback: Py<PyAny>) {
        self.release();
    }

    fn __len__(&self) -> usize {
        self.len
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.lease(py)?.bytes()))
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let lease = this.lease(py)?;
        // Who asks for a shape (numpy, memoryview) gets the picture, and who asks for bytes all of them.
        let shown = if flags & ffi::PyBUF_ND == ffi::PyBUF_ND {
            this.single(py).map_err(|error| PyBufferError::new_err(error.value(py).to_string()))?
        } else {
            &this.whole
        };
        // SAFETY: called by Python; the view was checked against the frame's length, and never changes.
        unsafe { buffer::export_lease(slf.clone().into_any(), &lease, shown, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: called by Python for a buffer from `__getbuffer__`.
        unsafe { buffer::release_lease(view) }
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(format!(
            "a frame cannot be pickled, since it is in shared memory: send bytes(frame) or a copy of its array, or \
             open topic `{}` in the other process",
            self.topic
        )))
    }

    fn __repr__(&self) -> String {
        let format = match self.decoded.get_or_init(|| self.known.decode(&self.block)) {
            Ok(Decoded { described, .. }) => match &described.layout {
                Some(layout) => {
                    let (width, height) = described
                        .visible
                        .map_or((layout.width, layout.height), |part| (part.width, part.height));
                    format!("{} {width}x{height}", layout.format)
                }
                None => "bytes".into(),
            },
            Err(_) => "unusable metadata".into(),
        };
        let copied = if self.is_copy { ", copied" } else { "" };
        let size = shape_text(&self.whole.shape);
        format!(
            "<shmflow.Frame {} of {:?}: {format}, {} bytes{copied}>",
            self.seq,
            self.topic,
            size.trim_matches(['(', ')', ','])
        )
    }
}
