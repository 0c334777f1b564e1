//! What hangs on a frame: regions of interest, and what detectors found.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{CString, c_char};

use ring::meta::{
    Detections, Finding, Meta, MetaEntry, MetaError, Object, Region as RingRegion, Relation, Track,
};

use crate::args::{self, Versioned};
use crate::claim::Claim;
use crate::fail::{Failure, Result, guard, guard_or};
use crate::frame::Frame;
use crate::status::{SHMFLOW_INVALID_METADATA, Status};

/// A detection belongs to no track.
pub const SHMFLOW_NO_TRACK: u64 = 0xffff_ffff_ffff_ffff;

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

/// What a detector found: a box with something in it. Call shmflow_detection_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Detection {
    /// Size of this structure as the program knows it. Set by shmflow_detection_init.
    pub size: usize,
    /// What it is. Not NULL.
    pub label: *const c_char,
    /// Number of the track that it belongs to, or SHMFLOW_NO_TRACK (default).
    pub track_id: u64,
    /// How sure that is, 0 to 1. Default 1.
    pub score: f32,
    /// By how much the box is turned around its middle, in radians, clockwise. Default 0.
    pub rotation: f32,
    /// Pixels left of the box.
    pub x: i32,
    /// Pixels above the box.
    pub y: i32,
    /// Width in pixels.
    pub width: i32,
    /// Height in pixels.
    pub height: i32,
}

const _: () = assert!(size_of::<Region>() == Region::LEAST && size_of::<Detection>() == Detection::LEAST);

// SAFETY: integers and a pointer, the size first, no padding, as asserted.
unsafe impl Versioned for Region {
    const LEAST: usize = 24 + 2 * size_of::<usize>();
}

// SAFETY: integers, floats and a pointer, the size first, no padding, as asserted.
unsafe impl Versioned for Detection {
    const LEAST: usize = 32 + 2 * size_of::<usize>();
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

impl Detection {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        label: std::ptr::null(),
        track_id: SHMFLOW_NO_TRACK,
        score: 1.0,
        rotation: 0.0,
        x: 0,
        y: 0,
        width: 0,
        height: 0,
    };
}

/// What a frame brings, with texts as C has them.
#[derive(Debug)]
pub(crate) struct Attached {
    regions: std::result::Result<Vec<(RingRegion, CString)>, MetaError>,
    detections: std::result::Result<Vec<(Object, CString, Option<u64>)>, MetaError>,
}

impl Attached {
    pub(crate) fn of(meta: &Meta) -> Self {
        // No text has a NUL: reading checks that.
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let regions = meta.entries::<RingRegion>();
        let regions = regions.map(|one| one.map(|one| (text(&one.kind), one)).map(|(kind, one)| (one, kind)));
        let mut detections = Ok(Vec::new());
        for found in meta.entries::<Detections>() {
            match (found, &mut detections) {
                (Ok(found), Ok(all)) => {
                    for (index, finding) in (0_u32..).zip(&found.findings) {
                        if let Finding::Object(object) = finding {
                            all.push((object.clone(), text(&object.label), track_of(&found, index)));
                        }
                    }
                }
                (Err(error), _) => detections = Err(error),
                _ => {}
            }
        }
        Self { regions: regions.collect(), detections }
    }
}

/// The track that a finding is related to, in either direction.
fn track_of(found: &Detections, index: u32) -> Option<u64> {
    let others = found.relations.iter().filter_map(|relation| match (relation.from, relation.to) {
        (from, to) if from == index => Some(to),
        (from, to) if to == index => Some(from),
        _ => None,
    });
    others.into_iter().find_map(|other| match found.findings.get(usize::try_from(other).ok()?)? {
        Finding::Track(track) => Some(track.id),
        _ => None,
    })
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

/// Sets every field to its default. Call it as shmflow_detection_init(&detection, sizeof detection).
///
/// # Safety
/// detection points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_detection_init(detection: *mut Detection, size: usize) -> Status {
    let default = Detection { size, ..Detection::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(detection, size, default, "detection") })
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
            let given = args::read(region, Region::DEFAULT, "region")?;
            (args::object_mut(claim, "claim")?, given, args::text(given.kind, "kind")?)
        };
        let region = RingRegion::new(kind, given.x, given.y, given.width, given.height);
        let region = region.id(given.id).parent_id(given.parent_id);
        claim.add(|meta| meta.entry(&region))
    })
}

/// Adds what a detector found to the frame. shmflow_claim_set_metadata comes before: it takes away what was added.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; detection is initialised, and its texts are texts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_detection(
    claim: *mut Claim,
    detection: *const Detection,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given, label) = unsafe {
            let given = args::read(detection, Detection::DEFAULT, "detection")?;
            (args::object_mut(claim, "claim")?, given, args::text(given.label, "label")?)
        };
        let (x, y, width, height) = (given.x, given.y, given.width, given.height);
        let object = Object::new(label, given.score, x, y, width, height).rotation(given.rotation);
        let track = (given.track_id != SHMFLOW_NO_TRACK).then_some(given.track_id);
        claim.add(|mut meta| {
            let before = meta.entries::<Detections>().next().transpose()?;
            meta.extensions.retain(|one| one.ty != Detections::TYPE);
            let mut found = before.unwrap_or_default();
            let index = |len: usize| u32::try_from(len).map_err(|_| MetaError::TooLarge);
            let from = index(found.findings.len())?;
            found.findings.push(Finding::Object(object));
            if let Some(track) = track {
                let to = index(found.findings.len())?;
                found.findings.push(Finding::Track(Track::new(track)));
                found.relations.push(Relation { from, to, kind: Relation::RELATES_TO });
            }
            meta.entry(&found)
        })
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

/// How many objects detectors found in the frame. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_detection_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(detections(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// What a detector found in the frame. Call it as shmflow_frame_detection(frame, index, &detection, sizeof detection). Its
/// text is valid as long as the frame. Classifications and relations are in the metadata block: docs/metadata.md.
///
/// # Safety
/// frame is a frame; detection points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_detection(
    frame: *const Frame,
    index: usize,
    detection: *mut Detection,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = detections(unsafe { args::object(frame, "frame") }?)?;
        let (one, label, track) = all.get(index).ok_or_else(|| beyond("detection", index, all.len()))?;
        let found = Detection {
            size,
            label: label.as_ptr(),
            track_id: track.unwrap_or(SHMFLOW_NO_TRACK),
            score: one.score,
            rotation: one.rotation,
            x: one.x,
            y: one.y,
            width: one.width,
            height: one.height,
        };
        // SAFETY: the caller's.
        unsafe { args::write(detection, size, found, "detection") }
    })
}

fn beyond(what: &str, index: usize, count: usize) -> Failure {
    Failure::argument(format!("there is no {what} {index}: the frame has {count}"))
}

fn invalid(error: &MetaError) -> Failure {
    Failure::Said(SHMFLOW_INVALID_METADATA, error.to_string())
}

fn regions(frame: &Frame) -> Result<&[(RingRegion, CString)]> {
    frame.attached()?.map_or(Ok(&[]), |attached| attached.regions.as_deref().map_err(invalid))
}

fn detections(frame: &Frame) -> Result<&[(Object, CString, Option<u64>)]> {
    frame.attached()?.map_or(Ok(&[]), |attached| attached.detections.as_deref().map_err(invalid))
}
