//! Each kind of meta there and back, in one process and through `gst-launch-1.0`.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer_video as gst_video;

use gst::prelude::*;

use super::{both, travel};
use crate::support::pipelines::buffer;
use crate::support::{Topic, until};

#[test]
fn regions_arrive_with_their_parameters_and_change_with_each_frame() {
    let topic = Topic::new();
    let both = both(&topic);
    for number in 0..4_u32 {
        let detection = gst::Structure::builder("detection")
            .field("confidence", 0.5_f64 + f64::from(number) / 10.0)
            .field("label", "traffic \"light\" \u{e4}")
            .field(
                "inner",
                gst::Structure::builder("box").field("corners", gst::Array::new([1, 2, 3])).build(),
            )
            .build();
        let sample = travel(&both, number.into(), |fresh| {
            for n in 0..number {
                let place = (n, 2, 30 + number, 4);
                let mut region = gst_video::VideoRegionOfInterestMeta::add(fresh, "face", place);
                region.set_id(7 + n as i32);
                region.set_parent_id(-1);
                region.add_param(detection.clone());
            }
        });
        let found: Vec<_> = buffer(&sample).iter_meta::<gst_video::VideoRegionOfInterestMeta>().collect();
        assert_eq!(found.len(), number as usize);
        for (region, n) in found.iter().zip(0..) {
            assert_eq!(region.rect(), (n, 2, 30 + number, 4));
            assert_eq!((region.roi_type(), region.id(), region.parent_id()), ("face", 7 + n as i32, -1));
            assert!(region.params().eq([&*detection]));
        }
    }
    assert_eq!(both.0.stat("sink", "metas-left-out"), 0);
    assert_eq!(both.1.stat("src", "metas-passed-over"), 0);
}

#[test]
fn time_codes_captions_clocks_and_bars_arrive() {
    let topic = Topic::new();
    let both = both(&topic);
    let zone = glib::TimeZone::new(Some("+01:30"));
    let jam = glib::DateTime::new(&zone, 2024, 2, 29, 23, 59, 58.25).expect("a date");
    let drop = gst_video::VideoTimeCodeFlags::DROP_FRAME;
    let rate = gst::Fraction::new(30_000, 1001);
    let code: gst_video::ValidVideoTimeCode =
        gst_video::VideoTimeCode::new(rate, Some(&jam), drop, 10, 59, 59, 29, 0).try_into().expect("valid");
    let clock = gst::Caps::builder("timestamp/x-ptp").field("version", "IEEE1588-2008").build();
    let sample = travel(&both, 0, |fresh| {
        gst_video::VideoTimeCodeMeta::add(fresh, &code);
        gst_video::VideoCaptionMeta::add(fresh, gst_video::VideoCaptionType::Cea708Raw, &[0xfc, 0x94, 0x2c]);
        let (time, lasts) = (gst::ClockTime::from_seconds(1_700_000_000), gst::ClockTime::from_mseconds(40));
        gst::ReferenceTimestampMeta::add(fresh, &clock, time, lasts);
        gst::ReferenceTimestampMeta::add(fresh, &clock, time, None);
        let spec = gst_video::VideoAFDSpec::SmpteSt20161;
        gst_video::VideoAFDMeta::add(fresh, 0, spec, gst_video::VideoAFDValue::_43Full169Full);
        gst_video::VideoBarMeta::add(fresh, 1, true, 60, 1020);
    });
    let got = buffer(&sample);
    let found = got.meta::<gst_video::VideoTimeCodeMeta>().expect("a time code").tc();
    assert_eq!((found.clone(), found.fps(), found.flags()), (code, rate, drop));
    let found_jam = found.latest_daily_jam().expect("a moment");
    assert_eq!(
        (found_jam.to_unix(), found_jam.microsecond(), found_jam.utc_offset()),
        (jam.to_unix(), jam.microsecond(), jam.utc_offset())
    );
    let captions = got.meta::<gst_video::VideoCaptionMeta>().expect("captions");
    assert_eq!(captions.caption_type(), gst_video::VideoCaptionType::Cea708Raw);
    assert_eq!(captions.data(), [0xfc, 0x94, 0x2c]);
    let clocks: Vec<_> = got.iter_meta::<gst::ReferenceTimestampMeta>().collect();
    assert!(
        clocks
            .iter()
            .all(|time| time.reference_owned() == clock && time.timestamp().seconds() == 1_700_000_000)
    );
    let lasts: Vec<_> = clocks.iter().map(|time| time.duration().map(gst::ClockTime::mseconds)).collect();
    assert_eq!(lasts, [Some(40), None]);
    let afd = got.meta::<gst_video::VideoAFDMeta>().expect("an active format");
    assert_eq!(afd.spec(), gst_video::VideoAFDSpec::SmpteSt20161);
    assert_eq!(afd.afd(), gst_video::VideoAFDValue::_43Full169Full);
    let bars = got.meta::<gst_video::VideoBarMeta>().expect("bars");
    assert_eq!((bars.field(), bars.is_letterbox(), bars.bar_data1(), bars.bar_data2()), (1, true, 60, 1020));
    // A frame without any has none.
    let next = travel(&both, 1, |_| {});
    let others =
        buffer(&next).iter_meta::<gst::Meta>().filter(|meta| meta.api() != gst_video::VideoMeta::meta_api());
    assert_eq!(others.count(), 0);
}

