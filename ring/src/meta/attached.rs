//! What GStreamer hangs on a buffer as metas, as values: one type for each kind of entry.

use super::entry::{MetaEntry, Reader, Writer};
use super::error::MetaError;
use super::setters::setters;

/// A rectangle of a picture in which there is something, as `GstVideoRegionOfInterestMeta` has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Region {
    /// What is there, for example `face`.
    pub kind: String,
    /// Pixels left of the region, in the picture as its video layout has it.
    pub x: u32,
    /// Pixels above the region.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of this region among those of the frame; 0 or −1 if it has none.
    pub id: i32,
    /// `id` of the region that this one is a part of.
    pub parent_id: i32,
    /// More about it, each as the text of a `GstStructure`: `detection, confidence=(double)0.9`.
    pub params: Vec<String>,
}

impl Region {
    /// A region without a number and parameters.
    #[must_use]
    pub fn new(kind: impl Into<String>, x: u32, y: u32, width: u32, height: u32) -> Self {
        Self { kind: kind.into(), x, y, width, height, ..Self::default() }
    }

    setters! {
        id: i32,
        parent_id: i32,
        params: Vec<String>,
    }
}

impl MetaEntry for Region {
    const TYPE: u16 = 5;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        let numbers = Writer::new(Self::TYPE).u32(self.x).u32(self.y).u32(self.width).u32(self.height);
        let mut value = numbers.i32(self.id).i32(self.parent_id).count(self.params.len())?.u32(0);
        value = value.text(&self.kind)?;
        for param in &self.params {
            value = value.text(param)?;
        }
        Ok(value.finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let (x, y, width, height) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let (id, parent_id) = (reader.i32()?, reader.i32()?);
        let count = reader.count(4)?;
        reader.u32()?;
        let kind = reader.text()?.to_owned();
        let params = (0..count).map(|_| reader.text().map(str::to_owned)).collect::<Result<_, _>>()?;
        Ok(Self { kind, x, y, width, height, id, parent_id, params })
    }
}

/// A time code (SMPTE 12M), as `GstVideoTimeCode` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct TimeCode {
    /// Frames per second, as numerator and denominator.
    pub fps: (u32, u32),
    /// Bit 0: frame numbers are dropped; bit 1: interlaced.
    pub flags: u32,
    /// Hours, less than 24.
    pub hours: u32,
    /// Minutes.
    pub minutes: u32,
    /// Seconds.
    pub seconds: u32,
    /// Frame within the second.
    pub frames: u32,
    /// Field of an interlaced frame, 1 or 2; 0 otherwise.
    pub field_count: u32,
    /// When the time code was 00:00:00:00 last: microseconds since 1970 (UTC), and seconds that its zone is east of UTC.
    pub daily_jam: Option<(i64, i32)>,
}

impl TimeCode {
    /// A time code at this number of frames per second.
    #[must_use]
    pub fn new(fps: (u32, u32), hours: u32, minutes: u32, seconds: u32, frames: u32) -> Self {
        Self { fps, hours, minutes, seconds, frames, ..Self::default() }
    }

    setters! {
        flags: u32,
        field_count: u32,
        daily_jam: Option<(i64, i32)>,
    }
}

impl MetaEntry for TimeCode {
    const TYPE: u16 = 6;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        let (jam_us, jam_offset) = self.daily_jam.unwrap_or((0, 0));
        let rate = Writer::new(Self::TYPE).u32(self.fps.0).u32(self.fps.1).u32(self.flags);
        let time = rate.u32(self.hours).u32(self.minutes).u32(self.seconds).u32(self.frames);
        let jam = time.u32(self.field_count).u64(jam_us.cast_unsigned()).i32(jam_offset);
        Ok(jam.u32(self.daily_jam.is_some().into()).finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let fps = (reader.u32()?, reader.u32()?);
        let flags = reader.u32()?;
        let (hours, minutes, seconds, frames) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let field_count = reader.u32()?;
        let jam = (reader.u64()?.cast_signed(), reader.i32()?);
        let daily_jam = (reader.u32()? != 0).then_some(jam);
        Ok(Self { fps, flags, hours, minutes, seconds, frames, field_count, daily_jam })
    }
}

/// Closed captions of a frame, as `GstVideoCaptionMeta` has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Caption {
    /// What the bytes are: 1 CEA-608, 2 CEA-608 in S334-1A, 3 CEA-708 (cc_data), 4 CEA-708 (CDP).
    pub kind: u32,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Caption {
    /// Captions of a kind.
    #[must_use]
    pub fn new(kind: u32, data: impl Into<Vec<u8>>) -> Self {
        Self { kind, data: data.into() }
    }
}

impl MetaEntry for Caption {
    const TYPE: u16 = 7;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        Ok(Writer::new(Self::TYPE).u32(self.kind).u32(0).bytes(&self.data).finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let kind = reader.u32()?;
        reader.u32()?;
        Ok(Self { kind, data: reader.rest().to_vec() })
    }
}

/// A time of the frame on a clock that caps name, as `GstReferenceTimestampMeta` has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct ReferenceTimestamp {
    /// Caps that name the clock: `timestamp/x-ntp`.
    pub reference: String,
    /// The time, in nanoseconds.
    pub timestamp: u64,
    /// How long the frame lasts by that clock, in nanoseconds.
    pub duration: Option<u64>,
    /// More about the clock, as the text of a `GstStructure` (GStreamer 1.28).
    pub info: Option<String>,
}

impl ReferenceTimestamp {
    /// A time of the clock that these caps name.
    #[must_use]
    pub fn new(reference: impl Into<String>, timestamp: u64) -> Self {
        Self { reference: reference.into(), timestamp, ..Self::default() }
    }

