//! Whether a layout fits its payload, at the borders.

use proptest::prelude::*;
use shmflow::meta::{MetaError, Plane, PlaneExtent, VideoLayout};

use super::strategies::video;

fn layout(format: &str, width: u32, height: u32, planes: &[(u64, i32)]) -> VideoLayout {
    let planes = planes.iter().map(|&(offset, stride)| Plane { offset, stride });
    VideoLayout::new(format, width, height, planes).fps(25, 1)
}

#[test]
fn a_payload_that_is_one_byte_short_does_not_fit() {
    let nv12 = layout("NV12", 640, 480, &[(0, 640), (307_200, 640)]);
    assert_eq!(nv12.fits(460_800), Ok(()));
    let short = MetaError::OutsidePayload { plane: 1, needed: Some(460_800), have: 460_799 };
    assert_eq!(nv12.fits(460_799), Err(short));
}

#[test]
fn the_padding_of_the_last_row_need_not_be_there() {
    let cropped_right = layout("BGRx", 100, 10, &[(0, 512)]);
    assert_eq!(cropped_right.fits(9 * 512 + 400), Ok(()));
    assert!(cropped_right.fits(9 * 512 + 399).is_err());
}

#[test]
fn rows_that_lie_bottom_up_fit_if_the_last_one_does_not_start_before_the_payload() {
    assert_eq!(layout("BGR", 4, 3, &[(24, -12)]).fits(36), Ok(()));
    let before = MetaError::OutsidePayload { plane: 0, needed: None, have: 36 };
    assert_eq!(layout("BGR", 4, 3, &[(23, -12)]).fits(36), Err(before));
    assert!(layout("BGR", 4, 3, &[(25, -12)]).fits(36).is_err());
}

#[test]
fn rows_must_not_overlap() {
    let overlap = MetaError::Stride { plane: 0, stride: 11, row_bytes: 12 };
    assert_eq!(layout("BGR", 4, 3, &[(0, 11)]).fits(1000), Err(overlap));
    assert!(layout("BGR", 4, 3, &[(24, 0)]).fits(1000).is_err());
    // One row has no next one: its stride says nothing.
    assert_eq!(layout("BGR", 4, 1, &[(0, 0)]).fits(12), Ok(()));
}

#[test]
fn the_planes_must_be_those_of_the_format() {
    let error = layout("I420", 4, 4, &[(0, 4)]).fits(1000).unwrap_err();
    assert_eq!(error, MetaError::PlaneCount { format: "I420".into(), found: 1, expected: 3 });
    let error = layout("NV12_4L4", 4, 4, &[(0, 4), (16, 4)]).fits(1000).unwrap_err();
    assert_eq!(error, MetaError::UnknownFormat { format: "NV12_4L4".into() });
}

#[test]
fn a_format_that_only_the_caller_knows_is_checked_with_his_numbers() {
    let tiled = layout("NV12_4L4", 4, 4, &[(0, 16), (16, 16)]);
    let extents = [PlaneExtent { rows: 1, row_bytes: 16 }, PlaneExtent { rows: 1, row_bytes: 8 }];
    assert_eq!(tiled.fits_extents(extents.into_iter(), 24), Ok(()));
    assert!(tiled.fits_extents(extents.into_iter(), 23).is_err());
    assert!(tiled.fits_extents(extents.into_iter().take(1), 24).is_err());
}

#[test]
fn numbers_at_their_limits_do_not_overflow() {
    for offset in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        for stride in [i32::MIN, -1, 0, 1, i32::MAX] {
            for size in [1, 2, u32::MAX - 1, u32::MAX] {
                for format in ["GRAY8", "ARGB64", "v210"] {
                    let fits = layout(format, size, size, &[(offset, stride)]).fits(usize::MAX);
                    let possible = size <= 2 && offset < u64::MAX;
                    assert!(fits.is_err() || possible, "{format} {offset} {stride} {size}");
                }
            }
        }
    }
}

proptest! {
    /// `fits` grows with the payload: there is one smallest length, and it is what the error asks for.
    #[test]
    fn the_length_an_error_asks_for_is_nearer_to_fitting(layout in video(), len in 0..10_000_000_usize) {
        match layout.fits(len) {
            Ok(()) => prop_assert!(layout.fits(len + 1).is_ok()),
            Err(MetaError::OutsidePayload { plane, needed: Some(needed), .. }) => {
                prop_assert!(needed > len as u64);
                let enough = usize::try_from(needed).unwrap();
                match layout.fits(enough) {
                    Ok(()) => {}
                    Err(MetaError::OutsidePayload { plane: later, .. } | MetaError::Stride { plane: later, .. }) => {
                        prop_assert!(later > plane);
                    }
                    Err(other) => prop_assert!(false, "{other}"),
                }
            }
            Err(_) => {}
        }
    }
}
