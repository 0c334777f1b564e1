//! Planes of 8 bits, in place where the frame has them, and copied where it has something else.

use std::borrow::Cow;

use super::NoColours;
use crate::forms::{Element, View};

/// Rows of bytes, each `stride` after the one before it, the last one as long as all.
pub(super) struct Plane<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) stride: u32,
}

impl<'a> Plane<'a> {
    /// All channels of a view, which lies within `payload`. Deeper samples keep their upper 8 of `bits` bits.
    pub(super) fn of(payload: &'a [u8], view: &View, bits: u32) -> Result<Self, NoColours> {
        let rows = Rows::of(payload, view)?;
        let channels = view.shape.get(2).copied().unwrap_or(1).unsigned_abs();
        let samples = rows.columns * channels;
        if view.element == Element::U8
            && let Some(bytes) = rows.in_place(samples)
        {
            return Ok(Self { bytes: Cow::Borrowed(bytes), stride: number(rows.stride.unsigned_abs())? });
        }
        let mut bytes = Vec::with_capacity(rows.count * samples);
        for number in 0..rows.count {
            let row = rows.row(number, samples * view.element.size())?;
            match view.element {
                Element::U8 => bytes.extend_from_slice(row),
                Element::U16Le => bytes.extend(wide(row, u16::from_le_bytes, bits)),
                Element::U16Be => bytes.extend(wide(row, u16::from_be_bytes, bits)),
                Element::U32Le | Element::U32Be => return Err(NoColours::Unknown),
            }
        }
        Ok(Self { bytes: Cow::Owned(bytes), stride: number(samples)? })
    }

    /// One channel out of several: every `step`th byte of each row, from the byte `first`.
    pub(super) fn channel(
        &self,
        first: usize,
        step: usize,
        columns: usize,
    ) -> Result<Plane<'static>, NoColours> {
        let mut bytes = Vec::with_capacity(self.bytes.len() / step.max(1));
        for row in self.bytes.chunks(self.stride.max(1) as usize) {
            bytes.extend(row.iter().skip(first).step_by(step.max(1)).take(columns));
        }
        Ok(Plane { bytes: Cow::Owned(bytes), stride: number(columns)? })
    }

    /// Each sample as often as pixels share it, across and down, for a picture of this width and height. Rows of several fields
    /// take turns, and share samples with rows of their own field.
    pub(super) fn repeated(
        &self,
        (across, down): (usize, usize),
        fields: usize,
        (width, height): (usize, usize),
    ) -> Result<Plane<'static>, NoColours> {
        let mut bytes = Vec::with_capacity(width * height);
        let rows: Vec<&[u8]> = self.bytes.chunks(self.stride.max(1) as usize).collect();
        for row in 0..height {
            let shared = row / (fields * down) * fields + row % fields;
            // Of an odd number of rows the last one serves each field.
            let row = rows.get(shared).or(rows.last()).copied().unwrap_or_default();
            let row = row.get(..width.div_ceil(across)).ok_or_else(outside)?;
            bytes.extend(row.iter().flat_map(|sample| std::iter::repeat_n(*sample, across)).take(width));
        }
        Ok(Plane { bytes: Cow::Owned(bytes), stride: number(width)? })
    }
}

/// The rows of a view.
pub(super) struct Rows<'a> {
    payload: &'a [u8],
    offset: usize,
    pub(super) stride: isize,
    pub(super) count: usize,
    pub(super) columns: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn of(payload: &'a [u8], view: &View) -> Result<Self, NoColours> {
        match (view.shape.as_slice(), view.strides.as_slice()) {
            ([count, columns, ..], [stride, ..]) => Ok(Self {
                payload,
                offset: view.offset,
                stride: *stride,
                count: count.unsigned_abs(),
                columns: columns.unsigned_abs(),
            }),
            _ => Err(NoColours::Unknown),
        }
    }

    /// The bytes from the first row to the end of the last one's stride, if they lie there in this order.
    fn in_place(&self, row: usize) -> Option<&'a [u8]> {
        let stride = usize::try_from(self.stride).ok().filter(|stride| *stride >= row)?;
        self.payload.get(self.offset..self.offset.checked_add(stride.checked_mul(self.count)?)?)
    }

    /// All rows of so many bytes, if they follow each other.
    pub(super) fn without_gaps(&self, row: usize) -> Option<&'a [u8]> {
        self.in_place(row).filter(|all| all.len() == row * self.count)
    }

    pub(super) fn row(&self, number: usize, bytes: usize) -> Result<&'a [u8], NoColours> {
        let number = isize::try_from(number).map_err(|_| outside())?;
        let start = self.stride.checked_mul(number).and_then(|step| self.offset.checked_add_signed(step));
        let start = start.ok_or_else(outside)?;
        self.payload.get(start..start.saturating_add(bytes)).ok_or_else(outside)
    }
}

fn wide(row: &[u8], read: impl Fn([u8; 2]) -> u16, bits: u32) -> impl Iterator<Item = u8> {
    let shift = bits.saturating_sub(8);
    // As in numpy, samples that claim more bits than they have lose the upper ones.
    row.as_chunks::<2>().0.iter().map(move |sample| (read(*sample) >> shift) as u8)
}

pub(super) fn number(value: usize) -> Result<u32, NoColours> {
    u32::try_from(value).map_err(|_| outside())
}

/// Views are checked before they come here.
pub(super) fn outside() -> NoColours {
    NoColours::Failed("a plane exceeds its frame".into())
}