    setters! {
        duration: Option<u64>,
        info: Option<String>,
    }
}

impl MetaEntry for ReferenceTimestamp {
    const TYPE: u16 = 8;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        let times = Writer::new(Self::TYPE).u64(self.timestamp).u64(self.duration.unwrap_or(0));
        let present = u32::from(self.duration.is_some()) | u32::from(self.info.is_some()) << 1;
        let mut value = times.u32(present).u32(0).text(&self.reference)?;
        if let Some(info) = &self.info {
            value = value.text(info)?;
        }
        Ok(value.finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let (timestamp, duration) = (reader.u64()?, reader.u64()?);
        let present = reader.u32()?;
        reader.u32()?;
        let reference = reader.text()?.to_owned();
        let info = if present & 2 != 0 { Some(reader.text()?.to_owned()) } else { None };
        Ok(Self { reference, timestamp, duration: (present & 1 != 0).then_some(duration), info })
    }
}

/// Which part of a broadcast picture is used, as `GstVideoAFDMeta` and `GstVideoBarMeta` have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActiveFormat {
    /// An active format description.
    Afd {
        /// 0: progressive, or the whole frame; 1 and 2: a field.
        field: u32,
        /// Which specification: 0 DVB (ETSI), 1 ATSC A/53, 2 SMPTE ST 2016-1.
        spec: u32,
        /// The code.
        code: u32,
    },
    /// Bars around the picture.
    Bars {
        /// As above.
        field: u32,
        /// Bars above and below; otherwise left and right.
        is_letterbox: bool,
        /// Last line of the top bar, or last pixel of the left one.
        first: u32,
        /// First line of the bottom bar, or first pixel of the right one.
        second: u32,
    },
}

impl ActiveFormat {
    /// An active format description.
    #[must_use]
    pub fn afd(field: u32, spec: u32, code: u32) -> Self {
        Self::Afd { field, spec, code }
    }

    /// Bars around the picture.
    #[must_use]
    pub fn bars(field: u32, is_letterbox: bool, first: u32, second: u32) -> Self {
        Self::Bars { field, is_letterbox, first, second }
    }
}

impl MetaEntry for ActiveFormat {
    const TYPE: u16 = 9;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        let (what, field, [a, b, c]) = match *self {
            Self::Afd { field, spec, code } => (0, field, [spec, code, 0]),
            Self::Bars { field, is_letterbox, first, second } => {
                (1, field, [is_letterbox.into(), first, second])
            }
        };
        Ok(Writer::new(Self::TYPE).u32(what).u32(field).u32(a).u32(b).u32(c).u32(0).finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let (what, field) = (reader.u32()?, reader.u32()?);
        let (a, b, c) = (reader.u32()?, reader.u32()?, reader.u32()?);
        reader.u32()?;
        match what {
            0 => Ok(Self::Afd { field, spec: a, code: b }),
            1 => Ok(Self::Bars { field, is_letterbox: a != 0, first: b, second: c }),
            _ => Err(reader.bad("it is neither an active format nor bars")),
        }
    }
}

/// How loud a buffer of sound is (RFC 6464), as `GstAudioLevelMeta` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct AudioLevel {
    /// −dBov, 0 to 127, which is silence.
    pub level: u32,
    /// Somebody speaks.
    pub voice: bool,
}

impl AudioLevel {
    /// A level.
    #[must_use]
    pub fn new(level: u32, voice: bool) -> Self {
        Self { level, voice }
    }
}

impl MetaEntry for AudioLevel {
    const TYPE: u16 = 12;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        Ok(Writer::new(Self::TYPE).u32(self.level).u32(self.voice.into()).finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        Ok(Self { level: reader.u32()?, voice: reader.u32()? != 0 })
    }
}

/// A meta that an application registered with `gst_meta_register_custom`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct CustomMeta {
    /// The name it was registered with.
    pub name: String,
    /// Its fields, as the text of a `GstStructure`.
    pub structure: String,
}

impl CustomMeta {
    /// A custom meta of a name.
    #[must_use]
    pub fn new(name: impl Into<String>, structure: impl Into<String>) -> Self {
        Self { name: name.into(), structure: structure.into() }
    }
}

impl MetaEntry for CustomMeta {
    const TYPE: u16 = 13;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        Ok(Writer::new(Self::TYPE).text(&self.name)?.text(&self.structure)?.finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        Ok(Self { name: reader.text()?.to_owned(), structure: reader.text()?.to_owned() })
    }
}

/// A meta as `gst_meta_serialize_simple` of GStreamer 1.24 and newer writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct SerializedMeta {
    /// GStreamer's bytes.
    pub data: Vec<u8>,
}

impl SerializedMeta {
    /// A meta that GStreamer wrote.
    #[must_use]
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into() }
    }
}

impl MetaEntry for SerializedMeta {
    const TYPE: u16 = 11;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        Ok(self.data.clone())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        Ok(Self::new(value))
    }
}

/// The newest tags of the stream: title, orientation and the like. They belong to the stream, not to the frame.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Tags {
    /// As the text of a `GstTagList`: `taglist, image-orientation=(string)rotate-90`.
    pub text: String,
    /// They are of all streams of the producer together, as those of a container; not of this one.
    pub is_global: bool,
}

impl Tags {
    /// Tags from text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_global: false }
    }

    setters! {
        is_global: bool,
    }
}

impl MetaEntry for Tags {
    const TYPE: u16 = 14;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        Ok(Writer::new(Self::TYPE).u32(self.is_global.into()).u32(0).text(&self.text)?.finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let is_global = reader.u32()? != 0;
        reader.u32()?;
        Ok(Self { text: reader.text()?.to_owned(), is_global })
    }
}
