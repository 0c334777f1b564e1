//! Two pixels in each cell: the upper one as the colour of a half block, the lower one as that behind it.

use std::io::Write;

use super::scale::Image;

pub(super) fn draw(out: &mut Vec<u8>, image: &Image) {
    for y in (0..image.height).step_by(2) {
        let mut before = None;
        for x in 0..image.width {
            let (upper, lower) = (image.at(x, y), image.at(x, (y + 1).min(image.height.saturating_sub(1))));
            if before != Some((upper, lower)) {
                let ([r, g, b], [s, h, c]) = (upper, lower);
                // Writing to a vector cannot fail.
                let _ = write!(out, "\x1b[38;2;{r};{g};{b};48;2;{s};{h};{c}m");
                before = Some((upper, lower));
            }
            out.extend_from_slice("▀".as_bytes());
        }
        out.extend_from_slice(b"\x1b[0m\x1b[K\r\n");
    }
}
