//! From brightness and two colour differences to red, green and blue.

use super::form::Form;

/// How a stream's colours are coded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Colours {
    /// Share of red and of blue in the brightness.
    red: f32,
    blue: f32,
    /// Values use their whole range, and not 16 to 235 of 255.
    full: bool,
}

const BT601: (f32, f32) = (0.299, 0.114);
const BT709: (f32, f32) = (0.2126, 0.0722);
const SMPTE240: (f32, f32) = (0.212, 0.087);
const FCC: (f32, f32) = (0.30, 0.11);
const BT2020: (f32, f32) = (0.2627, 0.0593);

impl Colours {
    /// Those that the caps name, as GStreamer writes them: `bt709`, or `range:matrix:transfer:primaries`. Without: those of
    /// standard definition up to 576 rows, of high definition beyond. `height` is that of the caps, of both fields.
    pub(crate) fn of(colorimetry: Option<&str>, height: u32) -> Self {
        let usual = if height > 576 { BT709 } else { BT601 };
        let mut numbers = colorimetry.unwrap_or_default().split(':');
        let ((red, blue), full) = match (numbers.next(), numbers.next()) {
            (Some(range), Some(matrix)) => {
                let matrix = match matrix {
                    "2" => FCC,
                    "3" => BT709,
                    "4" => BT601,
                    "5" => SMPTE240,
                    "6" => BT2020,
                    _ => usual,
                };
                (matrix, range == "1")
            }
            (Some("bt601"), None) => (BT601, false),
            (Some("bt709"), None) => (BT709, false),
            (Some("smpte240m"), None) => (SMPTE240, false),
            (Some(name), None) if name.starts_with("bt2020") || name.starts_with("bt2100") => (BT2020, false),
            _ => (usual, false),
        };
        Self { red, blue, full }
    }

    /// Converts a row: three components become red, green and blue, of as many bits.
    pub(crate) fn convert(self, form: &Form, rows: &mut [Vec<u16>]) {
        let [ys, us, vs, ..] = rows else { return };
        let highest = ((1_u32 << form.depth) - 1) as f32;
        let unit = (1_u32 << form.depth.saturating_sub(8)) as f32;
        let (black, luma, chroma) = if self.full {
            (0.0, 1.0, 1.0)
        } else {
            (16.0 * unit, highest / (219.0 * unit), highest / (224.0 * unit))
        };
        let middle = 128.0 * unit;
        let green = 1.0 - self.red - self.blue;
        let (to_red, to_blue) = (2.0 * (1.0 - self.red) * chroma, 2.0 * (1.0 - self.blue) * chroma);
        let green_red = self.red / green * to_red;
        let green_blue = self.blue / green * to_blue;
        for ((y, u), v) in ys.iter_mut().zip(us).zip(vs) {
            let bright = (f32::from(*y) - black) * luma;
            let (blueness, redness) = (f32::from(*u) - middle, f32::from(*v) - middle);
            let bound = |value: f32| (value + 0.5).clamp(0.0, highest) as u16;
            *y = bound(bright + to_red * redness);
            *u = bound(bright - green_blue * blueness - green_red * redness);
            *v = bound(bright + to_blue * blueness);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(colours: Colours, format: &str, yuv: [u16; 3]) -> [u16; 3] {
        let mut rows = yuv.map(|value| vec![value]);
        colours.convert(&Form::of(format).unwrap(), &mut rows);
        rows.map(|row| row[0])
    }

    #[test]
    fn black_white_and_primary_colours_are_what_they_are() {
        let sd = Colours::of(None, 480);
        assert_eq!(converted(sd, "I420", [16, 128, 128]), [0, 0, 0]);
        assert_eq!(converted(sd, "I420", [235, 128, 128]), [255, 255, 255]);
        // The red of a test picture.
        let [r, g, b] = converted(sd, "I420", [81, 90, 240]);
        assert!(r >= 253 && g <= 2 && b <= 2, "{r} {g} {b}");
        let hd = Colours::of(Some("bt709"), 480);
        let [r, g, b] = converted(hd, "I420", [63, 102, 240]);
        assert!(r >= 253 && g <= 2 && b <= 2, "{r} {g} {b}");
        assert_eq!(Colours::of(None, 1080), hd);
    }

    #[test]
    fn more_bits_and_the_whole_range_reach_the_ends_too() {
        let wide = Colours::of(Some("bt2020-10"), 2160);
        assert_eq!(converted(wide, "P010_10LE", [940, 512, 512]), [1023, 1023, 1023]);
        let full = Colours::of(Some("1:4:0:1"), 480);
        assert_eq!(converted(full, "Y444", [255, 128, 128]), [255, 255, 255]);
        assert_eq!(converted(full, "Y444", [0, 128, 128]), [0, 0, 0]);
        let _ = converted(full, "Y444", [255, 255, 0]);
    }
}
