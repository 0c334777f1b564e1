//! Formats that pack the values of pixels into words: several of ten bits each, mostly, across bytes.

use super::form::{Component, Form, Model, half_planar, packed, pairs};

/// How values lie one after the other in words of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// Of a word: eight at most.
    bytes: usize,
    big_endian: bool,
    /// The lowest bit of each value in a word, and how many it has.
    values: &'static [(u32, u32)],
}

/// Three of ten bits in four bytes, the first in the lowest.
const TENS: Words = Words { bytes: 4, big_endian: false, values: &[(0, 10), (10, 10), (20, 10)] };
/// The same, with two bits more.
const TENS_AND_TWO: Words =
    Words { bytes: 4, big_endian: false, values: &[(0, 10), (10, 10), (20, 10), (30, 2)] };
const FIVES: Words = word_of_host(&[(10, 5), (5, 5), (0, 5)]);
const FIVE_SIX_FIVE: Words = word_of_host(&[(11, 5), (5, 6), (0, 5)]);

/// Two bytes in the order of this machine, as GStreamer has it.
const fn word_of_host(values: &'static [(u32, u32)]) -> Words {
    Words { bytes: 2, big_endian: cfg!(target_endian = "big"), values }
}

/// The form of such a format.
pub(super) fn form(format: &str) -> Option<Form> {
    let (words, model, components): (_, _, Vec<Component>) = match format {
        "RGB15" | "BGR15" => (FIVES, Model::Rgb, packed(format.get(..3)?, "RGB")),
        "RGB16" | "BGR16" => (FIVE_SIX_FIVE, Model::Rgb, packed(format.get(..3)?, "RGB")),
        "r210" => {
            let values = &[(20, 10), (10, 10), (0, 10)];
            (Words { bytes: 4, big_endian: true, values }, Model::Rgb, packed("RGB", "RGB"))
        }
        "RGB10A2_LE" => (TENS_AND_TWO, Model::Rgb, packed("RGBA", "RGBA")),
        "BGR10A2_LE" => (TENS_AND_TWO, Model::Rgb, packed("BGRA", "RGBA")),
        "Y410" => (TENS_AND_TWO, Model::Yuv, packed("UYVA", "YUVA")),
        "v210" => (TENS, Model::Yuv, pairs("UYVY")),
        "UYVP" => {
            let values = &[(30, 10), (20, 10), (10, 10), (0, 10)];
            (Words { bytes: 5, big_endian: true, values }, Model::Yuv, pairs("UYVY"))
        }
        "GRAY10_LE32" => (TENS, Model::Gray, packed("Y", "Y")),
        "NV12_10LE32" => (TENS, Model::Yuv, half_planar(0, 1, 1)),
        "NV16_10LE32" => (TENS, Model::Yuv, half_planar(0, 1, 0)),
        "NV12_10LE40" => {
            let values = &[(0, 10), (10, 10), (20, 10), (30, 10)];
            (Words { bytes: 5, big_endian: false, values }, Model::Yuv, half_planar(0, 1, 1))
        }
        _ => return None,
    };
    let (bytes, depth) = if words.bytes == 2 { (1, 8) } else { (2, 10) };
    Some(Form { model, components, bytes, depth, shift: 0, big_endian: false, words: Some(words) })
}

impl Words {
    /// Where the word of a value ends, in bytes.
    #[cfg(test)]
    pub(super) fn end(&self, number: usize) -> usize {
        (number / self.values.len() + 1) * self.bytes
    }

    /// A value of a row by its number, with `depth` bits. What is beyond the row is 0.
    pub(super) fn value(&self, row: &[u8], number: usize, depth: u32) -> u16 {
        let count = self.values.len().max(1);
        let Some((shift, bits)) = self.values.get(number % count).copied() else { return 0 };
        let from = row.get(number / count * self.bytes..).unwrap_or_default();
        // The last word of a row may be cut after its last value.
        let mut bytes = [0; 8];
        for (place, byte) in (0..self.bytes).zip(from) {
            let place = if self.big_endian { self.bytes - 1 - place } else { place };
            if let Some(there) = bytes.get_mut(place) {
                *there = *byte;
            }
        }
        let value = u64::from_le_bytes(bytes) >> shift & ((1 << bits) - 1);
        widened(value as u16, bits, depth)
    }
}

