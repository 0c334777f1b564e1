//! An MCAP file that is being written, and can be read at any moment.
//!
//! The records are those of the crate `mcap`. Its `Writer` is not used: it takes each message in one piece, which costs a copy of
//! every frame, and the header of a chunk is complete only when the chunk is, so that a killed writer loses all of it.
//! Here each message is written from where it is, behind the end of the chunk, and then the chunk's header is made to
//! include it, by one write that lies within a page and so is done or not done. A message that was not finished is the end
//! of a file that was cut off, which readers know how to take.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Cursor, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use binrw::BinWrite;
use crc32fast::Hasher;
use mcap::records::{
    Channel, ChunkHeader, ChunkIndex, DataEnd, Footer, Header, MessageHeader, MessageIndex,
    MessageIndexEntry, Metadata, MetadataIndex, SchemaHeader, Statistics, SummaryOffset, op,
};

use super::schema::Schema;

/// A chunk is closed once it has so many bytes: large enough that there are few, small enough that a reader, which takes a chunk
/// at a time, needs little memory.
const CHUNK: u64 = 4 << 20;
/// Of a chunk in front of its records: opcode and length, then [`ChunkHeader`] without a compression.
const CHUNK_HEADER: u64 = 9 + 8 + 8 + 8 + 4 + 4 + 8;
/// A private record, which readers pass over.
const PADDING: u8 = 0x80;
const PAGE: u64 = 4096;

/// When a message was logged and published, and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) log_time: u64,
    pub(super) publish_time: u64,
    pub(super) sequence: u32,
}

/// The chunk that is being written.
#[derive(Debug)]
struct Chunk {
    start: u64,
    len: u64,
    times: (u64, u64),
    /// Of its records, where that is wanted.
    crc: Option<Hasher>,
    indexes: BTreeMap<u16, Vec<MessageIndexEntry>>,
}

/// A file, open for writing.
#[derive(Debug)]
pub(super) struct Mcap {
    file: File,
    /// Behind what is whole.
    end: u64,
    /// Each chunk has a checksum.
    checksums: bool,
    schemas: Vec<Schema>,
    channels: Vec<Channel>,
    ids: HashMap<(String, Schema), u16>,
    chunk: Option<Chunk>,
    chunks: Vec<ChunkIndex>,
    metadata: Vec<MetadataIndex>,
    statistics: Statistics,
}

impl Mcap {
    /// Begins a recording in an empty file.
    pub(super) fn new(file: File, checksums: bool) -> io::Result<Self> {
        let mut mcap = Self {
            file,
            end: 0,
            checksums,
            schemas: Vec::new(),
            channels: Vec::new(),
            ids: HashMap::new(),
            chunk: None,
            chunks: Vec::new(),
            metadata: Vec::new(),
            statistics: Statistics::default(),
        };
        let mut bytes = mcap::MAGIC.to_vec();
        let library = concat!("shmflow ", env!("CARGO_PKG_VERSION")).to_owned();
        put(&mut bytes, op::HEADER, &Header { profile: String::new(), library });
        mcap.append(&bytes, &[])?;
        Ok(mcap)
    }

    /// Bytes that are in the file.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// Log time of the first message, and of the last.
    pub(super) fn times(&self) -> Option<(u64, u64)> {
        let statistics = &self.statistics;
        (statistics.message_count != 0)
            .then_some((statistics.message_start_time, statistics.message_end_time))
    }

