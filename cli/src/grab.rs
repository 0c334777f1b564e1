//! `shmflow grab`: the newest frame as a file.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use shmflow::meta::{AudioView, MetaView};
use shmflow::{Consumer, ConsumerBuilder, Delivery, Error, Frame, StartAt};

use crate::outcome::{Failure, Outcome};
use crate::picture::{self, Form, Model, Picture, Pixels, Values};
use crate::text;
use shmflow::meta::Content;

/// Save the newest frame as a picture or an array, or as it is
///
/// The ending of the file's name says what is written: .png, .jpg, .npy or .raw. Of a
/// picture the visible part is taken. PNG is exact for gray and for red, green and blue, of
/// 8 to 16 bits; other colours are converted. A JPEG frame is saved as .jpg as it is. An
/// array (.npy) has the pixels as they are: rows × columns, × values where there are
/// several; of I420, YV12, NV12 and NV21 (with even sizes) the rows of all planes one after
/// the other, as OpenCV takes them; of sound samples × channels. A .raw file has the rows
/// of each plane without padding, or the payload of what is no picture.
///
/// Waits for a frame if there is none yet. Frames are taken as a consumer that no lossless
/// producer waits for, or, without permission for that, as a read-only one.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow grab cam0 now.png
  shmflow grab cam0 - --format jpg | feh -"
)]
pub(crate) struct Grab {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// The file to write, or - for the standard output
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// What to write, instead of what the file's name says
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Quality of a JPEG, 1 to 100
    #[arg(long, default_value = "90", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Seconds to wait for a frame
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = crate::args::seconds)]
    timeout: Duration,
    /// Say what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Png,
    Jpg,
    Npy,
    Raw,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Npy => "npy",
            Self::Raw => "raw",
        }
    }

    fn of(path: &Path) -> Result<Self, Failure> {
        let ending =
            path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "png" => Ok(Self::Png),
            "jpg" | "jpeg" => Ok(Self::Jpg),
            "npy" => Ok(Self::Npy),
            "raw" => Ok(Self::Raw),
            _ => Err(Failure::Other(format!(
                "what to write to {} is not known: end its name with .png, .jpg, .npy or .raw, or give --format",
                path.display()
            ))),
        }
    }
}

/// Opens a topic to look at its newest frames.
pub(crate) fn consumer(topic: &str, dir: Option<&Path>, name: &str) -> Result<Consumer, Error> {
    consumer_with(topic, dir, |builder| {
        let builder = builder.name(name).start(StartAt::Newest);
        builder.on_lapped(shmflow::OnLapped::Newest).delivery(Delivery::Latest)
    })
}

/// Opens a topic with these settings; without permission for that as one that only reads.
pub(crate) fn consumer_with(
    topic: &str,
    dir: Option<&Path>,
    settings: impl Fn(ConsumerBuilder) -> ConsumerBuilder,
) -> Result<Consumer, Error> {
    let builder = || {
        let builder = settings(Consumer::builder(topic)).prefault(false);
        match dir {
            Some(dir) => builder.dir(dir),
            None => builder,
        }
    };
    match builder().open() {
        Err(Error::PermissionDenied { .. } | Error::ForeignOwner { .. }) => {
            builder().read_only(true).allow_foreign_owner(true).open()
        }
        opened => opened,
    }
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Grab) -> Result<Outcome, Failure> {
    let format = args.format.map_or_else(|| Format::of(&args.to), Ok)?;
    let mut consumer = consumer(&args.topic, dir, "shmflow grab")?;
    let frame = consumer.recv_timeout(args.timeout)?;
    let bytes = frame.to_vec();
    let block = frame.meta_bytes();
    let (seq, len) = (frame.seq(), bytes.len());
    // The slot is the producers' again while the picture is made.
    drop((frame, consumer));
    let refuse =
        |why: String| Failure::Other(format!("frame {seq} of topic `{}`: {why}", text::safe(&args.topic)));
    let meta = MetaView::parse(&block).map_err(|error| refuse(error.to_string()))?;
    let file = encode(&meta, &bytes, format, args.quality).map_err(refuse)?;
    if args.to.as_os_str() == "-" {
        out.write_all(&file)?;
        return Ok(Outcome::Done);
    }
    save(&args.to, &file)?;
    if args.json {
        let written = json!({
            "topic": args.topic, "seq": seq, "payload_bytes": len, "file": args.to.to_string_lossy(),
            "format": format.name(), "file_bytes": file.len(),
        });
        writeln!(out, "{written}")?;
    } else {
        let (path, size) = (args.to.display(), text::bytes(file.len() as u64));
        writeln!(out, "{path}: frame {} of {}, {size}", text::count(seq), text::safe(&args.topic))?;
    }
    Ok(Outcome::Done)
}

/// Writes a file; none stays that is not whole.
fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Other(format!("cannot write {}: {error}", path.display()));
    let mut file = fs::File::create(path).map_err(failed)?;
    if let Err(error) = file.write_all(bytes) {
        if fs::metadata(path).is_ok_and(|status| status.is_file()) {
            let _ = fs::remove_file(path);
        }
        return Err(failed(error));
    }
    Ok(())
}

