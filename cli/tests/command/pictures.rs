//! `grab`: frames as files.

use std::time::{Duration, Instant};

use shmflow::Producer;
use shmflow::meta::{AudioLayout, Crop, Kind, Meta, VideoLayout};

use crate::support::Dir;

/// A picture in which each byte tells where it is.
fn picture(
    dir: &Dir,
    topic: &str,
    format: &str,
    width: u32,
    height: u32,
    crop: Option<Crop>,
) -> (Producer, Vec<u8>) {
    let (layout, len) = VideoLayout::standard(format, width, height).unwrap();
    let bytes: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
    let mut meta = Meta::new(Kind::Video).video(layout).crop(crop);
    if let Some(crop) = crop {
        meta =
            meta.caps(format!("video/x-raw, format={format}, width={}, height={}", crop.width, crop.height));
    }
    let producer = Producer::builder(topic).dir(&dir.0).open().unwrap();
    producer.write_with(&bytes, &meta).unwrap();
    (producer, bytes)
}

/// Size, colour type, depth and values of a PNG.
pub(crate) fn read_png(bytes: &[u8]) -> (u32, u32, png::ColorType, png::BitDepth, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut values = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut values).unwrap();
    (info.width, info.height, info.color_type, info.bit_depth, values)
}

#[test]
fn a_png_is_exact_and_only_what_is_visible() {
    let dir = Dir::new();
    let path = dir.0.join("out.png");
    let grab = |topic: &str| {
        let ran = dir.run(&["grab", topic, path.to_str().unwrap()]);
        assert_eq!(ran.status(), 0, "{}", ran.err());
        read_png(&std::fs::read(&path).unwrap())
    };
    let (_rgb, bytes) = picture(&dir, "rgb", "RGB", 64, 48, None);
    assert_eq!(grab("rgb"), (64, 48, png::ColorType::Rgb, png::BitDepth::Eight, bytes));
    let (_bgrx, bytes) = picture(&dir, "bgrx", "BGRx", 64, 48, None);
    let swapped: Vec<u8> = bytes.chunks(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect();
    assert_eq!(grab("bgrx").4, swapped);
    let (_deep, bytes) = picture(&dir, "deep", "GRAY16_LE", 16, 8, None);
    let big_endian: Vec<u8> = bytes.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    assert_eq!(grab("deep"), (16, 8, png::ColorType::Grayscale, png::BitDepth::Sixteen, big_endian));
    let crop = Crop { x: 4, y: 2, width: 8, height: 4 };
    let (_cropped, bytes) = picture(&dir, "cropped", "RGBA", 16, 8, Some(crop));
    let rows: Vec<u8> = (2..6).flat_map(|row| bytes[row * 64 + 16..row * 64 + 48].to_vec()).collect();
    assert_eq!(grab("cropped"), (8, 4, png::ColorType::Rgba, png::BitDepth::Eight, rows));
}

#[test]
fn colours_of_video_become_red_green_and_blue() {
    let dir = Dir::new();
    let path = dir.0.join("out.png");
    let mut producers = Vec::new();
    for (format, fill) in [("I420", [81, 90, 240]), ("NV12", [81, 90, 240]), ("YUY2", [81, 90, 240])] {
        let (layout, len) = VideoLayout::standard(format, 32, 16).unwrap();
        let mut bytes = vec![fill[0]; len as usize];
        match format {
            "YUY2" => bytes
                .chunks_mut(4)
                .for_each(|four| four.copy_from_slice(&[fill[0], fill[1], fill[0], fill[2]])),
            "NV12" => bytes[32 * 16..].chunks_mut(2).for_each(|two| two.copy_from_slice(&fill[1..])),
            _ => {
                bytes[32 * 16..32 * 16 + 128].fill(fill[1]);
                bytes[32 * 16 + 128..].fill(fill[2]);
            }
        }
        let producer = Producer::builder(format).dir(&dir.0).open().unwrap();
        producer.write_with(&bytes, &Meta::new(Kind::Video).video(layout)).unwrap();
        assert_eq!(dir.run(&["grab", format, path.to_str().unwrap()]).status(), 0);
        let (.., values) = read_png(&std::fs::read(&path).unwrap());
        assert!(
            values.chunks(3).all(|rgb| rgb[0] >= 253 && rgb[1] <= 2 && rgb[2] <= 2),
            "{format}: {:?}",
            &values[..3]
        );
        producers.push(producer);
    }
    let jpeg = dir.0.join("out.jpg");
    assert_eq!(dir.run(&["grab", "I420", jpeg.to_str().unwrap()]).status(), 0);
    assert!(std::fs::read(&jpeg).unwrap().starts_with(b"\xff\xd8\xff"));
}

#[test]
fn arrays_and_raw_files_have_what_is_there() {
    let dir = Dir::new();
    let file = |topic: &str, ending: &str| {
        let path = dir.0.join(format!("{topic}.{ending}"));
        let ran = dir.run(&["grab", topic, path.to_str().unwrap(), "--json"]);
        assert_eq!(ran.status(), 0, "{}", ran.err());
        assert_eq!(ran.json()["format"], ending);
        std::fs::read(path).unwrap()
    };
    let array = |bytes: &[u8]| {
        assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
        let len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert!((10 + len).is_multiple_of(64));
        let header = std::str::from_utf8(&bytes[10..10 + len]).unwrap().trim().to_owned();
        (header, bytes[10 + len..].to_vec())
    };
    let (_rgb, bytes) = picture(&dir, "rgb", "BGRx", 8, 4, None);
    let (header, data) = array(&file("rgb", "npy"));
    assert_eq!(header, "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 8, 4), }");
    assert_eq!(data, bytes);
    let (_i420, bytes) = picture(&dir, "i420", "I420", 16, 8, None);
    let (header, data) = array(&file("i420", "npy"));
    assert!(header.contains("'shape': (12, 16)") && data.len() == 192, "{header}");
    // Without the padding of its rows.
    let (_odd, bytes_of_odd) = picture(&dir, "odd", "I420", 10, 4, None);
    let raw = file("odd", "raw");
    assert_eq!((raw.len(), &raw[..10], &raw[10..12]), (60, &bytes_of_odd[..10], &bytes_of_odd[12..14]));
    assert_eq!(data[..16], bytes[..16]);
    let sound = Producer::builder("sound").dir(&dir.0).open().unwrap();
    let meta = Meta::new(Kind::Audio).audio(AudioLayout::new("S16LE", 48_000, 2, 3));
    sound.write_with(&[9; 12], &meta).unwrap();
    let (header, data) = array(&file("sound", "npy"));
    assert!(header.contains("'<i2'") && header.contains("(3, 2)") && data == [9; 12], "{header}");
}

#[test]
fn a_jpeg_frame_is_a_file_already() {
    let dir = Dir::new();
    let write = |topic: &str, bytes: &[u8]| {
        let producer = Producer::builder(topic).dir(&dir.0).open().unwrap();
        let caps = "image/jpeg, width=(int)4, height=(int)2";
        producer.write_with(bytes, &Meta::new(Kind::Packet).caps(caps)).unwrap();
        producer
    };
    let file = b"\xff\xd8\xff\xe0 a JPEG \xff\xd9";
    let _camera = write("camera", file);
    let path = dir.0.join("out.jpg");
    let ran = dir.run(&["grab", "camera", path.to_str().unwrap()]);
    assert_eq!(ran.status(), 0, "{}", ran.err());
    assert_eq!(std::fs::read(&path).unwrap(), file);
    let ran = dir.run(&["grab", "camera", "-", "--format", "png"]);
    assert!(ran.status() == 1 && ran.err().contains(".jpg file can have one as it is"), "{}", ran.err());
    let _none = write("none", b"<script>");
    let ran = dir.run(&["grab", "none", "-", "--format", "jpg"]);
    assert!(ran.status() == 1 && ran.err().contains("frames are none"), "{}", ran.err());
}

#[test]
fn what_cannot_be_saved_so_is_told() {
    let dir = Dir::new();
    let path = dir.0.join("out");
    let path = path.to_str().unwrap();
    let bytes = dir.producer("bytes");
    bytes.write(b"payload").unwrap();
    let ran = dir.run(&["grab", "bytes", &format!("{path}.png")]);
    assert!(
        ran.status() == 1 && ran.err().contains("no raw picture") && ran.err().contains(".raw"),
        "{}",
        ran.err()
    );
    assert_eq!(dir.run(&["grab", "bytes", &format!("{path}.raw")]).status(), 0);
    assert_eq!(std::fs::read(format!("{path}.raw")).unwrap(), b"payload");
    assert_eq!(dir.run(&["grab", "bytes", "-", "--format", "raw"]).out(), "payload");
    assert!(dir.run(&["grab", "bytes", path]).err().contains("--format"));
    let (_iyu1, _) = picture(&dir, "iyu1", "IYU1", 48, 4, None);
    assert!(dir.run(&["grab", "iyu1", &format!("{path}.png")]).err().contains("IYU1"));
    assert_eq!(dir.run(&["grab", "iyu1", &format!("{path}.raw")]).status(), 0);
    assert!(dir.run(&["grab", "iyu1", "/nowhere/x.raw"]).err().contains("cannot write /nowhere/x.raw"));
    assert_eq!(dir.run(&["grab", "none", &format!("{path}.raw")]).status(), 3);
    let _empty = dir.producer("empty");
    let ran = dir.run(&["grab", "empty", &format!("{path}.raw"), "--timeout", "0.05"]);
    assert!(ran.status() == 1 && ran.err().contains("timed out"), "{}", ran.err());
    // A disk that is full leaves no half of a file.
    assert!(dir.run(&["grab", "bytes", "/dev/full", "--format", "raw"]).err().contains("No space left"));
}

#[test]
fn a_frame_is_saved_at_once() {
    let dir = Dir::new();
    let (_producer, _) = picture(&dir, "hd", "I420", 1920, 1080, None);
    let path = dir.0.join("hd.jpg");
    let start = Instant::now();
    assert_eq!(dir.run(&["grab", "hd", path.to_str().unwrap()]).status(), 0);
    // 50 ms with an optimised build on a machine with nothing else to do: `docs/cli.md` has what was measured.
    assert!(start.elapsed() < Duration::from_secs(5));
}
