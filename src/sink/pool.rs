//! The buffer pool offered upstream: its buffers are slots of the ring.
//!
//! It keeps nothing. Acquiring a buffer claims a slot and wraps a fresh `GstBuffer` around it; releasing it drops the
//! buffer. A pool that recycled its buffers, as GStreamer's own do, would hand memory to upstream that consumers are
//! still reading. When no slot is free it gives out ordinary memory, and the frame is copied later: it never blocks and
//! never runs dry, so it need not be bounded (decoders refuse bounded pools).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::prelude::*;

use super::link::CurrentLink;
use super::mapping;

glib::wrapper! {
    /// A pool of ring slots.
    pub struct RingPool(ObjectSubclass<imp::RingPool>) @extends gst::BufferPool, gst::Object;
}

impl RingPool {
    /// A pool over whatever topic the sink has open, to be configured by whoever uses it.
    pub(super) fn new(link: &Arc<CurrentLink>) -> Self {
        let pool: Self = glib::Object::new();
        // Weak: upstream may keep a pool long after the sink is gone.
        let _ = pool.imp().link.set(Arc::downgrade(link));
        pool
    }
}

mod imp {
    use super::*;

    /// What the buffers are to look like.
    #[derive(Debug, Clone)]
    struct Shape {
        size: usize,
        params: gst::AllocationParams,
        video: Option<Video>,
    }

    #[derive(Debug, Clone)]
    struct Video {
        info: gst_video::VideoInfo,
        /// Padding, if upstream asked for any.
        alignment: Option<gst_video::VideoAlignment>,
    }

    #[derive(Debug, Default)]
    pub struct RingPool {
        pub(super) link: OnceLock<Weak<CurrentLink>>,
        shape: Mutex<Option<Arc<Shape>>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for RingPool {
        const NAME: &'static str = "GstShmflowPool";
        type Type = super::RingPool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for RingPool {}
    impl GstObjectImpl for RingPool {}

    /// The pool's functions are called from C, where a panic must not arrive.
    fn guarded<T>(otherwise: T, f: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(f)).unwrap_or(otherwise)
    }

    impl BufferPoolImpl for RingPool {
        fn options() -> &'static [&'static str] {
            &["GstBufferPoolOptionVideoMeta", "GstBufferPoolOptionVideoAlignment"]
        }

        fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
            guarded(false, || {
                let Some(shape) = shape_of(config) else {
                    return false;
                };
                *self.shape.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(shape));
                self.parent_set_config(config)
            })
        }

        fn start(&self) -> bool {
            // The parent would allocate the configured minimum ahead; here there is nothing to keep.
            true
        }

        fn acquire_buffer(
            &self,
            _params: Option<&gst::BufferPoolAcquireParams>,
        ) -> Result<gst::Buffer, gst::FlowError> {
            guarded(Err(gst::FlowError::Error), || {
                if self.obj().is_flushing() {
                    return Err(gst::FlowError::Flushing);
                }
                let shape = self.shape.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let shape = shape.ok_or(gst::FlowError::Error)?;
                let link = self.link.get().and_then(Weak::upgrade).and_then(|current| current.get());
                let slot = link.and_then(|link| link.memory(shape.size));
                let memory =
                    slot.unwrap_or_else(|| gst::Memory::with_size_and_params(shape.size, &shape.params));
                let mut buffer = gst::Buffer::new();
                let fresh = buffer.make_mut();
                fresh.append_memory(memory);
                if let Some(video) = &shape.video {
                    video.describe(fresh).map_err(|_| gst::FlowError::Error)?;
                }
                fresh.unset_flags(gst::BufferFlags::TAG_MEMORY);
                Ok(buffer)
            })
        }

        fn release_buffer(&self, buffer: gst::Buffer) {
            guarded((), || drop(buffer));
        }
    }

    impl Video {
        fn describe(&self, buffer: &mut gst::BufferRef) -> Result<(), glib::BoolError> {
            let info = &self.info;
            let mut meta = gst_video::VideoMeta::add_full(
                buffer,
                gst_video::VideoFrameFlags::empty(),
                info.format(),
                info.width(),
                info.height(),
                info.offset(),
                info.stride(),
            )?;
            if let Some(alignment) = &self.alignment {
                meta.set_alignment(alignment)?;
            }
            mapping::share_while_mapped(&mut meta);
            Ok(())
        }
    }

    /// Reads a configuration, and writes back what padding made of it: the size of a buffer and the alignment.
    fn shape_of(config: &mut gst::BufferPoolConfigRef) -> Option<Shape> {
        let (caps, size, min, max) = config.params()?;
        let params = config.allocator().map(|(_, params)| params).unwrap_or_default();
        let caps = caps?;
        let info = gst_video::VideoInfo::from_caps(&caps).ok();
        let size_wanted = usize::try_from(size).ok()?;
        let Some(mut info) = info else {
            return Some(Shape { size: size_wanted, params, video: None });
        };
        let wants_meta = config.has_option("GstBufferPoolOptionVideoMeta");
        let mut alignment = None;
        if wants_meta && config.has_option("GstBufferPoolOptionVideoAlignment") {
            let mut wanted = config.video_alignment()?;
            info.align(&mut wanted).ok()?;
            config.set_video_alignment(&wanted);
            alignment = Some(wanted);
        }
        let size = size_wanted.max(info.size());
        config.set_params(Some(&caps), u32::try_from(size).ok()?, min, max);
        Some(Shape { size, params, video: wants_meta.then_some(Video { info, alignment }) })
    }
}
