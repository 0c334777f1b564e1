//! Reads a recording, whole or cut off.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mcap::records::{Record, op};
use mcap::sans_io::indexed_reader::{IndexedReadEvent, IndexedReader, IndexedReaderOptions, ReadOrder};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};
use mcap::{McapError, Summary};

use crate::record::message::Recorded;
use crate::record::schema::Schema;

/// No record is longer; a damaged length is not believed.
const LONGEST: u64 = 1 << 32;

/// A frame on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    /// Nanoseconds since 1970.
    pub(super) log_time: u64,
    pub(super) frame: Recorded<'a>,
    /// How much of the file was read.
    pub(super) read: u64,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// The file ends in the middle of a record.
    CutOff,
    /// The reader was told to stop.
    Stopped,
}

/// A recording.
#[derive(Debug)]
pub(super) struct Recording {
    file: File,
    name: String,
    pub(super) len: u64,
    /// The index, unless the recording was cut off.
    summary: Option<Summary>,
}

#[derive(Debug)]
enum Channel {
    Frames {
        topic: String,
        schema: Schema,
    },
    /// Not of `shmflow record`.
    Foreign,
}

impl Recording {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let shown = name.clone();
        let cannot = |error: std::io::Error| format!("cannot read {shown}: {error}");
        let mut file = File::open(path).map_err(cannot)?;
        let len = file.metadata().map_err(cannot)?.len();
        let mut magic = [0; 8];
        let read = file.read(&mut magic).map_err(cannot)?;
        if magic.get(..read) != mcap::MAGIC.get(..read) || read == 0 {
            return Err(format!("{name} is no MCAP file"));
        }
        let mut recording = Self { file, name, len, summary: None };
        recording.summary = recording.read_summary().map_err(|error| recording.cannot(&error))?;
        Ok(recording)
    }

    /// `None` if there is none, or a damaged one: then the file is read without.
    fn read_summary(&mut self) -> std::io::Result<Option<Summary>> {
        let limit = usize::try_from(self.len.min(LONGEST)).unwrap_or(usize::MAX);
        let options =
            SummaryReaderOptions::default().with_file_size(self.len).with_record_length_limit(limit);
        let mut reader = SummaryReader::new_with_options(options);
        loop {
            match reader.next_event() {
                None => return Ok(reader.finish()),
                Some(Err(_)) => return Ok(None),
                Some(Ok(SummaryReadEvent::SeekRequest(to))) => {
                    let at = self.file.seek(to)?;
                    reader.notify_seeked(at);
                }
                Some(Ok(SummaryReadEvent::ReadRequest(wanted))) => {
                    let read = self.file.read(reader.insert(wanted))?;
                    reader.notify_read(read);
                }
            }
        }
    }

    /// Log time of the first message and of the last, if the index has them.
    pub(super) fn times(&self) -> Option<(u64, u64)> {
        let statistics = self.summary.as_ref()?.stats.as_ref()?;
        (statistics.message_count != 0)
            .then_some((statistics.message_start_time, statistics.message_end_time))
    }

    /// Whether it says at its end what is in it.
    pub(super) fn has_index(&self) -> bool {
        self.summary.is_some()
    }

    /// The topics, as far as the index has them.
    pub(super) fn topics(&self) -> Vec<String> {
        let channels = self.summary.iter().flat_map(|summary| summary.channels.values());
        let ours = channels
            .filter(|channel| channel.schema.as_ref().is_some_and(|one| Schema::named(&one.name).is_some()));
        let mut topics: Vec<_> = ours.map(|channel| channel.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// Hands over the frames in the order in which they were logged, from those logged at `from` on if a time is given. Of a file
    /// without an index they come in the order in which they were written.
    pub(super) fn read<B>(
        &mut self,
        from: Option<u64>,
        take: impl FnMut(&Message<'_>) -> ControlFlow<B>,
    ) -> Result<(End, Option<B>), String> {
        match self.summary.take_if(|summary| !summary.chunk_indexes.is_empty()) {
            None => self.read_as_written(from, take),
            Some(summary) => {
                let result = self.read_as_logged(&summary, from, take);
                self.summary = Some(summary);
                result
            }
        }
    }

    fn read_as_logged<B>(
        &mut self,
        summary: &Summary,
        from: Option<u64>,
        mut take: impl FnMut(&Message<'_>) -> ControlFlow<B>,
    ) -> Result<(End, Option<B>), String> {
        let limit = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let mut options =
            IndexedReaderOptions::new().with_order(ReadOrder::LogTime).with_record_length_limit(limit);
        if let Some(from) = from {
            options = options.starting_at(from);
        }
        let mut reader = IndexedReader::new_with_options(summary, options)
            .map_err(|error| format!("the index of {} is damaged: {error}", self.name))?;
        let channels = channels_of(summary);
        let (mut chunk, mut read) = (Vec::new(), 0);
        while let Some(event) = reader.next_event() {
            match event.map_err(|error| self.damaged(&error, read))? {
                IndexedReadEvent::ReadChunkRequest { offset, length } => {
                    // Before memory is taken for it.
                    let end = offset.checked_add(length as u64).filter(|end| *end <= self.len);
                    if end.is_none() {
                        return Err(format!(
                            "the index of {} is damaged: it is longer than the file",
                            self.name
                        ));
                    }
                    chunk.resize(length, 0);
                    self.file.read_exact_at(&mut chunk, offset).map_err(|error| self.cannot(&error))?;
                    read = (read + length as u64).min(self.len);
                    if !self.is_sound(&chunk, offset)? {
                        return Err(format!(
                            "{} is damaged near byte {offset}: a checksum is wrong",
                            self.name
                        ));
                    }
                    let inserted = reader.insert_chunk_record_data(offset, &chunk);
                    inserted.map_err(|error| self.damaged(&error, offset))?;
                }
                IndexedReadEvent::Message { header, data } => {
                    let Some(Channel::Frames { topic, schema }) = channels.get(&header.channel_id) else {
                        continue;
                    };
                    // What another program wrote in this schema has no metadata of ours.
                    let Some(frame) = Recorded::read(*schema, data) else { continue };
                    let message = Message { topic, log_time: header.log_time, frame, read };
                    if let ControlFlow::Break(result) = take(&message) {
                        return Ok((End::Stopped, Some(result)));
                    }
                }
            }
        }
        Ok((End::Whole, None))
    }

    /// Whether the records of a chunk, which begin here, have the checksum of its header, if that has one.
    fn is_sound(&self, records: &[u8], at: u64) -> Result<bool, String> {
        // Checksum, length of the compression's name, length of the records: see `CHUNK_HEADER` of `record::file`.
        let mut header = [0; 16];
        let place = at.saturating_sub(header.len() as u64);
        self.file.read_exact_at(&mut header, place).map_err(|error| self.cannot(&error))?;
        let [a, b, c, d, compression @ ..] = header;
        let (wanted, is_plain) = (u32::from_le_bytes([a, b, c, d]), compression.starts_with(&[0; 4]));
        Ok(wanted == 0 || !is_plain || crc32fast::hash(records) == wanted)
    }

    fn read_as_written<B>(
        &mut self,
        from: Option<u64>,
        mut take: impl FnMut(&Message<'_>) -> ControlFlow<B>,
    ) -> Result<(End, Option<B>), String> {
        // Longer than the file is a record that was cut off. No memory is taken for more than there is.
        let limit = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let options =
            LinearReaderOptions::default().with_record_length_limit(limit).with_validate_chunk_crcs(true);
        let mut reader = LinearReader::new_with_options(options);
        let (mut schemas, mut channels) = (HashMap::new(), HashMap::new());
        let mut read = self.file.seek(SeekFrom::Start(0)).map_err(|error| self.cannot(&error))?;
        while let Some(event) = reader.next_event() {
            let record = match event {
                Ok(LinearReadEvent::ReadRequest(wanted)) => {
                    let left = usize::try_from(self.len.saturating_sub(read)).unwrap_or(usize::MAX);
                    let wanted = wanted.min(left.max(1));
                    let got = self.file.read(reader.insert(wanted)).map_err(|error| self.cannot(&error))?;
                    reader.notify_read(got);
                    read += got as u64;
                    continue;
                }
                Ok(LinearReadEvent::Record { opcode, data }) => (opcode, data),
                Err(error) => return self.ended(&error, read).map(|end| (end, None)),
            };
            // Others are not looked at.
            let (opcode @ (op::SCHEMA | op::CHANNEL | op::MESSAGE), data) = record else { continue };
            let record = mcap::parse_record(opcode, data).map_err(|error| self.damaged(&error, read))?;
            match record {
                Record::Schema { header, .. } => {
                    schemas.insert(header.id, header.name);
                }
                Record::Channel(channel) => {
                    let schema =
                        schemas.get(&channel.schema_id).and_then(|name: &String| Schema::named(name));
                    let ours = schema.filter(|_| channel.message_encoding == "protobuf");
                    let topic = channel.topic;
                    let found = ours.map_or(Channel::Foreign, |schema| Channel::Frames { topic, schema });
                    channels.insert(channel.id, found);
                }
                Record::Message { header, data } => {
                    let Some(Channel::Frames { topic, schema }) = channels.get(&header.channel_id) else {
                        continue;
                    };
                    if from.is_some_and(|from| header.log_time < from) {
                        continue;
                    }
                    // What another program wrote in this schema has no metadata of ours.
                    let Some(frame) = Recorded::read(*schema, &data) else { continue };
                    let message = Message { topic, log_time: header.log_time, frame, read };
                    if let ControlFlow::Break(result) = take(&message) {
                        return Ok((End::Stopped, Some(result)));
                    }
                }
                _ => {}
            }
        }
        Ok((End::Whole, None))
    }

    fn ended(&self, error: &McapError, read: u64) -> Result<End, String> {
        match error {
            McapError::UnexpectedEof | McapError::UnexpectedEoc if read >= self.len => Ok(End::CutOff),
            // A record that says to be longer than the file.
            error => Err(self.damaged(error, read)),
        }
    }

    fn cannot(&self, error: &std::io::Error) -> String {
        format!("cannot read {}: {error}", self.name)
    }

    fn damaged(&self, error: &McapError, read: u64) -> String {
        format!("{} is damaged near byte {read}: {error}", self.name)
    }
}

/// The channels of an index.
fn channels_of(summary: &Summary) -> HashMap<u16, Channel> {
    let channel = |channel: &mcap::Channel<'_>| {
        let schema = channel.schema.as_ref().and_then(|schema| Schema::named(&schema.name));
        let ours = schema.filter(|_| channel.message_encoding == "protobuf");
        let topic = channel.topic.clone();
        ours.map_or(Channel::Foreign, |schema| Channel::Frames { topic, schema })
    };
    summary.channels.values().map(|one| (one.id, channel(one))).collect()
}
