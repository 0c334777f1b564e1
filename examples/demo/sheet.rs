//! The contact sheet: what was sent beside what arrived.

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::frames::{THUMB_HEIGHT, THUMB_WIDTH};
use crate::{pipeline, video};

const PIXEL: usize = 4;
const GAP: usize = 8;
const HEADER: usize = 56;
/// Pairs side by side.
const COLUMNS: usize = 2;
const BACKGROUND: u8 = 0x20;
/// Times of one frame on both sides differ by less; those of two frames by more.
const SAME: u64 = 1_000_000;

/// Writes the sheet from the pictures in `work`; gives how many pairs it shows.
pub(crate) fn write(work: &Path, path: &Path) -> Result<usize> {
    let (sent, seen) = (pictures(work, "sent-")?, pictures(work, "seen-")?);
    let pairs: Vec<_> = sent
        .iter()
        .filter_map(|(time, sent)| {
            let (_, seen) = seen.iter().find(|(other, _)| time.abs_diff(*other) < SAME)?;
            Some((sent.as_slice(), seen.as_slice()))
        })
        .collect();
    if pairs.is_empty() {
        return Err("no frame was pictured on both sides".into());
    }
    let rows = pairs.len().div_ceil(COLUMNS);
    // Between the two of a pair there is half a gap, around pairs a whole one.
    let pair_width = 2 * THUMB_WIDTH + GAP / 2;
    let width = COLUMNS * (pair_width + 2 * GAP) + 2 * GAP;
    let height = HEADER + rows * (THUMB_HEIGHT + GAP) + GAP;
    let mut sheet = vec![BACKGROUND; width * height * PIXEL];
    for (index, (sent, seen)) in pairs.iter().enumerate() {
        let left = 2 * GAP + index % COLUMNS * (pair_width + 2 * GAP);
        let top = HEADER + index / COLUMNS * (THUMB_HEIGHT + GAP);
        paste(&mut sheet, width, left, top, sent);
        paste(&mut sheet, width, left + THUMB_WIDTH + GAP / 2, top, seen);
    }
    save(&sheet, width, height, work, path)?;
    Ok(pairs.len())
}

/// The small pictures of one side, by time.
fn pictures(work: &Path, prefix: &str) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(work)? {
        let entry = entry?;
        let name = entry.file_name();
        let time =
            name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(".bgrx")?.parse().ok());
        if let Some(time) = time {
            found.push((time, std::fs::read(entry.path())?));
        }
    }
    found.sort_unstable_by_key(|(time, _)| *time);
    Ok(found)
}

fn paste(sheet: &mut [u8], width: usize, left: usize, top: usize, picture: &[u8]) {
    let rows = sheet.chunks_exact_mut(width * PIXEL).skip(top);
    for (target, source) in rows.zip(picture.chunks_exact(THUMB_WIDTH * PIXEL)) {
        if let Some(target) = target.get_mut(left * PIXEL..(left + THUMB_WIDTH) * PIXEL) {
            target.copy_from_slice(source);
        }
    }
}

fn save(sheet: &[u8], width: usize, height: usize, work: &Path, path: &Path) -> Result<()> {
    let raw = work.join("sheet.bgrx");
    std::fs::write(&raw, sheet)?;
    let pipeline = pipeline::parse(&format!(
        "filesrc name=raw ! rawvideoparse format=bgrx width={width} height={height} framerate=1/1 ! videoconvert \
         ! textoverlay valignment=top halignment=left font-desc=\"Sans 9\" draw-shadow=false ypad=14 \
           text=\"left of each pair: what the producer sent      right: what the consumer, another process, saw\" \
         ! videoconvert ! pngenc ! filesink name=png"
    ))?;
    video::set_location(&pipeline, "raw", &raw)?;
    video::set_location(&pipeline, "png", path)?;
    pipeline::play(&pipeline, Duration::from_secs(30))?;
    std::fs::remove_file(&raw)?;
    Ok(())
}
