//! Pictures as JPEG, and frames of which there is none.

use shmflow::meta::{Kind, MetaView};

use super::{Form, Pixels, Values};
use shmflow::meta::Structure;

/// The pixels as a JPEG file.
pub(crate) fn jpeg(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, String> {
    let too_large = |_| "it is too large for a JPEG, which has 65535 × 65535 pixels at most".to_owned();
    let (width, height) =
        (u16::try_from(pixels.width).map_err(too_large)?, u16::try_from(pixels.height).map_err(too_large)?);
    let mut file = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut file, quality);
    let done = match (&pixels.values, pixels.channels) {
        (Values::Bytes(bytes), 1) => encoder.encode(bytes, width, height, jpeg_encoder::ColorType::Luma),
        (Values::Bytes(bytes), 3) => encoder.encode(bytes, width, height, jpeg_encoder::ColorType::Rgb),
        _ => encoder.encode(&pixels.to_rgb8(), width, height, jpeg_encoder::ColorType::Rgb),
    };
    done.map_err(|error| format!("it cannot be a JPEG: {error}"))?;
    Ok(file)
}

/// Whether frames are JPEG files already.
pub(crate) fn is_jpeg(meta: &MetaView<'_>) -> bool {
    meta.caps().is_some_and(|caps| Structure::parse(caps).name() == "image/jpeg")
}

/// A frame whose caps say JPEG, as a file, which it is already.
pub(crate) fn jpeg_file(bytes: &[u8]) -> Result<&[u8], String> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return Err("its caps say JPEG, and its frames are none".into());
    }
    Ok(bytes)
}

/// Why there is no picture in such frames, in one line; `None` if there is one.
pub(crate) fn missing(meta: &MetaView<'_>) -> Option<String> {
    if is_jpeg(meta) {
        return None;
    }
    if let Some(video) = meta.video() {
        let format = video.format();
        return Form::of(format)
            .is_none()
            .then(|| format!("pictures of format {format} cannot be converted here"));
    }
    let caps = meta.caps().map(Structure::parse);
    Some(match caps.map(|caps| caps.name()) {
        _ if meta.kind() == Kind::Audio => "it is sound".to_owned(),
        Some(name) if name.starts_with("audio/") => "it is sound".to_owned(),
        Some(name) if name.starts_with("video/") || name.starts_with("image/") => {
            format!("its pictures are encoded ({name}), and are not decoded here")
        }
        Some(name) => format!("{name} is no picture"),
        None => "its frames do not say that they are pictures".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmflow::meta::{AudioLayout, Meta, VideoLayout};

    #[test]
    fn what_has_no_picture_says_why() {
        let why = |meta: &Meta| missing(&MetaView::parse(&meta.to_vec().unwrap()).unwrap());
        let raw = |format| Meta::new(Kind::Video).video(VideoLayout::standard(format, 48, 4).unwrap().0);
        assert_eq!(why(&raw("I420")), None);
        assert_eq!(why(&raw("v210")), None);
        assert!(why(&raw("IYU1")).unwrap().contains("IYU1"));
        assert_eq!(why(&Meta::new(Kind::Packet).caps("image/jpeg, width=(int)4")), None);
        for (caps, says) in
            [("video/x-h264", "encoded (video/x-h264)"), ("audio/mpeg", "sound"), ("a/b, c=1", "a/b is no")]
        {
            assert!(why(&Meta::new(Kind::Packet).caps(caps)).unwrap().contains(says), "{caps}");
        }
        assert_eq!(
            why(&Meta::new(Kind::Audio).audio(AudioLayout::new("S16LE", 8000, 1, 1))).unwrap(),
            "it is sound"
        );
        assert!(why(&Meta::new(Kind::Bytes)).unwrap().contains("do not say"));
    }
}