    /// Writes a message: `head` and, behind it, `payload`. After an error the file is as it was before.
    pub(super) fn write(
        &mut self,
        topic: &str,
        schema: Schema,
        stamp: Stamp,
        head: &[u8],
        payload: &[u8],
    ) -> io::Result<()> {
        let mut front = Vec::with_capacity(head.len() + 128);
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.begin_chunk(&mut front, stamp.log_time),
        };
        let before = (self.schemas.len(), self.channels.len());
        let channel_id = self.channel(&mut front, topic, schema)?;
        let at = (self.end + front.len() as u64).saturating_sub(chunk.start + CHUNK_HEADER);
        let header = MessageHeader {
            channel_id,
            sequence: stamp.sequence,
            log_time: stamp.log_time,
            publish_time: stamp.publish_time,
        };
        let body = encoded(&header);
        begin(&mut front, op::MESSAGE, (body.len() + head.len() + payload.len()) as u64);
        front.extend(body);
        front.extend(head);
        let times = (chunk.times.0.min(stamp.log_time), chunk.times.1.max(stamp.log_time));
        let end = self.end + (front.len() + payload.len()) as u64;
        let len = end.saturating_sub(chunk.start + CHUNK_HEADER);
        let mut crc = chunk.crc.clone();
        if let Some(crc) = &mut crc {
            // Without the header of a chunk that begins here.
            let begins =
                usize::try_from((chunk.start + CHUNK_HEADER).saturating_sub(self.end)).unwrap_or(usize::MAX);
            crc.update(front.get(begins..).unwrap_or_default());
            crc.update(payload);
        }
        let written = self
            .append(&front, payload)
            .and_then(|()| self.file.write_all_at(&chunk_header(times, len, crc.as_ref()), chunk.start));
        if let Err(error) = written {
            // What the file has of it is taken away, and what was said of it forgotten. A chunk that was only begun is gone, too.
            self.schemas.truncate(before.0);
            self.channels.truncate(before.1);
            self.ids.retain(|_, id| usize::from(*id) < before.1);
            let whole = if chunk.len == 0 { chunk.start } else { chunk.start + CHUNK_HEADER + chunk.len };
            self.end = self.end.min(whole);
            if chunk.len != 0 {
                // Where only the header could not be written it may say more than there is.
                let header = chunk_header(chunk.times, chunk.len, chunk.crc.as_ref());
                let _ = self.file.write_all_at(&header, chunk.start);
                self.chunk = Some(chunk);
            }
            self.cut();
            return Err(error);
        }
        (chunk.times, chunk.len, chunk.crc) = (times, len, crc);
        chunk
            .indexes
            .entry(channel_id)
            .or_default()
            .push(MessageIndexEntry { log_time: stamp.log_time, offset: at });
        self.count(channel_id, stamp.log_time);
        self.chunk = Some(chunk);
        if len >= CHUNK { self.end_chunk() } else { Ok(()) }
    }

    fn count(&mut self, channel: u16, log_time: u64) {
        let statistics = &mut self.statistics;
        let first = statistics.message_count == 0;
        statistics.message_start_time =
            if first { log_time } else { statistics.message_start_time.min(log_time) };
        statistics.message_end_time = statistics.message_end_time.max(log_time);
        statistics.message_count += 1;
        *statistics.channel_message_counts.entry(channel).or_default() += 1;
    }

    /// A chunk without records, whose header lies within a page.
    fn begin_chunk(&self, front: &mut Vec<u8>, log_time: u64) -> Chunk {
        let left = PAGE - self.end % PAGE;
        if left < CHUNK_HEADER {
            let len = if left < 9 { left + PAGE } else { left } - 9;
            begin(front, PADDING, len);
            front.resize(front.len() + usize::try_from(len).unwrap_or_default(), 0);
        }
        let start = self.end + front.len() as u64;
        let times = (log_time, log_time);
        let crc = self.checksums.then(Hasher::new);
        front.extend(chunk_header(times, 0, crc.as_ref()));
        Chunk { start, len: 0, times, crc, indexes: BTreeMap::new() }
    }

    /// The channel of a topic's messages of one kind, announced before its first.
    fn channel(&mut self, front: &mut Vec<u8>, topic: &str, schema: Schema) -> io::Result<u16> {
        if let Some(id) = self.ids.get(&(topic.to_owned(), schema)) {
            return Ok(*id);
        }
        let id = u16::try_from(self.channels.len()).map_err(|_| io::Error::other("too many topics"))?;
        if !self.schemas.contains(&schema) {
            self.schemas.push(schema);
            put_schema(front, schema);
        }
        let channel = Channel {
            id,
            schema_id: schema_id(schema),
            topic: topic.to_owned(),
            message_encoding: "protobuf".into(),
            metadata: BTreeMap::new(),
        };
        put(front, op::CHANNEL, &channel);
        self.channels.push(channel);
        self.ids.insert((topic.to_owned(), schema), id);
        Ok(id)
    }

    /// Closes the chunk: behind it is where its messages are.
    fn end_chunk(&mut self) -> io::Result<()> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        let (mut indexes, mut offsets) = (Vec::new(), BTreeMap::new());
        for (channel_id, records) in chunk.indexes {
            offsets.insert(channel_id, self.end + indexes.len() as u64);
            put(&mut indexes, op::MESSAGE_INDEX, &MessageIndex { channel_id, records });
        }
        let written = self.append(&indexes, &[]);
        if written.is_err() {
            offsets.clear();
        }
        self.chunks.push(ChunkIndex {
            message_start_time: chunk.times.0,
            message_end_time: chunk.times.1,
            chunk_start_offset: chunk.start,
            chunk_length: CHUNK_HEADER + chunk.len,
            message_index_length: if offsets.is_empty() { 0 } else { indexes.len() as u64 },
            message_index_offsets: offsets,
            compression: String::new(),
            compressed_size: chunk.len,
            uncompressed_size: chunk.len,
        });
        written
    }

    /// Writes how the recording went, the index, and the end. After an error the file is one that was cut off behind its last whole
    /// record.
    pub(super) fn finish(&mut self, notes: BTreeMap<String, String>) -> io::Result<()> {
        self.end_chunk()?;
        let mut bytes = Vec::new();
        let offset = self.end;
        put(&mut bytes, op::METADATA, &Metadata { name: "shmflow".into(), metadata: notes });
        self.metadata.push(MetadataIndex { offset, length: bytes.len() as u64, name: "shmflow".into() });
        put(&mut bytes, op::DATA_END, &DataEnd::default());
        self.statistics.schema_count = u16::try_from(self.schemas.len()).unwrap_or(u16::MAX);
        self.statistics.channel_count = u32::try_from(self.channels.len()).unwrap_or(u32::MAX);
        self.statistics.chunk_count = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        self.statistics.metadata_count = 1;
        let summary_start = offset + bytes.len() as u64;
        let mut groups = Vec::new();
        let mut group = |bytes: &mut Vec<u8>, opcode: u8, fill: &mut dyn FnMut(&mut Vec<u8>)| {
            let group_start = offset + bytes.len() as u64;
            fill(bytes);
            let group_length = offset + bytes.len() as u64 - group_start;
            if group_length != 0 {
                groups.push(SummaryOffset { group_opcode: opcode, group_start, group_length });
            }
        };
        group(&mut bytes, op::SCHEMA, &mut |bytes| {
            self.schemas.iter().for_each(|one| put_schema(bytes, *one))
        });
        group(&mut bytes, op::CHANNEL, &mut |bytes| {
            self.channels.iter().for_each(|one| put(bytes, op::CHANNEL, one))
        });
        group(&mut bytes, op::STATISTICS, &mut |bytes| put(bytes, op::STATISTICS, &self.statistics));
        group(&mut bytes, op::CHUNK_INDEX, &mut |bytes| {
            self.chunks.iter().for_each(|one| put(bytes, op::CHUNK_INDEX, one));
        });
        group(&mut bytes, op::METADATA_INDEX, &mut |bytes| {
            self.metadata.iter().for_each(|one| put(bytes, op::METADATA_INDEX, one));
        });
        let summary_offset_start = offset + bytes.len() as u64;
        groups.iter().for_each(|one| put(&mut bytes, op::SUMMARY_OFFSET, one));
        put(&mut bytes, op::FOOTER, &Footer { summary_start, summary_offset_start, summary_crc: 0 });
        bytes.extend(mcap::MAGIC);
        self.append(&bytes, &[])
    }

    /// Writes both, one behind the other, at the end of the file; all or nothing.
    fn append(&mut self, front: &[u8], payload: &[u8]) -> io::Result<()> {
        let mut slices = [IoSlice::new(front), IoSlice::new(payload)];
        let mut slices = &mut slices[..];
        // Slices without bytes are passed over, too.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => {
                    self.cut();
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.cut();
                    return Err(error);
                }
            }
        }
        self.end += (front.len() + payload.len()) as u64;
        Ok(())
    }

    /// Takes away what is behind the last whole record. Where that fails, too, the file is one that was cut off.
    fn cut(&mut self) {
        let _ = self.file.set_len(self.end);
        let _ = self.file.seek(SeekFrom::Start(self.end));
    }
}