#[test]
fn custom_metas_arrive_where_they_are_registered_and_a_megabyte_of_them_too() {
    let topic = Topic::new();
    let both = both(&topic);
    gst::meta::CustomMeta::register("shmflow-test-meta", &[]);
    let text = "x".repeat(1 << 20);
    for (number, len) in [(0, 10), (1, 1 << 20), (2, 10)] {
        let sample = travel(&both, number, |fresh| {
            let mut meta = gst::meta::CustomMeta::add(fresh, "shmflow-test-meta").expect("registered");
            let fields = meta.mut_structure();
            fields.set("text", &text[..len]);
            fields.set("count", len as u64);
        });
        let meta =
            gst::meta::CustomMeta::from_buffer(buffer(&sample), "shmflow-test-meta").expect("it is there");
        assert_eq!(meta.structure().get::<&str>("text"), Ok(&text[..len]));
        assert_eq!(meta.structure().get::<u64>("count"), Ok(len as u64));
        assert_eq!(meta.structure().n_fields(), 2);
    }
}

#[test]
fn what_a_part_that_was_cut_out_does_not_show_is_left_behind() {
    let topic = Topic::new();
    let both = both(&topic);
    let mut frame = gst::Buffer::from_slice(vec![1; 80 * 60]);
    let fresh = frame.get_mut().expect("new");
    let flags = gst_video::VideoFrameFlags::empty();
    gst_video::VideoMeta::add_full(fresh, flags, gst_video::VideoFormat::Gray8, 80, 60, &[0], &[80])
        .expect("added");
    gst_video::VideoCropMeta::add(fresh, (8, 4, 64, 48));
    gst_video::VideoRegionOfInterestMeta::add(fresh, "in", (18, 14, 10, 10));
    gst_video::VideoRegionOfInterestMeta::add(fresh, "edge", (0, 0, 16, 8));
    gst_video::VideoRegionOfInterestMeta::add(fresh, "out", (0, 0, 8, 8));
    both.0.push(&frame).expect("pushed");
    let sample = crate::support::pipelines::frame(&both.1);
    let found: Vec<_> = buffer(&sample)
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|region| (region.roi_type(), region.rect()))
        .collect();
    assert_eq!(found, [("in", (10, 10, 10, 10)), ("edge", (0, 0, 8, 4))]);
}

#[test]
fn what_has_no_form_outside_of_its_process_is_counted_and_told_once() {
    let topic = Topic::new();
    let both = both(&topic);
    for number in 0..3 {
        travel(&both, number, |fresh| {
            gst_video::VideoAffineTransformationMeta::add(fresh, None);
            gst::meta::ParentBufferMeta::add(fresh, &gst::Buffer::new());
        });
    }
    let told = both.0.wait_message("shmflow-meta-left-out");
    assert_eq!(told.get::<&str>("meta"), Ok("GstVideoAffineTransformationAPI"));
    until("they are counted", || both.0.stat("sink", "metas-left-out") == 3);
    let bus = both.0.pipeline.bus().expect("a pipeline has a bus");
    let again = bus.pop_filtered(&[gst::MessageType::Element]);
    assert!(again.is_none_or(|message| !message.has_name("shmflow-meta-left-out")));
}

#[test]
fn a_stream_whose_time_codes_change_is_described_once() {
    let topic = Topic::new();
    let both = both(&topic);
    let mut questions = 0;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let out = both.1.element("out").static_pad("sink").expect("it has one");
    let counter = std::sync::Arc::clone(&asked);
    out.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
        if info.query().is_some_and(|query| query.type_() == gst::QueryType::Allocation) {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    for number in 0..20 {
        travel(&both, number, |fresh| {
            let rate = gst::Fraction::new(30, 1);
            let flags = gst_video::VideoTimeCodeFlags::empty();
            let code = gst_video::VideoTimeCode::new(rate, None, flags, 0, 0, 0, number as u32, 0);
            gst_video::VideoTimeCodeMeta::add(fresh, &code.try_into().expect("valid"));
        });
        if number == 0 {
            questions = asked.load(std::sync::atomic::Ordering::Relaxed);
        }
    }
    assert_eq!(
        asked.load(std::sync::atomic::Ordering::Relaxed),
        questions,
        "nothing that it depends on changed"
    );
}
