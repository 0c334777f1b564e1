//! From the metas of a buffer to entries of the frame's metadata.
#![allow(unsafe_code)]

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_audio as gst_audio;
use gstreamer_video as gst_video;

use glib::translate::{IntoGlib as _, from_glib, from_glib_none};
use gst::prelude::*;
use shmflow::meta::{
    ActiveFormat, AudioLevel, Caption, CustomMeta, EncodedMeta, Finding, MetaError, ReferenceTimestamp,
    Region, SerializedMeta, TimeCode,
};

use crate::common::metas::structure::to_text;
use crate::common::metas::{analytics, is_of_memory, late};

/// Metas that were left out since they were last reported.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    count: u64,
    /// Kinds that were never reported, and why they are left out.
    news: Vec<(glib::Type, String)>,
    known: Vec<glib::Type>,
}

impl LeftOut {
    fn add(&mut self, api: glib::Type, count: u64, why: &dyn Fn() -> String) {
        self.count = self.count.saturating_add(count);
        if !self.known.contains(&api) {
            self.known.push(api);
            self.news.push((api, why()));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there were, and the kinds among them that there were not before, each with a reason.
    pub(super) fn take(&mut self) -> (u64, Vec<(glib::Type, String)>) {
        (std::mem::take(&mut self.count), std::mem::take(&mut self.news))
    }
}

/// Why a meta does not travel.
enum Unsaid {
    /// Its kind means nothing in another process, or is said in another way.
    OfMemory,
    Unknown,
    /// So many things in it have no form.
    InPart(u64),
    Refused(MetaError),
}

impl From<MetaError> for Unsaid {
    fn from(error: MetaError) -> Self {
        Self::Refused(error)
    }
}

/// Adds what hangs on a buffer to the metadata of its frame, which shows the buffer's picture from the pixel `origin` on.
#[inline]
pub(super) fn push(
    encoded: &mut EncodedMeta,
    buffer: &gst::BufferRef,
    origin: (u32, u32),
    left_out: &mut LeftOut,
) {
    encoded.clear_entries();
    for meta in buffer.iter_meta::<gst::Meta>() {
        let api = meta.api();
        // Nearly every buffer has one of these, and they say where the payload lies.
        let of_layout = [
            gst_video::VideoMeta::meta_api(),
            gst_video::VideoCropMeta::meta_api(),
            gst_audio::AudioMeta::meta_api(),
        ];
        if of_layout.contains(&api) {
            continue;
        }
        match push_one(encoded, buffer, &meta, origin) {
            Ok(()) | Err(Unsaid::OfMemory) => {}
            Err(Unsaid::Unknown) => {
                left_out.add(api, 1, &|| "it has no form outside of its process".to_owned())
            }
            Err(Unsaid::InPart(count)) => {
                let why = "some of its findings are of kinds that have no form outside of their process";
                left_out.add(api, count, &|| why.to_owned());
            }
            Err(Unsaid::Refused(error)) => left_out.add(api, 1, &|| error.to_string()),
        }
    }
}

fn push_one(
    encoded: &mut EncodedMeta,
    buffer: &gst::BufferRef,
    meta: &gst::MetaRef<'_, gst::Meta>,
    origin: (u32, u32),
) -> Result<(), Unsaid> {
    let mut add =
        |entry: &dyn Fn(&mut EncodedMeta) -> Result<(), MetaError>| entry(encoded).map_err(Unsaid::from);
    if let Some(region) = meta.downcast_ref::<gst_video::VideoRegionOfInterestMeta>() {
        return match region_of(region, origin) {
            Some(region) => Ok(encoded.push_entry(&region)?),
            // It is in a part of the picture that is not published.
            None => Ok(()),
        };
    }
    if let Some(code) = meta.downcast_ref::<gst_video::VideoTimeCodeMeta>() {
        return Ok(encoded.push_entry(&time_code(code))?);
    }
    if let Some(caption) = meta.downcast_ref::<gst_video::VideoCaptionMeta>() {
        let kind = u32::try_from(caption.caption_type().into_glib()).unwrap_or(0);
        return Ok(encoded.push_entry(&Caption::new(kind, caption.data()))?);
    }
    if let Some(time) = meta.downcast_ref::<gst::ReferenceTimestampMeta>() {
        return Ok(encoded.push_entry(&reference_timestamp(time))?);
    }
    if let Some(afd) = meta.downcast_ref::<gst_video::VideoAFDMeta>() {
        let number = |raw: i32| u32::try_from(raw).unwrap_or(0);
        let (spec, code) = (number(afd.spec().into_glib()), number(afd.afd().into_glib()));
        return Ok(encoded.push_entry(&ActiveFormat::Afd { field: afd.field().into(), spec, code })?);
    }
    if let Some(bars) = meta.downcast_ref::<gst_video::VideoBarMeta>() {
        let entry = ActiveFormat::Bars {
            field: bars.field().into(),
            is_letterbox: bars.is_letterbox(),
            first: bars.bar_data1(),
            second: bars.bar_data2(),
        };
        return Ok(encoded.push_entry(&entry)?);
    }
    if let Some(custom) = meta.try_as_custom_meta() {
        let structure = custom.structure();
        return Ok(encoded.push_entry(&CustomMeta::new(structure.name().as_str(), to_text(&structure)))?);
    }
    if is_of_memory(meta.api()) {
        return Err(Unsaid::OfMemory);
    }
    if meta.api().name() == late::AUDIO_LEVEL {
        let (level, voice) = late::audio_level(buffer).ok_or(Unsaid::Unknown)?;
        return add(&|encoded| encoded.push_entry(&AudioLevel::new(level.into(), voice)));
    }
    if meta.api().name() == late::ANALYTICS {
        let (mut found, unknown) = analytics::read(meta).ok_or(Unsaid::Unknown)?;
        for finding in &mut found.findings {
            if let Finding::Object(object) = finding {
                object.x = object.x.saturating_sub_unsigned(origin.0);
                object.y = object.y.saturating_sub_unsigned(origin.1);
            }
        }
        encoded.push_entry(&found)?;
        return if unknown == 0 { Ok(()) } else { Err(Unsaid::InPart(unknown)) };
    }
    let data = late::serialize(meta).ok_or(Unsaid::Unknown)?;
    Ok(encoded.push_entry(&SerializedMeta::new(data))?)
}

/// A region as the published picture has it; `None` if it is outside.
fn region_of(
    meta: &gst::MetaRef<'_, gst_video::VideoRegionOfInterestMeta>,
    origin: (u32, u32),
) -> Option<Region> {
    // SAFETY: the meta is alive.
    let raw = unsafe { &*meta.as_ptr() };
    let (x, width) = shifted(raw.x, raw.w, origin.0)?;
    let (y, height) = shifted(raw.y, raw.h, origin.1)?;
    // A region may be of no type, of which there is no text.
    let kind = if raw.roi_type == 0 { "" } else { meta.roi_type() };
    let params: Vec<String> = meta.params().map(to_text).collect();
    Some(Region::new(kind, x, y, width, height).id(raw.id).parent_id(raw.parent_id).params(params))
}

/// An interval that begins at `start`, seen from `origin` on; `None` if nothing of it is seen.
fn shifted(start: u32, len: u32, origin: u32) -> Option<(u32, u32)> {
    let before = origin.saturating_sub(start);
    if before > 0 && before >= len {
        return None;
    }
    Some((start.saturating_sub(origin), len.saturating_sub(before)))
}

fn time_code(meta: &gst::MetaRef<'_, gst_video::VideoTimeCodeMeta>) -> TimeCode {
    // Not by the accessors, which take a valid rate for granted.
    // SAFETY: the meta is alive.
    let raw = unsafe { &(*meta.as_ptr()).tc };
    // SAFETY: null, or alive as the meta is.
    let jam: Option<glib::DateTime> = unsafe { from_glib_none(raw.config.latest_daily_jam) };
    let daily_jam = jam.map(|jam| {
        let microseconds = jam.to_unix().saturating_mul(1_000_000).saturating_add(jam.microsecond().into());
        (microseconds, i32::try_from(jam.utc_offset().as_seconds()).unwrap_or(0))
    });
    TimeCode::new((raw.config.fps_n, raw.config.fps_d), raw.hours, raw.minutes, raw.seconds, raw.frames)
        .flags(raw.config.flags)
        .field_count(raw.field_count)
        .daily_jam(daily_jam)
}

fn reference_timestamp(meta: &gst::MetaRef<'_, gst::ReferenceTimestampMeta>) -> ReferenceTimestamp {
    // Not by the accessor, which takes a time for granted.
    // SAFETY: the meta is alive; any number is a time or none.
    let (timestamp, duration) = unsafe { ((*meta.as_ptr()).timestamp, (*meta.as_ptr()).duration) };
    // SAFETY: likewise.
    let duration: Option<gst::ClockTime> = unsafe { from_glib(duration) };
    ReferenceTimestamp::new(meta.reference().to_string(), timestamp)
        .duration(duration.map(gst::ClockTime::nseconds))
        .info(late::reference_info(meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_move_with_what_is_cut_away() {
        assert_eq!(shifted(10, 20, 0), Some((10, 20)));
        assert_eq!(shifted(10, 20, 10), Some((0, 20)));
        assert_eq!(shifted(10, 20, 15), Some((0, 15)));
        assert_eq!(shifted(10, 20, 30), None);
        assert_eq!(shifted(10, 0, 5), Some((5, 0)));
        assert_eq!(shifted(u32::MAX, u32::MAX, 1), Some((u32::MAX - 1, u32::MAX)));
    }
}
