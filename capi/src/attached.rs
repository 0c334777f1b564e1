//! What hangs on a frame: regions of interest, tags, and entries of any type. What detectors found is in `findings`, times and
//! captions are in `times`.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{CStr, CString, c_char, c_void};

use ring::meta::{
    Caption as RingCaption, Meta, MetaEntry, MetaError, ReferenceTimestamp, Region as RingRegion,
};
use ring::meta::{Tags, TimeCode as RingTimeCode};

use crate::args::{self, Versioned};
use crate::claim::Claim;
use crate::fail::{Failure, Result, guard, guard_or};
use crate::findings::Findings;
use crate::frame::Frame;
use crate::status::{SHMFLOW_INVALID_METADATA, SHMFLOW_NO_METADATA, Status};

/// The first type of an entry that is a program's own.
pub const SHMFLOW_ENTRY_PRIVATE: u32 = 0x8000;

/// A region of interest: a rectangle of a video frame. Call shmflow_region_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Region {
    /// Size of this structure as the program knows it. Set by shmflow_region_init.
    pub size: usize,
    /// What is there, for example "face". Not NULL.
    pub kind: *const c_char,
    /// Pixels left of the region.
    pub x: u32,
    /// Pixels above the region.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its number among the regions of the frame. Default 0.
    pub id: i32,
    /// id of the region that it is a part of. Default 0.
    pub parent_id: i32,
}

const _: () = assert!(size_of::<Region>() == Region::LEAST);

// SAFETY: integers and a pointer, the size first, no padding, as asserted.
unsafe impl Versioned for Region {
    const LEAST: usize = 24 + 2 * size_of::<usize>();
}

impl Region {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        kind: std::ptr::null(),
        x: 0,
        y: 0,
        width: 0,
        height: 0,
        id: 0,
        parent_id: 0,
    };
}

pub(crate) type Decoded<T> = std::result::Result<T, MetaError>;

/// What a frame brings, with texts as C has them.
#[derive(Debug)]
pub(crate) struct Attached {
    regions: Decoded<Vec<(RingRegion, CString)>>,
    pub(crate) findings: Decoded<Findings>,
    pub(crate) time_codes: Decoded<Vec<RingTimeCode>>,
    pub(crate) captions: Decoded<Vec<RingCaption>>,
    pub(crate) references: Decoded<Vec<(ReferenceTimestamp, CString, Option<CString>)>>,
    /// Those of the stream, and those of all streams.
    tags: [Decoded<Option<CString>>; 2],
}

/// A text of an entry. None has a NUL: reading checks that.
pub(crate) fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

impl Attached {
    pub(crate) fn of(meta: &Meta) -> Self {
        let regions = meta.entries::<RingRegion>().map(|one| one.map(|one| (text(&one.kind), one)));
        let references = meta.entries::<ReferenceTimestamp>();
        let tags = |is_global| {
            let all = meta
                .entries::<Tags>()
                .filter(|one| one.as_ref().map_or(true, |one| one.is_global == is_global));
            all.last().transpose().map(|tags| tags.map(|tags| text(&tags.text)))
        };
        Self {
            regions: regions.map(|one| one.map(|(kind, one)| (one, kind))).collect(),
            findings: Findings::of(meta),
            time_codes: meta.entries::<RingTimeCode>().collect(),
            captions: meta.entries::<RingCaption>().collect(),
            references: references
                .map(|one| one.map(|one| (text(&one.reference), one.info.as_deref().map(text), one)))
                .map(|one| one.map(|(reference, info, one)| (one, reference, info)))
                .collect(),
            tags: [tags(false), tags(true)],
        }
    }
}

/// Sets every field to its default. Call it as shmflow_region_init(&region, sizeof region).
///
/// # Safety
/// region points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_region_init(region: *mut Region, size: usize) -> Status {
    let default = Region { size, ..Region::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(region, size, default, "region") })
}

/// Adds a region of interest to the frame. shmflow_claim_set_metadata comes before: it takes away what was added.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; region is initialised, and its texts are texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_region(claim: *mut Claim, region: *const Region) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given, kind) = unsafe {
            let given = args::given(region, Region::DEFAULT, "region")?;
            (args::object_mut(claim, "claim")?, given, args::text(given.kind, "kind")?)
        };
        let region = RingRegion::new(kind, given.x, given.y, given.width, given.height);
        let region = region.id(given.id).parent_id(given.parent_id);
        claim.add(|meta| meta.entry(&region))
    })
}

