//! What detectors found in a frame: objects, their classes, their tracks.
#![allow(unsafe_code, reason = "exported names, and C's pointers")]

use std::ffi::{CString, c_char};

use ring::meta::{Detections, Finding, Meta, MetaEntry, MetaError, Object, Relation, Track as RingTrack};

use crate::args::{self, Versioned};
use crate::attached::{beyond, invalid, text};
use crate::claim::Claim;
use crate::fail::{Failure, Result, guard, guard_or};
use crate::frame::Frame;
use crate::metadata::SHMFLOW_NO_TIME;
use crate::status::Status;

/// A detection belongs to no track.
pub const SHMFLOW_NO_TRACK: u64 = 0xffff_ffff_ffff_ffff;
/// A classification is of the whole frame.
pub const SHMFLOW_WHOLE_FRAME: u32 = 0xffff_ffff;

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

/// What a classifier says of a detection or of the whole frame: one class. Call shmflow_classification_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Classification {
    /// Size of this structure as the program knows it. Set by shmflow_classification_init.
    pub size: usize,
    /// The class. Not NULL.
    pub label: *const c_char,
    /// How sure that is, 0 to 1. Default 1.
    pub score: f32,
    /// Which detection of the frame it is, by its index; or SHMFLOW_WHOLE_FRAME (default).
    pub detection: u32,
}

/// More of a track than its number, which detections have. Call shmflow_track_init, then set the fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Track {
    /// Size of this structure as the program knows it. Set by shmflow_track_init.
    pub size: usize,
    /// Its number, the track_id of detections. Not SHMFLOW_NO_TRACK.
    pub id: u64,
    /// When it was seen first, in nanoseconds, or SHMFLOW_NO_TIME (default).
    pub first_seen: u64,
    /// When it was seen last, in nanoseconds, or SHMFLOW_NO_TIME (default).
    pub last_seen: u64,
    /// 1 if the tracker has lost it. Default 0.
    pub lost: i32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(
    size_of::<Detection>() == Detection::LEAST
        && size_of::<Classification>() == Classification::LEAST
        && size_of::<Track>() == Track::LEAST
);

// SAFETY: integers, floats and a pointer, the size first, no padding, as asserted.
unsafe impl Versioned for Detection {
    const LEAST: usize = 32 + 2 * size_of::<usize>();
}

// SAFETY: integers, a float and a pointer, the size first, no padding, as asserted.
unsafe impl Versioned for Classification {
    const LEAST: usize = 8 + 2 * size_of::<usize>();
}

// SAFETY: integers, the size first, no padding but behind the size, as asserted.
unsafe impl Versioned for Track {
    const LEAST: usize = size_of::<usize>().next_multiple_of(align_of::<u64>()) + 32;
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

impl Classification {
    const DEFAULT: Self =
        Self { size: size_of::<Self>(), label: std::ptr::null(), score: 1.0, detection: SHMFLOW_WHOLE_FRAME };
}

impl Track {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        id: SHMFLOW_NO_TRACK,
        first_seen: SHMFLOW_NO_TIME,
        last_seen: SHMFLOW_NO_TIME,
        lost: 0,
        reserved: 0,
    };
}

/// What was found in a frame, with texts as C has them.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    objects: Vec<(Object, CString, Option<u64>)>,
    /// A class, its score, and the object that it is of.
    classes: Vec<(CString, f32, u32)>,
    tracks: Vec<RingTrack>,
}

impl Findings {
    pub(crate) fn of(meta: &Meta) -> std::result::Result<Self, MetaError> {
        let found = merged(meta)?;
        let mut this = Self::default();
        for (index, finding) in found.findings.iter().enumerate() {
            match finding {
                Finding::Object(object) => {
                    let track = related(&found, index).find_map(|other| match found.findings.get(other)? {
                        Finding::Track(track) => Some(track.id),
                        _ => None,
                    });
                    this.objects.push((object.clone(), text(&object.label), track));
                }
                Finding::Classification(classes) => {
                    let object = related(&found, index).find_map(|other| nth_object(&found, other));
                    let object = object.unwrap_or(SHMFLOW_WHOLE_FRAME);
                    this.classes.extend(classes.iter().map(|(label, score)| (text(label), *score, object)));
                }
                Finding::Track(track) => this.tracks.push(*track),
                _ => {}
            }
        }
        Ok(this)
    }
}

