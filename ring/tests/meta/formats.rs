//! The table of formats against what GStreamer computes.

use std::collections::BTreeSet;
use std::fs;

use shmflow::meta::{Plane, VideoLayout, plane_extents};

/// A line of `video_formats.txt`; its first comment says how it is made.
struct Line<'a> {
    format: &'a str,
    width: u32,
    height: u32,
    planes: Vec<[u64; 4]>,
}

fn parse(line: &str) -> Line<'_> {
    let mut words = line.split(' ');
    let format = words.next().unwrap();
    let mut number = || words.next().unwrap().parse().unwrap();
    let (width, height) = (number(), number());
    let planes = words.map(|plane| {
        let numbers: Vec<u64> = plane.split(':').map(|number| number.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    });
    Line { format, width, height, planes: planes.collect() }
}

/// Two pixels of UYVP share five bytes. GStreamer lets a row of odd width end within the last five (and at width 3 with
/// fewer bytes than it reads itself); here it takes them whole.
fn ends_within_a_pair(line: &Line<'_>) -> bool {
    line.format == "UYVP" && line.width % 2 == 1
}

#[test]
fn every_format_of_gstreamer_has_the_planes_that_gstreamer_gives_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/video_formats.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut formats = BTreeSet::new();
    for line in text.lines() {
        let parsed = parse(line);
        formats.insert(parsed.format);
        let extents = plane_extents(parsed.format, parsed.width, parsed.height);
        let extents: Vec<_> = extents.unwrap_or_else(|| panic!("{line}: unknown")).collect();
        assert_eq!(extents.len(), parsed.planes.len(), "{line}");
        if ends_within_a_pair(&parsed) {
            continue;
        }
        for (extent, &[_, stride, rows, bytes]) in extents.iter().zip(&parsed.planes) {
            assert_eq!(u64::from(extent.rows), rows, "{line}");
            assert!(extent.row_bytes <= stride, "{line}: {} bytes in a row", extent.row_bytes);
            assert!(extent.row_bytes >= bytes, "{line}: {} bytes in a row", extent.row_bytes);
            // Not more than GStreamer's own rounding away from the stride it gives a packed picture.
            let rounding = if parsed.format == "v210" { 128 } else { 4 };
            assert!(stride - extent.row_bytes < rounding, "{line}: {} bytes in a row", extent.row_bytes);
        }
        let planes = parsed
            .planes
            .iter()
            .map(|&[offset, stride, ..]| Plane { offset, stride: stride.try_into().unwrap() });
        let layout = VideoLayout::new(parsed.format, parsed.width, parsed.height, planes);
        let size: u64 =
            parsed.planes.iter().map(|[offset, stride, rows, _]| offset + stride * rows).max().unwrap();
        assert_eq!(layout.fits(size.try_into().unwrap()), Ok(()), "{line}");
        assert!(layout.fits(0).is_err(), "{line}");
    }
    assert_eq!(formats.len(), 104, "formats in video_formats.txt");
}

#[test]
fn the_standard_layout_of_every_format_is_that_of_gstreamer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/video_formats.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut compared = 0;
    for line in text.lines() {
        let parsed = parse(line);
        // Odd rows of these were too short before GStreamer 1.24, with which the file was not made.
        if ["UYVP", "Y210", "Y212_LE", "Y212_BE"].contains(&parsed.format) && parsed.width % 2 == 1 {
            continue;
        }
        let (layout, size) = VideoLayout::standard(parsed.format, parsed.width, parsed.height).unwrap();
        let planes: Vec<_> =
            layout.planes.iter().map(|p| (p.offset, u64::try_from(p.stride).unwrap())).collect();
        let expected: Vec<_> = parsed.planes.iter().map(|&[offset, stride, ..]| (offset, stride)).collect();
        assert_eq!(planes, expected, "{line}");
        let least =
            parsed.planes.iter().map(|[offset, stride, rows, _]| offset + stride * rows).max().unwrap();
        assert!(size >= least, "{line}: {size} bytes");
        assert_eq!(layout.fits(size.try_into().unwrap()), Ok(()), "{line}");
        compared += 1;
    }
    assert!(compared > 700, "{compared} layouts were compared");
}

#[test]
fn a_picture_that_cannot_be_laid_out_has_no_standard_layout() {
    for (format, width, height) in
        [("H264", 640, 480), ("BGR", 0, 480), ("BGR", 640, 0), ("BGRx", u32::MAX, 1), ("NV12", 16, u32::MAX)]
    {
        assert_eq!(VideoLayout::standard(format, width, height), None, "{format} {width}x{height}");
    }
}