/// Sets the tags of the stream, or, if is_global is not 0, of all streams of the producer, after shmflow_claim_set_metadata: as
/// GStreamer writes them, "taglist, title=(string)film". They hold for the frames that follow too, for GStreamer's elements.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; tags is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_set_tags(
    claim: *mut Claim,
    tags: *const c_char,
    is_global: i32,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, tags) = unsafe { (args::object_mut(claim, "claim")?, args::text(tags, "tags")?) };
        let is_global = is_global != 0;
        let tags = Tags::new(tags).is_global(is_global);
        claim.add(|mut meta| {
            let is_other = |data: &[u8]| Tags::from_value(data).is_ok_and(|one| one.is_global != is_global);
            meta.extensions.retain(|one| one.ty != Tags::TYPE || is_other(&one.data));
            meta.entry(&tags)
        })
    })
}

/// Adds an entry of any type to the metadata of the frame, after shmflow_claim_set_metadata: docs/metadata.md has the types and
/// their bytes. Those from SHMFLOW_ENTRY_PRIVATE to 0xffff are a program's own.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; data points to length bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_entry(
    claim: *mut Claim,
    entry_type: u32,
    data: *const c_void,
    length: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, data) =
            unsafe { (args::object_mut(claim, "claim")?, args::bytes(data, length, "data")?) };
        let ty = u16::try_from(entry_type)
            .map_err(|_| Failure::argument(format!("entry_type is {entry_type} (at most 0xffff)")))?;
        claim.add(|meta| Ok(meta.extension(ty, data)))
    })
}

/// How many regions of interest the frame has. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_region_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(regions(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// A region of interest of the frame. Call it as shmflow_frame_region(frame, index, &region, sizeof region). Its text is valid
/// as long as the frame.
///
/// # Safety
/// frame is a frame; region points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_region(
    frame: *const Frame,
    index: usize,
    region: *mut Region,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = regions(unsafe { args::object(frame, "frame") }?)?;
        let (one, kind) = all.get(index).ok_or_else(|| beyond("region", index, all.len()))?;
        let found = Region {
            size,
            kind: kind.as_ptr(),
            x: one.x,
            y: one.y,
            width: one.width,
            height: one.height,
            id: one.id,
            parent_id: one.parent_id,
        };
        // SAFETY: the caller's.
        unsafe { args::write(region, size, found, "region") }
    })
}

/// The tags of the stream, or, if is_global is not 0, of all streams of its producer, as GStreamer writes them; NULL if there are
/// none. Valid as long as the frame.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_tags(frame: *const Frame, is_global: i32) -> *const c_char {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller's.
        let Some(attached) = unsafe { args::object(frame, "frame") }?.attached()? else {
            return Ok(std::ptr::null());
        };
        let [of_stream, of_all] = &attached.tags;
        let tags = if is_global == 0 { of_stream } else { of_all };
        Ok(tags.as_ref().map_err(invalid)?.as_deref().map_or(std::ptr::null(), CStr::as_ptr))
    })
}

/// The bytes of an entry of the frame's metadata, of any type: the one that has index entries of this type before it. *length
/// receives their number; NULL and 0 if there is no such entry. Valid as long as the frame. docs/metadata.md has the types.
///
/// # Safety
/// frame is NULL or a frame; length points to a size_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_entry(
    frame: *const Frame,
    entry_type: u32,
    index: usize,
    length: *mut usize,
) -> *const c_void {
    guard_or(std::ptr::null(), || {
        // SAFETY: the caller's.
        let place = unsafe { args::place(length, "length") }?;
        place.write(0);
        // SAFETY: the caller's.
        let meta = unsafe { args::object(frame, "frame") }?.meta()?;
        let mut all = meta.extensions.iter().filter(|one| u32::from(one.ty) == entry_type);
        let none =
            || Failure::Said(SHMFLOW_NO_METADATA, format!("there is no entry {index} of type {entry_type}"));
        let data = &all.nth(index).ok_or_else(none)?.data;
        place.write(data.len());
        Ok(data.as_ptr().cast())
    })
}

pub(crate) fn beyond(what: &str, index: usize, count: usize) -> Failure {
    Failure::argument(format!("there is no {what} {index}: the frame has {count}"))
}

pub(crate) fn invalid(error: &MetaError) -> Failure {
    Failure::Said(SHMFLOW_INVALID_METADATA, error.to_string())
}

pub(crate) fn all<'a, T>(
    frame: &'a Frame,
    get: impl FnOnce(&'a Attached) -> &'a Decoded<Vec<T>>,
) -> Result<&'a [T]> {
    frame.attached()?.map_or(Ok(&[]), |attached| get(attached).as_deref().map_err(invalid))
}

fn regions(frame: &Frame) -> Result<&[(RingRegion, CString)]> {
    all(frame, |attached| &attached.regions)
}