fn encode(meta: &MetaView<'_>, bytes: &[u8], format: Format, quality: u8) -> Result<Vec<u8>, String> {
    if let (Format::Npy, Some(audio)) = (format, meta.audio()) {
        return sound(audio, bytes);
    }
    if format == Format::Jpg && picture::is_jpeg(meta) {
        return picture::jpeg_file(bytes).map(<[u8]>::to_vec);
    }
    if meta.video().is_none() {
        return match format {
            Format::Raw => Ok(bytes.to_vec()),
            Format::Png if picture::is_jpeg(meta) => Err(
                "its pictures are JPEG files, and are not decoded here; a .jpg file can have one as it is"
                    .into(),
            ),
            _ => Err("it holds no raw picture; a .raw file can have it as it is".into()),
        };
    }
    let picture = Picture::new(meta, bytes)?;
    match format {
        Format::Raw => picture.raw(),
        Format::Npy => array(&picture),
        Format::Png => png(&picture.pixels()?),
        Format::Jpg => picture::jpeg(&picture.pixels()?, quality),
    }
}

fn png(pixels: &Pixels) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, pixels.width, pixels.height);
    encoder.set_color(match pixels.channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    // Whoever wants small files compresses them at leisure.
    encoder.set_compression(png::Compression::Fastest);
    let data = match &pixels.values {
        Values::Bytes(bytes) => bytes.clone(),
        Values::Words(words) => {
            encoder.set_depth(png::BitDepth::Sixteen);
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        }
    };
    let failed = |error: png::EncodingError| format!("it cannot be a PNG: {error}");
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&data).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

/// A picture as an array, without any conversion.
fn array(picture: &Picture<'_>) -> Result<Vec<u8>, String> {
    let (width, height) = picture.size();
    let form = Form::of(&picture.format);
    if let Some(form) = &form
        && let Some(values) = form.packed()
    {
        let shape = match values {
            1 => vec![height, width],
            _ => vec![height, width, u32::try_from(values).unwrap_or(u32::MAX)],
        };
        let kind = match (form.bytes, form.big_endian) {
            (1, _) => "|u1",
            (_, false) => "<u2",
            (_, true) => ">u2",
        };
        return Ok(npy(kind, &shape, &picture.raw()?));
    }
    let planes = matches!(picture.format.as_str(), "I420" | "YV12" | "NV12" | "NV21");
    if planes && width.is_multiple_of(2) && height.is_multiple_of(2) {
        return Ok(npy("|u1", &[height / 2 * 3, width], &picture.raw()?));
    }
    if let Some(form) = &form
        && form.model != Model::Gray
        && form.components.iter().all(|one| one.step == 1 && (one.shift_x, one.shift_y) == (0, 0))
    {
        let kind = match (form.bytes, form.big_endian) {
            (1, _) => "|u1",
            (_, false) => "<u2",
            (_, true) => ">u2",
        };
        let planes = u32::try_from(form.components.len()).unwrap_or(u32::MAX);
        return Ok(npy(kind, &[planes, height, width], &picture.raw()?));
    }
    Err(format!(
        "pictures of format {} have no form as one array; .raw and .png can have them",
        picture.format
    ))
}

fn sound(audio: &AudioView<'_>, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let kind = match audio.format() {
        "S8" => "|i1",
        "U8" => "|u1",
        "S16LE" => "<i2",
        "S16BE" => ">i2",
        "U16LE" => "<u2",
        "U16BE" => ">u2",
        "S32LE" => "<i4",
        "S32BE" => ">i4",
        "U32LE" => "<u4",
        "U32BE" => ">u4",
        "F32LE" => "<f4",
        "F32BE" => ">f4",
        "F64LE" => "<f8",
        "F64BE" => ">f8",
        other => {
            return Err(format!("samples of format {other} have no form as an array; .raw can have them"));
        }
    };
    audio.fits(bytes.len()).map_err(|error| format!("its samples do not fit: {error}"))?;
    let layout = audio.to_layout();
    let samples = u32::try_from(layout.samples).map_err(|_| "it has too many samples")?;
    let size = kind.get(2..).and_then(|size| size.parse::<usize>().ok()).unwrap_or(1);
    let count = samples as usize;
    if layout.planes.is_empty() {
        let len = count.saturating_mul(layout.channels as usize).saturating_mul(size);
        let data = bytes.get(..len).ok_or("its samples do not fit")?;
        return Ok(npy(kind, &[samples, layout.channels], data));
    }
    // One channel after the other.
    let mut data = Vec::new();
    for plane in &layout.planes {
        let at = usize::try_from(*plane).unwrap_or(usize::MAX);
        let channel = bytes.get(at..).and_then(|rest| rest.get(..count.saturating_mul(size)));
        data.extend_from_slice(channel.ok_or("its samples do not fit")?);
    }
    Ok(npy(kind, &[layout.channels, samples], &data))
}

/// A file of NumPy's format 1.0.
fn npy(kind: &str, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let numbers: Vec<_> = shape.iter().map(u32::to_string).collect();
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", numbers.join(", "));
    // The data begin at a multiple of 64, after a line break.
    let before = 10;
    while !(before + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend_from_slice(&(header.len() as u16).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file
}

/// What a frame holds, for a line about it.
pub(crate) fn about(frame: &Frame) -> String {
    let block = frame.meta_bytes();
    MetaView::parse(&block)
        .map_or_else(|_| "unreadable metadata".to_owned(), |meta| Content::of(&meta).summary)
}
