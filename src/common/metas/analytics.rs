//! What detectors found: `GstAnalyticsRelationMeta` (GStreamer 1.24 and newer), by functions that are looked up at run time.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::NonNull;
use std::sync::LazyLock;

use gstreamer as gst;
use gstreamer::glib;

use shmflow::meta::{Detections, Finding, Object, Relation, Track};

use super::admit_name;
use super::late::Library;

/// Findings of one frame: GStreamer keeps a table of each with each.
pub(crate) const MAX_FINDINGS: usize = 1024;
/// Classes of all classifications of one frame.
const MAX_CLASSES: usize = 65_536;
/// Bits of relations that GStreamer knows.
const RELATIONS: u32 = 0x1e;

/// `GstAnalyticsRelationMeta`, of which only the library knows more.
type Meta = c_void;

/// `GstAnalyticsMtd`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Mtd {
    id: c_uint,
    meta: *mut Meta,
}

const NONE: Mtd = Mtd { id: 0, meta: std::ptr::null_mut() };

/// `GstAnalyticsRelationMetaInitParams`.
#[derive(Debug)]
#[repr(C)]
struct InitParams {
    order: usize,
    size: usize,
}

type GetOriented = unsafe extern "C" fn(
    *const Mtd,
    *mut c_int,
    *mut c_int,
    *mut c_int,
    *mut c_int,
    *mut f32,
    *mut f32,
) -> c_int;
type AddOriented =
    unsafe extern "C" fn(*mut Meta, u32, c_int, c_int, c_int, c_int, f32, f32, *mut Mtd) -> c_int;

/// Declares the functions that every version has, with the types of its headers.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library.
        #[derive(Debug)]
        struct Analytics {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Of GStreamer 1.26 and newer.
            get_oriented: Option<GetOriented>,
            add_oriented: Option<AddOriented>,
        }

        impl Analytics {
            fn load() -> Option<Self> {
                let library = Library::open(c"libgstanalytics-1.0.so.0")?;
                // SAFETY: these are the types that the library's headers give them, from its first version on.
                unsafe {
                    Some(Self {
                        $($field: library.function($name)?,)*
                        get_oriented: library.function(c"gst_analytics_od_mtd_get_oriented_location"),
                        add_oriented: library.function(c"gst_analytics_relation_meta_add_oriented_od_mtd"),
                    })
                }
            }
        }
    };
}

functions! {
    add_meta = c"gst_buffer_add_analytics_relation_meta_full": fn(*mut gst::ffi::GstBuffer, *mut InitParams) -> *mut Meta;
    length = c"gst_analytics_relation_get_length": fn(*mut Meta) -> usize;
    get_mtd = c"gst_analytics_relation_meta_get_mtd": fn(*mut Meta, c_uint, usize, *mut Mtd) -> c_int;
    type_of = c"gst_analytics_mtd_get_mtd_type": fn(*mut Mtd) -> usize;
    get_relation = c"gst_analytics_relation_meta_get_relation": fn(*mut Meta, c_uint, c_uint) -> c_int;
    set_relation = c"gst_analytics_relation_meta_set_relation": fn(*mut Meta, c_int, c_uint, c_uint) -> c_int;
    object_type = c"gst_analytics_od_mtd_get_mtd_type": fn() -> usize;
    object_label = c"gst_analytics_od_mtd_get_obj_type": fn(*const Mtd) -> u32;
    get_object = c"gst_analytics_od_mtd_get_location":
        fn(*const Mtd, *mut c_int, *mut c_int, *mut c_int, *mut c_int, *mut f32) -> c_int;
    add_object = c"gst_analytics_relation_meta_add_od_mtd":
        fn(*mut Meta, u32, c_int, c_int, c_int, c_int, f32, *mut Mtd) -> c_int;
    class_type = c"gst_analytics_cls_mtd_get_mtd_type": fn() -> usize;
    classes = c"gst_analytics_cls_mtd_get_length": fn(*const Mtd) -> usize;
    class_score = c"gst_analytics_cls_mtd_get_level": fn(*const Mtd, usize) -> f32;
    class_label = c"gst_analytics_cls_mtd_get_quark": fn(*const Mtd, usize) -> u32;
    add_classes = c"gst_analytics_relation_meta_add_cls_mtd": fn(*mut Meta, usize, *mut f32, *mut u32, *mut Mtd) -> c_int;
    track_type = c"gst_analytics_tracking_mtd_get_mtd_type": fn() -> usize;
    get_track = c"gst_analytics_tracking_mtd_get_info": fn(*const Mtd, *mut u64, *mut u64, *mut u64, *mut c_int) -> c_int;
    add_track = c"gst_analytics_relation_meta_add_tracking_mtd": fn(*mut Meta, u64, u64, *mut Mtd) -> c_int;
    set_last_seen = c"gst_analytics_tracking_mtd_update_last_seen": fn(*mut Mtd, u64) -> c_int;
    set_lost = c"gst_analytics_tracking_mtd_set_lost": fn(*mut Mtd) -> c_int;
}

