//! From the entries of a frame's metadata to metas of its buffer. Everything here was written by another process.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use gst::prelude::*;
use shmflow::meta::{
    ActiveFormat, AudioLevel, Caption, CustomMeta, Detections, Entries, MetaEntry, ReferenceTimestamp,
    Region, SerializedMeta, TimeCode, is_of_frame,
};

use super::detections;
use crate::common::clock::clock_time;
use crate::common::metas::{admit_name, late, structure};

/// Texts of structures in one frame.
const MAX_STRUCTURES: u32 = 16_384;

/// Whether metas of an API type have an entry of their own.
fn has_entry(api: glib::Type) -> bool {
    api == gst_video::VideoRegionOfInterestMeta::meta_api()
        || api == gst_video::VideoTimeCodeMeta::meta_api()
        || api == gst_video::VideoCaptionMeta::meta_api()
        || api == gst_video::VideoAFDMeta::meta_api()
        || api == gst_video::VideoBarMeta::meta_api()
        || api == gst::ReferenceTimestampMeta::meta_api()
        || matches!(api.name(), late::AUDIO_LEVEL | late::ANALYTICS)
}

/// Hangs what a frame brings on its buffer, which shows the frame's picture from the pixel `origin` on. What this process's
/// GStreamer does not know is passed over: the result says how many.
///
/// # Errors
/// Why the metadata is not usable, for display.
pub(super) fn attach(buffer: &mut gst::BufferRef, entries: &[u8], origin: (u32, u32)) -> Result<u32, String> {
    let mut attacher = Attacher { origin, structures: MAX_STRUCTURES, passed_over: 0 };
    for entry in Entries::new(entries) {
        let (ty, value) = entry.map_err(|error| error.to_string())?;
        if is_of_frame(ty) {
            attacher.one(buffer, ty, value).map_err(|why| format!("its metadata is not usable: {why}"))?;
        }
    }
    Ok(attacher.passed_over)
}

struct Attacher {
    origin: (u32, u32),
    structures: u32,
    passed_over: u32,
}

fn read<E: MetaEntry>(value: &[u8]) -> Result<E, String> {
    E::from_value(value).map_err(|error| error.to_string())
}

impl Attacher {
    fn one(&mut self, buffer: &mut gst::BufferRef, ty: u16, value: &[u8]) -> Result<(), String> {
        let done = match ty {
            Region::TYPE => self.region(buffer, &read(value)?)?,
            TimeCode::TYPE => time_code(buffer, &read(value)?)?,
            Caption::TYPE => caption(buffer, &read(value)?),
            ReferenceTimestamp::TYPE => self.reference_timestamp(buffer, &read(value)?)?,
            ActiveFormat::TYPE => active_format(buffer, &read(value)?),
            AudioLevel::TYPE => {
                let level: AudioLevel = read(value)?;
                u8::try_from(level.level).is_ok_and(|loud| late::add_audio_level(buffer, loud, level.voice))
            }
            Detections::TYPE => {
                let unknown = detections::attach(buffer, read(value)?, self.origin)?;
                self.passed_over = self.passed_over.saturating_add(unknown);
                true
            }
            CustomMeta::TYPE => self.custom(buffer, &read(value)?)?,
            SerializedMeta::TYPE => match late::deserialize(buffer, value, has_entry) {
                late::Deserialized::Added => true,
                late::Deserialized::PassedOver => false,
                late::Deserialized::Corrupt => {
                    return Err("GStreamer cannot read one of its metas".to_owned());
                }
            },
            // Private: not for GStreamer.
            _ => true,
        };
        if !done {
            self.passed_over = self.passed_over.saturating_add(1);
        }
        Ok(())
    }

    fn structure(&mut self, text: &str) -> Result<gst::Structure, String> {
        self.structures = self.structures.checked_sub(1).ok_or("it has too many structures")?;
        let read = structure::read(text)?;
        self.passed_over = self.passed_over.saturating_add(read.left_out);
        Ok(read.structure)
    }

