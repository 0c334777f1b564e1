//! What detectors found in a frame.

use super::entry::{MetaEntry, Reader, Writer};
use super::error::MetaError;
use super::setters::setters;

const OBJECT: u32 = 1;
const CLASSIFICATION: u32 = 2;
const TRACK: u32 = 3;

/// What detectors found in a frame, and how the findings are related, as `GstAnalyticsRelationMeta` has it.
///
/// ```
/// use shmflow::meta::{Detections, Finding, Meta, Object, Relation};
///
/// let person = Finding::Object(Object::new("person", 0.9, 10, 20, 64, 128));
/// let face = Finding::Object(Object::new("face", 0.8, 30, 24, 20, 20));
/// let part = Relation { from: 1, to: 0, kind: Relation::IS_PART_OF };
/// let found = Detections::new(vec![person, face], vec![part]);
/// let meta = Meta::default().entry(&found)?;
/// assert_eq!(meta.entries::<Detections>().next(), Some(Ok(found)));
/// # Ok::<(), shmflow::meta::MetaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Detections {
    /// What was found. Relations name them by their index.
    pub findings: Vec<Finding>,
    /// How they are related. Circles are allowed: who follows relations has to count their steps.
    pub relations: Vec<Relation>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A box with something in it.
    Object(Object),
    /// What something may be: labels with scores. A relation says what.
    Classification(Vec<(String, f32)>),
    /// That something was found in other frames, too. A relation says what.
    Track(Track),
    /// Of a kind that this version has no name for.
    Other {
        /// Number of the kind.
        kind: u32,
        /// Its bytes.
        data: Vec<u8>,
    },
}

/// A box with something in it.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Object {
    /// What it is.
    pub label: String,
    /// How sure that is, 0 to 1.
    pub score: f32,
    /// Pixels left of the box, in the picture as its video layout has it.
    pub x: i32,
    /// Pixels above the box.
    pub y: i32,
    /// Width in pixels.
    pub width: i32,
    /// Height in pixels.
    pub height: i32,
    /// By how much the box is turned around its middle, in radians, clockwise.
    pub rotation: f32,
}

impl Object {
    /// A box that is not turned.
    #[must_use]
    pub fn new(label: impl Into<String>, score: f32, x: i32, y: i32, width: i32, height: i32) -> Self {
        Self { label: label.into(), score, x, y, width, height, rotation: 0.0 }
    }

    setters! {
        rotation: f32,
    }
}

/// One and the same thing in several frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Track {
    /// Its number, the same in each frame.
    pub id: u64,
    /// When it was seen first, in nanoseconds of the producer's stream.
    pub first_seen: Option<u64>,
    /// When it was seen last.
    pub last_seen: Option<u64>,
    /// It is not seen any more.
    pub lost: bool,
}

impl Track {
    /// A track of a number.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self { id, ..Self::default() }
    }

    setters! {
        first_seen: Option<u64>,
        last_seen: Option<u64>,
        lost: bool,
    }
}

/// How one finding is related to another. The numbers are those of `GstAnalyticsRelTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Relation {
    /// Index of the finding that has the relation.
    pub from: u32,
    /// Index of the finding that it has it with.
    pub to: u32,
    /// Bits: [`IS_PART_OF`](Self::IS_PART_OF) and the like.
    pub kind: u32,
}

impl Relation {
    /// It is a part of the other.
    pub const IS_PART_OF: u32 = 1 << 1;
    /// It contains the other.
    pub const CONTAINS: u32 = 1 << 2;
    /// It has to do with the other: an object with its classification or its track.
    pub const RELATES_TO: u32 = 1 << 3;
}

impl Detections {
    /// Findings and relations.
    #[must_use]
    pub fn new(findings: Vec<Finding>, relations: Vec<Relation>) -> Self {
        Self { findings, relations }
    }
}

impl Finding {
    fn kind(&self) -> u32 {
        match self {
            Self::Object(_) => OBJECT,
            Self::Classification(_) => CLASSIFICATION,
            Self::Track(_) => TRACK,
            Self::Other { kind, .. } => *kind,
        }
    }