/// All that was found: a block may have several entries.
fn merged(meta: &Meta) -> std::result::Result<Detections, MetaError> {
    let mut all = Detections::default();
    for entry in meta.entries::<Detections>() {
        let entry = entry?;
        let base = index(all.findings.len())?;
        all.findings.extend(entry.findings);
        for Relation { from, to, kind } in entry.relations {
            let moved = |at: u32| at.checked_add(base).ok_or(MetaError::TooLarge);
            all.relations.push(Relation { from: moved(from)?, to: moved(to)?, kind });
        }
    }
    Ok(all)
}

fn index(at: usize) -> std::result::Result<u32, MetaError> {
    u32::try_from(at).map_err(|_| MetaError::TooLarge)
}

/// The findings that one is related to, in either direction.
fn related(found: &Detections, index: usize) -> impl Iterator<Item = usize> {
    found.relations.iter().filter_map(move |relation| {
        let at = |at: u32| usize::try_from(at).ok();
        match (at(relation.from)?, at(relation.to)?) {
            (from, to) if from == index => Some(to),
            (from, to) if to == index => Some(from),
            _ => None,
        }
    })
}

/// Which of the objects a finding is.
fn nth_object(found: &Detections, at: usize) -> Option<u32> {
    let is_object = |finding: &Finding| matches!(finding, Finding::Object(_));
    found.findings.get(at).filter(|finding| is_object(finding))?;
    let before = found.findings.get(..at)?.iter().filter(|finding| is_object(finding)).count();
    u32::try_from(before).ok()
}

/// Where the object of this number is.
fn object_at(found: &Detections, nth: u32) -> Option<usize> {
    (0..found.findings.len()).find(|at| nth_object(found, *at) == Some(nth))
}

/// Changes what was found in the frame.
fn change(
    claim: &mut Claim,
    change: impl FnOnce(&mut Detections) -> std::result::Result<(), MetaError>,
) -> Result<()> {
    claim.add(|mut meta| {
        let mut found = merged(&meta)?;
        change(&mut found)?;
        meta.extensions.retain(|one| one.ty != Detections::TYPE);
        meta.entry(&found)
    })
}

/// Adds a finding that another one is related to.
fn relate(found: &mut Detections, from: usize, finding: Finding) -> std::result::Result<(), MetaError> {
    let (from, to) = (index(from)?, index(found.findings.len())?);
    found.findings.push(finding);
    found.relations.push(Relation { from, to, kind: Relation::RELATES_TO });
    Ok(())
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

/// Sets every field to its default. Call it as shmflow_classification_init(&classification, sizeof classification).
///
/// # Safety
/// classification points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_classification_init(
    classification: *mut Classification,
    size: usize,
) -> Status {
    let default = Classification { size, ..Classification::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(classification, size, default, "classification") })
}

/// Sets every field to its default. Call it as shmflow_track_init(&track, sizeof track).
///
/// # Safety
/// track points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_track_init(track: *mut Track, size: usize) -> Status {
    let default = Track { size, ..Track::DEFAULT };
    // SAFETY: the caller's.
    guard(|| unsafe { args::write(track, size, default, "track") })
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
            let given = args::given(detection, Detection::DEFAULT, "detection")?;
            (args::object_mut(claim, "claim")?, given, args::text(given.label, "label")?)
        };
        let (x, y, width, height) = (given.x, given.y, given.width, given.height);
        let object = Object::new(label, given.score, x, y, width, height).rotation(given.rotation);
        change(claim, |found| {
            let from = found.findings.len();
            found.findings.push(Finding::Object(object));
            if given.track_id == SHMFLOW_NO_TRACK {
                return Ok(());
            }
            relate(found, from, Finding::Track(RingTrack::new(given.track_id)))
        })
    })
}

/// Adds a class to a detection that was added before, or to the whole frame. shmflow_claim_set_metadata comes before.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; classification is initialised, and its text is a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_classification(
    claim: *mut Claim,
    classification: *const Classification,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given, label) = unsafe {
            let given = args::given(classification, Classification::DEFAULT, "classification")?;
            (args::object_mut(claim, "claim")?, given, args::text(given.label, "label")?)
        };
        let class = (label.to_owned(), given.score);
        let of = given.detection;
        if of != SHMFLOW_WHOLE_FRAME && object_at(&merged(claim.meta())?, of).is_none() {
            return Err(Failure::argument(format!("there is no detection {of}: add it before its classes")));
        }
        change(claim, |found| {
            let object = object_at(found, of);
            let is_same = |at: &usize| {
                related(found, *at).find_map(|other| nth_object(found, other)).unwrap_or(SHMFLOW_WHOLE_FRAME)
                    == of
            };
            let is_classes = |at: &usize| matches!(found.findings.get(*at), Some(Finding::Classification(_)));
            let before = (0..found.findings.len()).find(|at| is_classes(at) && is_same(at));
            match (before.and_then(|at| found.findings.get_mut(at)), object) {
                (Some(Finding::Classification(classes)), _) => classes.push(class),
                (_, Some(object)) => relate(found, object, Finding::Classification(vec![class]))?,
                _ => found.findings.push(Finding::Classification(vec![class])),
            }
            Ok(())
        })
    })
}