    fn region(&mut self, buffer: &mut gst::BufferRef, region: &Region) -> Result<bool, String> {
        let params: Vec<_> =
            region.params.iter().map(|text| self.structure(text)).collect::<Result<_, _>>()?;
        if !admit_name(&region.kind) {
            return Err("the type of a region is too long, or one too many".to_owned());
        }
        let seen = |start: u32, len: u32, origin: u32| {
            let before = origin.saturating_sub(start);
            (before == 0 || before < len).then(|| (start.saturating_sub(origin), len.saturating_sub(before)))
        };
        let (Some((x, width)), Some((y, height))) =
            (seen(region.x, region.width, self.origin.0), seen(region.y, region.height, self.origin.1))
        else {
            // It is in a part of the picture that is not delivered.
            return Ok(true);
        };
        let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer, &region.kind, (x, y, width, height));
        meta.set_id(region.id);
        meta.set_parent_id(region.parent_id);
        for param in params {
            meta.add_param(param);
        }
        Ok(true)
    }

    fn reference_timestamp(
        &mut self,
        buffer: &mut gst::BufferRef,
        time: &ReferenceTimestamp,
    ) -> Result<bool, String> {
        let caps = structure::read_caps(&time.reference)?;
        let timestamp = clock_time(time.timestamp).ok_or("a reference timestamp is no time")?;
        let info = time.info.as_deref().map(|text| self.structure(text)).transpose()?;
        let mut meta =
            gst::ReferenceTimestampMeta::add(buffer, &caps, timestamp, time.duration.and_then(clock_time));
        Ok(info.is_none_or(|info| late::set_reference_info(&mut meta, info)))
    }

    fn custom(&mut self, buffer: &mut gst::BufferRef, custom: &CustomMeta) -> Result<bool, String> {
        let fields = self.structure(&custom.structure)?;
        if !late::is_custom_meta(&custom.name) {
            return Ok(false);
        }
        let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, &custom.name) else { return Ok(false) };
        let structure = meta.mut_structure();
        for (name, value) in fields.iter() {
            structure.set_value(name, value.clone());
        }
        Ok(true)
    }
}

fn time_code(buffer: &mut gst::BufferRef, code: &TimeCode) -> Result<bool, String> {
    let wrong = || "its time code is none".to_owned();
    let number = |number: u32| i32::try_from(number).map_err(|_| wrong());
    let (numerator, denominator) = (number(code.fps.0)?, number(code.fps.1)?);
    if denominator == 0 || numerator == 0 {
        return Err(wrong());
    }
    let jam =
        code.daily_jam.map(|(microseconds, east)| jam(microseconds, east).ok_or_else(wrong)).transpose()?;
    let flags = gst_video::VideoTimeCodeFlags::from_bits_truncate(code.flags);
    let code = gst_video::VideoTimeCode::new(
        gst::Fraction::new(numerator, denominator),
        jam.as_ref(),
        flags,
        code.hours,
        code.minutes,
        code.seconds,
        code.frames,
        code.field_count,
    );
    let valid = gst_video::ValidVideoTimeCode::try_from(code).map_err(|_| wrong())?;
    gst_video::VideoTimeCodeMeta::add(buffer, &valid);
    Ok(true)
}

/// A moment, in a zone so many seconds east of UTC.
fn jam(microseconds: i64, east: i32) -> Option<glib::DateTime> {
    const DAY: i32 = 24 * 3600;
    let whole = glib::DateTime::from_unix_utc(microseconds.div_euclid(1_000_000)).ok()?;
    let moment = whole.add(glib::TimeSpan::from_microseconds(microseconds.rem_euclid(1_000_000))).ok()?;
    if east <= -DAY || east >= DAY {
        return None;
    }
    let (sign, seconds) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs());
    let zone = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    moment.to_timezone(&glib::TimeZone::new(Some(&zone))).ok()
}

fn caption(buffer: &mut gst::BufferRef, caption: &Caption) -> bool {
    let known = (1..=4).contains(&caption.kind) && !caption.data.is_empty();
    if known {
        let kind = caption_type(caption.kind);
        gst_video::VideoCaptionMeta::add(buffer, kind, &caption.data);
    }
    known
}

fn caption_type(kind: u32) -> gst_video::VideoCaptionType {
    match kind {
        1 => gst_video::VideoCaptionType::Cea608Raw,
        2 => gst_video::VideoCaptionType::Cea608S3341a,
        3 => gst_video::VideoCaptionType::Cea708Raw,
        _ => gst_video::VideoCaptionType::Cea708Cdp,
    }
}

fn active_format(buffer: &mut gst::BufferRef, format: &ActiveFormat) -> bool {
    match *format {
        ActiveFormat::Afd { field, spec, code } => {
            let (Ok(field), Ok(spec), Ok(code)) =
                (u8::try_from(field), i32::try_from(spec), i32::try_from(code))
            else {
                return false;
            };
            late::add_afd(buffer, field, spec, code)
        }
        ActiveFormat::Bars { field, is_letterbox, first, second } => u8::try_from(field)
            .is_ok_and(|field| late::add_bars(buffer, field, is_letterbox, (first, second))),
        _ => false,
    }
}
