//! Sixel: six rows at a time, colour by colour. A cube of 6 × 6 × 6 colours, with a fixed pattern that mixes them.

use std::io::Write;

use super::scale::Image;

const LEVELS: u32 = 6;
const COLOURS: usize = 216;
/// Thresholds of an ordered dither, of 16.
const PATTERN: [[u32; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

pub(super) fn draw(out: &mut Vec<u8>, image: &Image) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "\x1bPq\"1;1;{};{}", image.width, image.height);
    for colour in 0..COLOURS as u32 {
        let percent = |step: u32| step * 100 / (LEVELS - 1);
        let (r, g, b) = (colour / 36, colour / 6 % 6, colour % 6);
        let _ = write!(out, "#{colour};2;{};{};{}", percent(r), percent(g), percent(b));
    }
    let width = image.width as usize;
    for top in (0..image.height).step_by(6) {
        let mut band = vec![0_u8; COLOURS * width];
        let mut used = [false; COLOURS];
        for row in 0..6.min(image.height - top) {
            for x in 0..image.width {
                let colour = nearest(image.at(x, top + row), x, top + row);
                if let Some(bits) = band.get_mut(colour * width + x as usize) {
                    *bits |= 1 << row;
                }
                if let Some(used) = used.get_mut(colour) {
                    *used = true;
                }
            }
        }
        for (colour, bits) in band.chunks(width.max(1)).enumerate() {
            if used.get(colour) == Some(&true) {
                let _ = write!(out, "#{colour}");
                line(out, bits);
                out.push(b'$');
            }
        }
        out.push(b'-');
    }
    out.extend_from_slice(b"\x1b\\");
}

fn nearest(rgb: [u8; 3], x: u32, y: u32) -> usize {
    let row = PATTERN.get(y as usize % 4).copied().unwrap_or_default();
    let threshold = row.get(x as usize % 4).copied().unwrap_or(0);
    let step =
        |value: u8| ((u32::from(value) * (LEVELS - 1) * 16 + threshold * 255) / (255 * 16)).min(LEVELS - 1);
    let [r, g, b] = rgb.map(step);
    (r * 36 + g * 6 + b) as usize
}

/// Six rows of one colour; what repeats is counted.
fn line(out: &mut Vec<u8>, bits: &[u8]) {
    for run in bits.chunk_by(|one, other| one == other) {
        let letter = run.first().copied().unwrap_or(0) + 63;
        match run.len() {
            ..=3 => run.iter().for_each(|_| out.push(letter)),
            count => {
                let _ = write!(out, "!{count}");
                out.push(letter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_told_colour_by_colour() {
        let image = Image { width: 5, height: 7, rgb: [255, 255, 255].repeat(35) };
        let mut out = Vec::new();
        draw(&mut out, &image);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("\x1bPq\"1;1;5;7#0;2;0;0;0#1;2;0;0;20"), "{text}");
        // Six rows of white, then one.
        assert!(text.ends_with("#215!5~$-#215!5@$-\x1b\\"), "{text}");
    }
}