static LIBRARY: LazyLock<Option<Analytics>> = LazyLock::new(Analytics::load);

/// Whether this machine's GStreamer has the library.
pub(crate) fn is_available() -> bool {
    LIBRARY.is_some()
}

/// The text of a quark, empty for none.
fn label(quark: u32) -> String {
    // SAFETY: 0, or a quark that somebody made; its text stays for ever.
    unsafe {
        let text = glib::ffi::g_quark_to_string(quark);
        if text.is_null() {
            String::new()
        } else {
            std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

fn quark(label: &str) -> Result<u32, &'static str> {
    if label.is_empty() {
        return Ok(0);
    }
    if !admit_name(label) {
        return Err("a label is too long, or one too many");
    }
    let text = std::ffi::CString::new(label).map_err(|_| "a label holds a NUL character")?;
    // SAFETY: a text, which is copied.
    Ok(unsafe { glib::ffi::g_quark_from_string(text.as_ptr()) })
}

/// What a relation meta says; and how many of its findings are of kinds that have no form here. `None`: it cannot be read.
pub(crate) fn read(meta: &gst::MetaRef<'_, gst::Meta>) -> Option<(Detections, u64)> {
    let library = LIBRARY.as_ref()?;
    let meta: *mut Meta = meta.as_ptr().cast_mut().cast();
    // SAFETY: a relation meta, alive; the function looks only.
    let length = unsafe { (library.length)(meta) };
    if length > MAX_FINDINGS {
        return None;
    }
    let mut findings = Vec::new();
    // Ids of the findings that have a form here.
    let mut ids = Vec::new();
    for id in 0..c_uint::try_from(length).ok()? {
        if let Some(finding) = library.finding(meta, id) {
            findings.push(finding);
            ids.push(id);
        }
    }
    let mut relations = Vec::new();
    for (from, first) in (0..).zip(&ids) {
        for (to, second) in (0..).zip(&ids) {
            // SAFETY: both ids are below the meta's length.
            let kind = unsafe { (library.get_relation)(meta, *first, *second) }.cast_unsigned();
            if kind != 0 {
                relations.push(Relation { from, to, kind });
            }
        }
    }
    let left_out = length.saturating_sub(findings.len()) as u64;
    Some((Detections::new(findings, relations), left_out))
}

impl Analytics {
    fn finding(&self, meta: *mut Meta, id: c_uint) -> Option<Finding> {
        let mut mtd = NONE;
        // SAFETY: the id is below the meta's length; what is written is a handle of it.
        let kind = unsafe {
            if (self.get_mtd)(meta, id, 0, &raw mut mtd) == 0 {
                return None;
            }
            (self.type_of)(&raw mut mtd)
        };
        // SAFETY: constants.
        let (object, class, track) =
            unsafe { ((self.object_type)(), (self.class_type)(), (self.track_type)()) };
        if kind == object {
            self.object(&mtd)
        } else if kind == class {
            // SAFETY: a handle of a classification, and indices below its length.
            let classes = unsafe {
                let count = (self.classes)(&raw const mtd).min(MAX_CLASSES);
                let one =
                    |n| (label((self.class_label)(&raw const mtd, n)), (self.class_score)(&raw const mtd, n));
                (0..count).map(one).collect()
            };
            Some(Finding::Classification(classes))
        } else if kind == track {
            let (mut id, mut first, mut last, mut lost) = (0, 0, 0, 0);
            let (to_id, to_first, to_last) = (&raw mut id, &raw mut first, &raw mut last);
            // SAFETY: a handle of a track.
            let done =
                unsafe { (self.get_track)(&raw const mtd, to_id, to_first, to_last, &raw mut lost) } != 0;
            let known = |time: u64| Some(time).filter(|time| *time != u64::MAX);
            let track = Track::new(id).first_seen(known(first)).last_seen(known(last)).lost(lost != 0);
            done.then_some(Finding::Track(track))
        } else {
            None
        }
    }

    fn object(&self, mtd: &Mtd) -> Option<Finding> {
        let (mut x, mut y, mut width, mut height, mut rotation, mut score) = (0, 0, 0, 0, 0.0, 0.0);
        let (to_x, to_y, to_w, to_h) = (&raw mut x, &raw mut y, &raw mut width, &raw mut height);
        // SAFETY: a handle of an object, and places for what the function gives.
        let (done, of) = unsafe {
            let done = match self.get_oriented {
                Some(get) => get(mtd, to_x, to_y, to_w, to_h, &raw mut rotation, &raw mut score),
                None => (self.get_object)(mtd, to_x, to_y, to_w, to_h, &raw mut score),
            };
            (done, (self.object_label)(mtd))
        };
        let object = Object::new(label(of), score, x, y, width, height).rotation(rotation);
        (done != 0).then_some(Finding::Object(object))
    }
}

/// Hangs findings on a buffer; how many of them this GStreamer does not know.
///
/// # Errors
/// Why they are not usable, for display.
pub(crate) fn write(buffer: &mut gst::BufferRef, found: &Detections) -> Result<u32, &'static str> {
    let Some(library) = LIBRARY.as_ref() else { return Ok(1) };
    let sizes = sizes(found)?;
    // All labels first: nothing is half done then.
    let mut labels = Vec::new();
    for finding in &found.findings {
        match finding {
            Finding::Object(object) => labels.push(quark(&object.label)?),
            Finding::Classification(classes) => {
                for (label, _) in classes {
                    labels.push(quark(label)?);
                }
            }
            _ => {}
        }
    }
    let mut params = InitParams { order: found.findings.len().max(1), size: sizes };
    // SAFETY: the buffer is writable.
    let meta = unsafe { (library.add_meta)(buffer.as_mut_ptr(), &raw mut params) };
    let meta = NonNull::new(meta).ok_or("GStreamer takes no detections")?.as_ptr();
    let mut labels = labels.into_iter();
    let added: Vec<Option<c_uint>> =
        found.findings.iter().map(|one| library.add(meta, one, &mut labels)).collect();
    let of = |index: u32| added.get(usize::try_from(index).ok()?).copied().flatten();
    for relation in &found.relations {
        let kind = c_int::try_from(relation.kind & RELATIONS).unwrap_or(0);
        if let (Some(from), Some(to), true) = (of(relation.from), of(relation.to), kind != 0) {
            // SAFETY: both are ids that the meta gave.
            unsafe { (library.set_relation)(meta, kind, from, to) };
        }
    }
    let unknown = added.iter().filter(|id| id.is_none()).count();
    Ok(u32::try_from(unknown).unwrap_or(u32::MAX))
}

/// Bytes that the findings take at most; that there are not too many.
fn sizes(found: &Detections) -> Result<usize, &'static str> {
    const EACH: usize = 128;
    if found.findings.len() > MAX_FINDINGS {
        return Err("it has too many detections");
    }
    let classes: usize = found
        .findings
        .iter()
        .map(|finding| if let Finding::Classification(classes) = finding { classes.len() } else { 0 })
        .sum();
    if classes > MAX_CLASSES {
        return Err("it has too many classes");
    }
    let least = found.findings.len().saturating_add(1).saturating_mul(EACH);
    Ok(least.saturating_add(classes.saturating_mul(16)))
}

