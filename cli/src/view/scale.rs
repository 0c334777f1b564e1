//! Pictures of the size that a terminal has room for.

use crate::picture::Pixels;

/// Red, green and blue, row by row.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgb: Vec<u8>,
}

impl Image {
    pub(super) fn of(pixels: &Pixels) -> Self {
        Self { width: pixels.width, height: pixels.height, rgb: pixels.to_rgb8() }
    }

    pub(super) fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let at =
            (y as usize).saturating_mul(self.width as usize).saturating_add(x as usize).saturating_mul(3);
        self.rgb.get(at..).and_then(<[u8]>::first_chunk::<3>).copied().unwrap_or_default()
    }

    /// The same in another size. Where several pixels become one, it is the mean of up to nine of them.
    pub(super) fn scaled(&self, (width, height): (u32, u32)) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        let place = |at: u32, part: u32, size: u32, full: u32| {
            // The middle of each third of what becomes one pixel.
            let at = (u64::from(at) * 6 + u64::from(part) * 2 + 1) * u64::from(full) / (u64::from(size) * 6);
            u32::try_from(at).unwrap_or(0).min(full.saturating_sub(1))
        };
        for y in 0..height {
            for x in 0..width {
                let mut sums = [0_u32; 3];
                for part in 0..9 {
                    let from = self
                        .at(place(x, part % 3, width, self.width), place(y, part / 3, height, self.height));
                    for (sum, value) in sums.iter_mut().zip(from) {
                        *sum += u32::from(value);
                    }
                }
                rgb.extend(sums.map(|sum| ((sum + 4) / 9) as u8));
            }
        }
        Self { width, height, rgb }
    }
}

/// Columns and rows of cells that a picture takes in a room of so many, keeping its shape. A cell has so many pixels.
pub(super) fn fit(image: &Image, room: (u32, u32), cell: (u32, u32)) -> (u32, u32) {
    let (width, height) = (f64::from(image.width.max(1)), f64::from(image.height.max(1)));
    let (room_x, room_y) = (f64::from(room.0 * cell.0), f64::from(room.1 * cell.1));
    let scale = (room_x / width).min(room_y / height);
    let cells = |pixels: f64, cell: u32, most: u32| {
        ((pixels * scale / f64::from(cell.max(1))) as u32).clamp(1, most.max(1))
    };
    (cells(width, cell.0, room.0), cells(height, cell.1, room.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_shape_and_its_colours() {
        let rgb = (0..64 * 48).flat_map(|at| if at % 64 < 32 { [255, 0, 0] } else { [0, 0, 255] }).collect();
        let image = Image { width: 64, height: 48, rgb };
        assert_eq!(fit(&image, (80, 23), (8, 16)), (61, 23));
        assert_eq!(fit(&image, (10, 100), (8, 16)), (10, 3));
        assert_eq!(fit(&image, (1, 1), (8, 16)), (1, 1));
        let small = image.scaled((4, 2));
        assert_eq!(
            (small.at(0, 0), small.at(1, 1), small.at(2, 0), small.at(3, 1)),
            ([255, 0, 0], [255, 0, 0], [0, 0, 255], [0, 0, 255])
        );
        assert_eq!(image.scaled((200, 100)).rgb.len(), 200 * 100 * 3);
    }
}