/// Says more of a track: of the detections that were added with its number, or of one that is in no detection of this frame.
/// shmflow_claim_set_metadata comes before.
/// SHMFLOW_INVALID_METADATA if the topic has no room for so much metadata: see shmflow_producer_grow_metadata.
///
/// # Safety
/// claim is from shmflow_producer_claim; track is initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_claim_add_track(claim: *mut Claim, track: *const Track) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let (claim, given) =
            unsafe { (args::object_mut(claim, "claim")?, args::given(track, Track::DEFAULT, "track")?) };
        if given.id == SHMFLOW_NO_TRACK {
            return Err(Failure::argument("track.id is not set"));
        }
        let time = |time: u64| (time != SHMFLOW_NO_TIME).then_some(time);
        let (first, last) = (time(given.first_seen), time(given.last_seen));
        let track = RingTrack::new(given.id).first_seen(first).last_seen(last).lost(given.lost != 0);
        change(claim, |found| {
            let mut is_new = true;
            for finding in &mut found.findings {
                if let Finding::Track(known) = finding
                    && known.id == track.id
                {
                    (*known, is_new) = (track, false);
                }
            }
            if is_new {
                found.findings.push(Finding::Track(track));
            }
            Ok(())
        })
    })
}

/// How many objects detectors found in the frame. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_detection_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(objects(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// What a detector found in the frame. Call it as shmflow_frame_detection(frame, index, &detection, sizeof detection). Its
/// text is valid as long as the frame. Relations of other kinds are in the metadata block: docs/metadata.md.
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
        let all = objects(unsafe { args::object(frame, "frame") }?)?;
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

/// How many classes of detections, or of the frame, the frame has. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_classification_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(classes(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// A class of the frame. Call it as shmflow_frame_classification(frame, index, &classification, sizeof classification). Its text is
/// valid as long as the frame.
///
/// # Safety
/// frame is a frame; classification points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_classification(
    frame: *const Frame,
    index: usize,
    classification: *mut Classification,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = classes(unsafe { args::object(frame, "frame") }?)?;
        let (label, score, detection) =
            all.get(index).ok_or_else(|| beyond("classification", index, all.len()))?;
        let found = Classification { size, label: label.as_ptr(), score: *score, detection: *detection };
        // SAFETY: the caller's.
        unsafe { args::write(classification, size, found, "classification") }
    })
}

/// How many tracks the frame has. 0 if frame is NULL, or its metadata cannot be read.
///
/// # Safety
/// frame is NULL or a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_track_count(frame: *const Frame) -> usize {
    // SAFETY: the caller's.
    guard_or(0, || Ok(tracks(unsafe { args::object(frame, "frame") }?)?.len()))
}

/// A track of the frame. Call it as shmflow_frame_track(frame, index, &track, sizeof track).
///
/// # Safety
/// frame is a frame; track points to size bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmflow_frame_track(
    frame: *const Frame,
    index: usize,
    track: *mut Track,
    size: usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller's.
        let all = tracks(unsafe { args::object(frame, "frame") }?)?;
        let one = all.get(index).ok_or_else(|| beyond("track", index, all.len()))?;
        let found = Track {
            size,
            id: one.id,
            first_seen: one.first_seen.unwrap_or(SHMFLOW_NO_TIME),
            last_seen: one.last_seen.unwrap_or(SHMFLOW_NO_TIME),
            lost: one.lost.into(),
            reserved: 0,
        };
        // SAFETY: the caller's.
        unsafe { args::write(track, size, found, "track") }
    })
}

fn findings(frame: &Frame) -> Result<Option<&Findings>> {
    frame.attached()?.map(|attached| attached.findings.as_ref().map_err(invalid)).transpose()
}

fn objects(frame: &Frame) -> Result<&[(Object, CString, Option<u64>)]> {
    Ok(findings(frame)?.map_or(&[], |found| &found.objects))
}

fn classes(frame: &Frame) -> Result<&[(CString, f32, u32)]> {
    Ok(findings(frame)?.map_or(&[], |found| &found.classes))
}

fn tracks(frame: &Frame) -> Result<&[RingTrack]> {
    Ok(findings(frame)?.map_or(&[], |found| &found.tracks))
}
