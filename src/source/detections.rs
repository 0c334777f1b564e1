//! What detectors found, for the elements downstream: as GStreamer's analytics metas, or where these are not known as
//! regions of interest.

use gstreamer as gst;
use gstreamer_video as gst_video;

use shmflow::meta::{Detections, Finding, Object, Relation};

use crate::common::metas::{admit_name, analytics};

/// Hangs findings on a buffer, which shows the frame's picture from the pixel `origin` on; how many of them this process's
/// GStreamer does not know.
///
/// # Errors
/// Why they are not usable, for display.
pub(super) fn attach(
    buffer: &mut gst::BufferRef,
    mut found: Detections,
    origin: (u32, u32),
) -> Result<u32, &'static str> {
    if found.findings.len() > analytics::MAX_FINDINGS {
        return Err("it has too many detections");
    }
    let offset = |origin: u32| i32::try_from(origin).unwrap_or(i32::MAX);
    for finding in &mut found.findings {
        if let Finding::Object(object) = finding {
            object.x = object.x.saturating_sub(offset(origin.0));
            object.y = object.y.saturating_sub(offset(origin.1));
        }
    }
    if analytics::is_available() { analytics::write(buffer, &found) } else { regions(buffer, &found) }
}

/// Each object as a region of interest, with a structure `detection`; what is related to it, too.
fn regions(buffer: &mut gst::BufferRef, found: &Detections) -> Result<u32, &'static str> {
    let mut unknown = 0_u32;
    for (index, finding) in (0_u32..).zip(&found.findings) {
        match finding {
            Finding::Object(object) => region(buffer, found, index, object)?,
            Finding::Classification(_) | Finding::Track(_)
                if related(found, index, is_object).next().is_some() => {}
            _ => unknown = unknown.saturating_add(1),
        }
    }
    Ok(unknown)
}

fn is_object(finding: &Finding) -> bool {
    matches!(finding, Finding::Object(_))
}

/// What a finding has a relation with, in either direction, one step away.
fn related(
    found: &Detections,
    index: u32,
    of_kind: fn(&Finding) -> bool,
) -> impl Iterator<Item = (u32, &Finding, Relation)> {
    found.relations.iter().filter_map(move |relation| {
        let other = match (relation.from == index, relation.to == index) {
            (true, false) => relation.to,
            (false, true) => relation.from,
            _ => return None,
        };
        let finding = found.findings.get(usize::try_from(other).ok()?)?;
        of_kind(finding).then_some((other, finding, *relation))
    })
}

fn region(
    buffer: &mut gst::BufferRef,
    found: &Detections,
    index: u32,
    object: &Object,
) -> Result<(), &'static str> {
    if !admit_name(&object.label) {
        return Err("a label is too long, or one too many");
    }
    // Regions begin within the picture: what is left of it, or above, is cut off.
    let (x, width) = visible(object.x, object.width);
    let (y, height) = visible(object.y, object.height);
    let mut detection = gst::Structure::builder("detection")
        .field("label", &object.label)
        .field("confidence", f64::from(object.score));
    if object.rotation != 0.0 {
        detection = detection.field("rotation", f64::from(object.rotation));
    }
    let id = |index: u32| i32::try_from(index).unwrap_or(i32::MAX).saturating_add(1);
    let whole = related(found, index, is_object)
        .find(|(_, _, relation)| relation.from == index && relation.kind & Relation::IS_PART_OF != 0);
    let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer, &object.label, (x, y, width, height));
    meta.set_id(id(index));
    meta.set_parent_id(whole.map_or(-1, |(whole, ..)| id(whole)));
    meta.add_param(detection.build());
    for (_, finding, _) in related(found, index, |finding| !is_object(finding)).take(16) {
        match finding {
            Finding::Classification(classes) => {
                for (label, score) in classes.iter().take(64) {
                    let class = gst::Structure::builder("classification").field("label", label);
                    meta.add_param(class.field("confidence", f64::from(*score)).build());
                }
            }
            Finding::Track(track) => {
                let one = gst::Structure::builder("tracking").field("id", track.id).field("lost", track.lost);
                meta.add_param(one.build());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The part of an interval that is not below 0.
fn visible(start: i32, len: i32) -> (u32, u32) {
    let end = start.saturating_add(len.max(0)).max(0);
    let start = start.max(0);
    (start.cast_unsigned(), end.saturating_sub(start).max(0).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_picture_is_cut_off() {
        assert_eq!(visible(10, 20), (10, 20));
        assert_eq!(visible(-5, 20), (0, 15));
        assert_eq!(visible(-30, 20), (0, 0));
        assert_eq!(visible(10, -20), (10, 0));
        assert_eq!(visible(i32::MAX, i32::MAX), (i32::MAX.cast_unsigned(), 0));
        assert_eq!(visible(i32::MIN, i32::MIN), (0, 0));
    }
}
