//! Frames and buffers that say what is not true.

use gstreamer_video as gst_video;

use shmflow::meta::{Crop, Kind, Meta, Plane, VideoLayout};

use crate::support::child::Child;
use crate::support::{Running, Topic, pads, until};

fn layout(format: &str, size: (u32, u32), planes: &[(u64, i32)]) -> VideoLayout {
    let planes = planes.iter().map(|(offset, stride)| Plane { offset: *offset, stride: *stride });
    VideoLayout::new(format, size.0, size.1, planes).fps(30, 1)
}

#[test]
fn a_layout_that_leaves_its_payload_reaches_nobody() {
    let nv12 = "video/x-raw,format=NV12_64Z32,width=640,height=480,framerate=30/1";
    let palette = "video/x-raw,format=RGB8P,width=2048,height=2048,framerate=30/1";
    // More tiles than there are, fewer than the picture has, and a picture in one that is larger than the payload.
    let many = layout("NV12_64Z32", (640, 480), &[(0, 0x20_7fff), (327_680, 0x20_7fff)]);
    let few = layout("NV12_64Z32", (640, 480), &[(0, 0x1_0001), (327_680, 0x1_0001)]);
    let large = layout("RGB8P", (60_000, 60_000), &[(0, 2048), (0, 4)]);
    let crop = Crop { x: 0, y: 2000, width: 2048, height: 2048 };
    for (caps, video, crop, len) in
        [(nv12, many, None, 557_056), (nv12, few, None, 557_056), (palette, large, Some(crop), 4_195_328)]
    {
        let topic = Topic::new();
        let producer = shmflow::Producer::builder("video").dir(topic.dir()).open().expect("opens");
        let mut viewer =
            Child::launch(&format!("-m {} ! videoconvert ! fakesink sync=false", topic.src("is-live=false")));
        until("the viewer is there", || producer.consumer_count() == 1);
        let meta = Meta::new(Kind::Video).caps(caps).video(video).crop(crop);
        producer.write_with(&vec![0x55; len], &meta).expect("published");
        viewer.wait_for("shmflow-skipped");
        producer.end();
        viewer.wait().well();
    }
}

#[test]
fn a_cropped_buffer_that_is_smaller_than_it_says_is_an_error() {
    let topic = Topic::new();
    let producer = Running::playing(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=GRAY8,width=2048,height=2048,framerate=30/1 ! {}",
        topic.sink("sync=false")
    ));
    let mut buffer = pads::frame(1, 0);
    let fresh = buffer.get_mut().expect("new");
    let (flags, format) = (gst_video::VideoFrameFlags::empty(), gst_video::VideoFormat::Gray8);
    gst_video::VideoMeta::add_full(fresh, flags, format, 2048, 2049, &[0], &[2048]).expect("added");
    gst_video::VideoCropMeta::add(fresh, (0, 1, 2048, 2048));
    let _ = producer.push(&buffer);
    let error = producer.wait_error();
    assert!(error.contains("4096 bytes"), "{error}");
}