/// Schema 0 is none.
fn schema_id(schema: Schema) -> u16 {
    match schema {
        Schema::RawImage => 1,
        Schema::CompressedImage => 2,
        Schema::CompressedVideo => 3,
        Schema::Frame => 4,
    }
}

fn put_schema(bytes: &mut Vec<u8>, schema: Schema) {
    let header =
        SchemaHeader { id: schema_id(schema), name: schema.name().into(), encoding: "protobuf".into() };
    let (header, data) = (encoded(&header), schema.descriptor());
    begin(bytes, op::SCHEMA, (header.len() + 4 + data.len()) as u64);
    bytes.extend(header);
    bytes.extend(u32::try_from(data.len()).unwrap_or_default().to_le_bytes());
    bytes.extend(data);
}

fn chunk_header(
    (message_start_time, message_end_time): (u64, u64),
    len: u64,
    crc: Option<&Hasher>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    begin(&mut bytes, op::CHUNK, CHUNK_HEADER - 9 + len);
    bytes.extend(encoded(&ChunkHeader {
        message_start_time,
        message_end_time,
        uncompressed_size: len,
        // 0: not checked.
        uncompressed_crc: crc.map_or(0, |crc| crc.clone().finalize()),
        compression: String::new(),
        compressed_size: len,
    }));
    bytes
}

/// Opcode and length of a record.
fn begin(bytes: &mut Vec<u8>, opcode: u8, len: u64) {
    bytes.push(opcode);
    bytes.extend(len.to_le_bytes());
}

fn put<R>(bytes: &mut Vec<u8>, opcode: u8, record: &R)
where
    R: BinWrite,
    for<'a> R::Args<'a>: Default,
{
    let body = encoded(record);
    begin(bytes, opcode, body.len() as u64);
    bytes.extend(body);
}

fn encoded<R>(record: &R) -> Vec<u8>
where
    R: BinWrite,
    for<'a> R::Args<'a>: Default,
{
    let mut body = Cursor::new(Vec::new());
    // Memory takes everything.
    let written = record.write_options(&mut body, binrw::Endian::Little, Default::default());
    debug_assert!(written.is_ok(), "{written:?}");
    body.into_inner()
}