    fn value(&self) -> Result<Vec<u8>, MetaError> {
        let writer = Writer::new(Detections::TYPE);
        let writer = match self {
            Self::Object(object) => {
                let place = writer.i32(object.x).i32(object.y).i32(object.width).i32(object.height);
                place.f32(object.rotation).f32(object.score).text(&object.label)?
            }
            Self::Classification(classes) => {
                let mut writer = writer.count(classes.len())?;
                for (_, score) in classes {
                    writer = writer.f32(*score);
                }
                for (label, _) in classes {
                    writer = writer.text(label)?;
                }
                writer
            }
            Self::Track(track) => {
                let present =
                    u32::from(track.first_seen.is_some()) | u32::from(track.last_seen.is_some()) << 1;
                let times = writer.u64(track.id).u64(track.first_seen.unwrap_or(0));
                times.u64(track.last_seen.unwrap_or(0)).u32(present).u32(track.lost.into())
            }
            Self::Other { data, .. } => writer.bytes(data),
        };
        let mut value = writer.finish();
        value.resize(value.len().next_multiple_of(8), 0);
        Ok(value)
    }

    fn read(kind: u32, value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Detections::TYPE, value);
        Ok(match kind {
            OBJECT => {
                let (x, y, width, height) = (reader.i32()?, reader.i32()?, reader.i32()?, reader.i32()?);
                let (rotation, score) = (reader.f32()?, reader.f32()?);
                let label = reader.text()?.to_owned();
                Self::Object(Object { label, score, x, y, width, height, rotation })
            }
            CLASSIFICATION => {
                // A score and the length of a label each.
                let count = reader.count(8)?;
                let scores: Vec<f32> = (0..count).map(|_| reader.f32()).collect::<Result<_, _>>()?;
                let labelled = scores.into_iter().map(|score| Ok((reader.text()?.to_owned(), score)));
                Self::Classification(labelled.collect::<Result<_, MetaError>>()?)
            }
            TRACK => {
                let (id, first, last) = (reader.u64()?, reader.u64()?, reader.u64()?);
                let (present, lost) = (reader.u32()?, reader.u32()? != 0);
                let (first_seen, last_seen) =
                    ((present & 1 != 0).then_some(first), (present & 2 != 0).then_some(last));
                Self::Track(Track { id, first_seen, last_seen, lost })
            }
            kind => Self::Other { kind, data: value.to_vec() },
        })
    }
}

impl MetaEntry for Detections {
    const TYPE: u16 = 15;

    fn to_value(&self) -> Result<Vec<u8>, MetaError> {
        let bad = |why| MetaError::BadEntry { ty: Self::TYPE, at: 0, why };
        let known = |index: u32| usize::try_from(index).is_ok_and(|index| index < self.findings.len());
        if !self.relations.iter().all(|relation| known(relation.from) && known(relation.to)) {
            return Err(bad(NO_SUCH_FINDING));
        }
        let counts = Writer::new(Self::TYPE).count(self.findings.len())?.count(self.relations.len())?;
        let mut writer = counts;
        for finding in &self.findings {
            let value = finding.value()?;
            writer = writer.u32(finding.kind()).count(value.len())?.bytes(&value);
        }
        for relation in &self.relations {
            writer = writer.u32(relation.from).u32(relation.to).u32(relation.kind).u32(0);
        }
        Ok(writer.finish())
    }

    fn from_value(value: &[u8]) -> Result<Self, MetaError> {
        let mut reader = Reader::new(Self::TYPE, value);
        let (findings, relations) = (reader.count(8)?, reader.count(16)?);
        let findings = (0..findings)
            .map(|_| {
                let (kind, len) = (reader.u32()?, reader.count(1)?);
                if !len.is_multiple_of(8) {
                    return Err(reader.bad("the length of a finding is not a multiple of 8"));
                }
                Finding::read(kind, reader.bytes(len)?)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let number = u32::try_from(findings.len()).unwrap_or(u32::MAX);
        let relations = (0..relations)
            .map(|_| {
                let relation = Relation { from: reader.u32()?, to: reader.u32()?, kind: reader.u32()? };
                reader.u32()?;
                let known = relation.from < number && relation.to < number;
                if known { Ok(relation) } else { Err(reader.bad(NO_SUCH_FINDING)) }
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { findings, relations })
    }
}

const NO_SUCH_FINDING: &str = "a relation names a finding that is not there";