impl Analytics {
    fn add(
        &self,
        meta: *mut Meta,
        finding: &Finding,
        labels: &mut impl Iterator<Item = u32>,
    ) -> Option<c_uint> {
        let mut mtd = NONE;
        let handle = &raw mut mtd;
        let done = match finding {
            Finding::Object(one) => {
                let label = labels.next()?;
                let (x, y, width, height) = (one.x, one.y, one.width, one.height);
                // SAFETY: the meta is new and ours; a place for the handle.
                unsafe {
                    match self.add_oriented {
                        Some(add) => add(meta, label, x, y, width, height, one.rotation, one.score, handle),
                        None => (self.add_object)(meta, label, x, y, width, height, one.score, handle),
                    }
                }
            }
            Finding::Classification(classes) => {
                let mut quarks: Vec<u32> = labels.take(classes.len()).collect();
                let mut scores: Vec<f32> = classes.iter().map(|(_, score)| *score).collect();
                if scores.is_empty() || quarks.len() != scores.len() {
                    return None;
                }
                // SAFETY: as above; both arrays are as long as it says, and are copied.
                unsafe {
                    (self.add_classes)(meta, scores.len(), scores.as_mut_ptr(), quarks.as_mut_ptr(), handle)
                }
            }
            Finding::Track(track) => {
                let (first, last) = (track.first_seen.unwrap_or(u64::MAX), track.last_seen);
                // SAFETY: as above; the handle is used after it was made.
                unsafe {
                    let done = (self.add_track)(meta, track.id, first, handle);
                    if let (1.., Some(last)) = (done, last) {
                        (self.set_last_seen)(handle, last);
                    }
                    if done != 0 && track.lost {
                        (self.set_lost)(handle);
                    }
                    done
                }
            }
            _ => 0,
        };
        (done != 0).then_some(mtd.id)
    }
}
