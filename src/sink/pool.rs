//! The buffer pool offered upstream: its buffers are slots of the ring.
//!
//! It keeps nothing. Acquiring a buffer claims a slot and wraps a fresh `GstBuffer` around it; releasing it drops the
//! buffer. A pool that recycled its buffers, as GStreamer's own do, would hand memory to upstream that consumers are
//! still reading. When no slot is free it gives out ordinary memory, and the frame is copied later: it never blocks and
//! never runs dry, so it need not be bounded (decoders refuse bounded pools).

//!
//! The bytes of a claimed slot are given to GStreamer as a memory that upstream elements write into; the permit to
//! publish it stays here, found again by the memory's address. A permit is taken out when its frame is published, so
//! that the same memory, should upstream send it a second time, is not found any more and gets copied.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::prelude::*;
use shmflow::meta::EncodedMeta;
use shmflow::{Claim, PublishPermit, SlotBuffer};

use crate::common::lock;

use super::connection::CurrentConnection;
use super::mapping;

glib::wrapper! {
    /// A pool of ring slots.
    pub struct RingPool(ObjectSubclass<imp::RingPool>) @extends gst::BufferPool, gst::Object;
}

impl RingPool {
    /// A pool over whatever topic the sink has open, to be configured by whoever uses it; `for_libav` if that is one of
    /// libav's decoders.
    pub(super) fn new(connection: &Arc<CurrentConnection>, for_libav: bool) -> Self {
        let pool: Self = glib::Object::new();
        // Weak: upstream may keep a pool long after the sink is gone.
        let _ = pool.imp().of.set((Arc::downgrade(connection), for_libav));
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
        /// The sink's topic, and whether a decoder of libav's uses the pool.
        pub(super) of: OnceLock<(Weak<CurrentConnection>, bool)>,
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
                *lock(&self.shape) = Some(Arc::new(shape));
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
                let shape = lock(&self.shape).clone();
                let shape = shape.ok_or(gst::FlowError::Error)?;
                let (connection, for_libav) = self.of.get().ok_or(gst::FlowError::Error)?;
                let connection = connection.upgrade().and_then(|current| current.get());
                let slot = connection.and_then(|connection| connection.memory(shape.size));
                let memory =
                    slot.unwrap_or_else(|| gst::Memory::with_size_and_params(shape.size, &shape.params));
                let mut buffer = gst::Buffer::new();
                let fresh = buffer.make_mut();
                fresh.append_memory(memory);
                if let Some(video) = &shape.video {
                    video.describe(fresh, *for_libav).map_err(|_| gst::FlowError::Error)?;
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
        fn describe(&self, buffer: &mut gst::BufferRef, for_libav: bool) -> Result<(), glib::BoolError> {
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
            if for_libav {
                mapping::share_while_mapped(&mut meta);
            }
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

/// Tickets of the slots that upstream has, by the address of their memory.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// There are as many as upstream holds buffers, a handful, so that looking at each beats hashing.
    permits: Mutex<Vec<(usize, PublishPermit)>>,
    /// Memories alive, published or not.
    held: AtomicUsize,
}

/// What a `GstMemory` owns: the slot's bytes. With it goes the permit, before the memory's address can be used again.
struct OwnedSlot {
    bytes: SlotBuffer,
    /// 0 until the memory is there.
    address: Arc<AtomicUsize>,
    slots: Weak<Slots>,
}

impl AsMut<[u8]> for OwnedSlot {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut()
    }
}

impl AsRef<[u8]> for OwnedSlot {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl Drop for OwnedSlot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.upgrade() {
            slots.held.fetch_sub(1, Ordering::Relaxed);
            // The permit is dropped after the lock: giving a slot back does things of its own.
            let permit = take(&mut slots.lock(), self.address.load(Ordering::Relaxed));
            drop(permit);
        }
    }
}

/// Takes out the permit of the memory at this address.
fn take(permits: &mut Vec<(usize, PublishPermit)>, address: usize) -> Option<PublishPermit> {
    let index = permits.iter().position(|(at, _)| *at == address)?;
    Some(permits.swap_remove(index).1)
}

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Vec<(usize, PublishPermit)>> {
        lock(&self.permits)
    }

    /// Makes a memory of a claimed slot.
    pub(super) fn wrap(self: &Arc<Self>, claim: Claim) -> gst::Memory {
        self.held.fetch_add(1, Ordering::Relaxed);
        let (bytes, permit) = claim.into_parts();
        let address = Arc::new(AtomicUsize::new(0));
        let memory = gst::Memory::from_mut_slice(OwnedSlot {
            bytes,
            address: Arc::clone(&address),
            slots: Arc::downgrade(self),
        });
        let at = memory.as_ptr() as usize;
        address.store(at, Ordering::Relaxed);
        self.lock().push((at, permit));
        memory
    }

    /// The right to publish `buffer` in place, if it has it: it is exactly one whole memory, made here from a slot of
    /// the current epoch, and not published before. From then on nobody can map it for writing.
    ///
    /// A mapping that is open already is no obstacle (see `mapping`): libav's decoders keep a read-write mapping of every
    /// reference frame, and only read it once it was pushed. That upstream does not write to what it has pushed is the
    /// rule of every GStreamer pipeline.
    pub(super) fn take(&self, buffer: &gst::BufferRef) -> Option<Ready> {
        if buffer.n_memory() != 1 {
            return None;
        }
        let memory = buffer.peek_memory(0);
        if memory.parent().is_some() || memory.offset() != 0 || memory.size() == 0 {
            return None;
        }
        let address = memory.as_ptr() as usize;
        let permit = {
            let mut permits = self.lock();
            if !permits.iter().find(|(at, _)| *at == address)?.1.is_current() {
                return None;
            }
            take(&mut permits, address)?
        };
        // SAFETY: the memory is alive, the buffer holds it. GStreamer itself sets such flags without synchronisation. From
        // here on every attempt to map it for writing, by whoever kept a reference, fails, and GStreamer makes a copy.
        unsafe {
            let object = memory.as_ptr().cast_mut().cast::<gst::ffi::GstMiniObject>();
            (*object).flags |= gst::ffi::GST_MINI_OBJECT_FLAG_LOCK_READONLY;
        }
        Some(Ready { permit, len: memory.size() })
    }

    /// How many slots upstream has: those it is filling, and those it keeps after they were published.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A slot whose memory can no longer be mapped for writing.
#[derive(Debug)]
pub(super) struct Ready {
    permit: PublishPermit,
    len: usize,
}

impl Ready {
    pub(super) fn publish(mut self, meta: &EncodedMeta) -> shmflow::Result<u64> {
        self.permit.set_encoded_meta(meta)?;
        // SAFETY: a `Ready` exists only for a memory that is marked read-only; see `Slots::take` for mappings made before.
        unsafe { self.permit.publish_unchecked(self.len) }
    }
}