/// A value of more bits: the highest is the highest.
fn widened(value: u16, bits: u32, depth: u32) -> u16 {
    let mut wide = value << depth.saturating_sub(bits);
    let mut filled = bits.max(1);
    while filled < depth {
        wide |= wide >> filled;
        filled *= 2;
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the first pixels of a row, by component.
    fn read(format: &str, row: &[u8], pixels: usize) -> Vec<Vec<u16>> {
        let form = form(format).unwrap();
        let words = form.words.unwrap();
        let value = |one: &Component, x: usize| {
            words.value(row, one.offset + one.step * (x >> one.shift_x), form.depth)
        };
        form.components.iter().map(|one| (0..pixels).map(|x| value(one, x)).collect()).collect()
    }

    #[test]
    fn values_are_where_the_formats_have_them() {
        let word = |bits: u16| bits.to_ne_bytes();
        assert_eq!(read("RGB16", &word(16 << 11 | 32 << 5 | 31), 1), [[132], [130], [255]]);
        assert_eq!(read("BGR16", &word(16 << 11 | 32 << 5 | 31), 1), [[255], [130], [132]]);
        assert_eq!(read("RGB15", &word(16 << 10 | 1 << 5 | 31), 1), [[132], [8], [255]]);
        assert_eq!(read("BGR15", &word(1 << 15 | 16 << 10 | 1 << 5 | 31), 1), [[255], [8], [132]]);
        let tens = |a: u32, b: u32, c: u32, d: u32| a | b << 10 | c << 20 | d << 30;
        assert_eq!(read("r210", &tens(3, 2, 1, 3).to_be_bytes(), 1), [[1], [2], [3]]);
        assert_eq!(read("RGB10A2_LE", &tens(1, 2, 3, 1).to_le_bytes(), 1), [[1], [2], [3], [341]]);
        assert_eq!(read("BGR10A2_LE", &tens(3, 2, 1, 3).to_le_bytes(), 1), [[1], [2], [3], [1023]]);
        assert_eq!(read("Y410", &tens(2, 1, 3, 0).to_le_bytes(), 1), [[1], [2], [3], [0]]);
        let six: Vec<_> = [tens(1, 2, 3, 0), tens(4, 5, 6, 0), tens(7, 8, 9, 0), tens(10, 11, 12, 0)]
            .map(u32::to_le_bytes)
            .concat();
        let v210 = read("v210", &six, 6);
        assert_eq!(v210, [[2, 4, 6, 8, 10, 12], [1, 1, 5, 5, 9, 9], [3, 3, 7, 7, 11, 11]]);
        assert_eq!(read("GRAY10_LE32", &six, 4), [[1, 2, 3, 4]]);
        let five = (1_u64 << 30 | 2 << 20 | 3 << 10 | 4).to_be_bytes();
        assert_eq!(read("UYVP", &five[3..], 2), [[2, 4], [1, 1], [3, 3]]);
        let five = (1_u64 | 2 << 10 | 3 << 20 | 4 << 30).to_le_bytes();
        assert_eq!(read("NV12_10LE40", &five[..5], 4)[0], [1, 2, 3, 4]);
    }

    #[test]
    fn a_row_that_is_cut_has_what_is_there() {
        // The first pixel of two: 30 bits.
        let four = (1_u64 << 30 | 2 << 20 | 3 << 10).to_be_bytes();
        assert_eq!(read("UYVP", &four[3..7], 1), [[2], [1], [3]]);
        assert_eq!(read("v210", &[], 1), [[0], [0], [0]]);
    }
}
