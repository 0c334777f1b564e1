//! The conformance program in Rust; README.md has what it is told and what it says.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a test's program")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::time::Duration;

use shmflow::meta::{
    AudioLayout, Caption, Clock, Crop, CustomMeta, Detections, ENTRY_PRIVATE, Finding, Flags, Kind, Meta,
    MetaEntry, Object, Plane, ReferenceTimestamp, Region, Structure, Tags, TimeCode, Times, VideoLayout,
    plane_extents,
};
use shmflow::{Consumer, Error, Frame, OverflowPolicy, Producer};

const PATIENCE: Duration = Duration::from_secs(60);

/// The words of a line: KEY=VALUE, some of them several times.
struct Words(BTreeMap<String, Vec<String>>);

impl Words {
    fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for word in words {
            let (key, value) = word.split_once('=').unwrap();
            all.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Self(all)
    }

    fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(String::as_str)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.get(key).map(|text| text.parse().unwrap())
    }
}

fn numbers(text: &str) -> Vec<i64> {
    text.split([':', ';']).filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// CRC-32 as zlib has it.
fn crc(so_far: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!so_far, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 },
        )
    })
}

fn u32_of(number: i64) -> u32 {
    u32::try_from(number).unwrap()
}

#[derive(Default)]
struct Peer {
    producer: Option<Producer>,
    consumer: Option<Consumer>,
    started: u64,
    first_pts: Option<u64>,
    first_capture: Option<u64>,
}

impl Peer {
    fn open(&mut self, words: &Words) -> Result<(), Error> {
        let mut builder = Producer::builder(words.get("topic").unwrap());
        builder = builder.depth(words.number("depth").unwrap_or(8) as u32);
        if let Some(history) = words.number("history") {
            builder = builder.history(history as u32);
        }
        if words.number("lossless") == Some(1) {
            builder = builder.overflow_policy(OverflowPolicy::Lossless);
        }
        self.started = std::fs::read_to_string("/proc/uptime")
            .unwrap()
            .split('.')
            .next()
            .map(|seconds| seconds.parse::<u64>().unwrap() * 1_000_000_000)
            .unwrap();
        self.producer = Some(builder.persistent(words.number("persistent") == Some(1)).open()?);
        Ok(())
    }

    fn describe(&self, words: &Words) -> Meta {
        let caps = words.get("caps");
        let (mut kind, mut video, mut audio) = (caps.map_or(Kind::Bytes, Kind::of_caps), None, None);
        if let Some(format) = words.get("format") {
            let size = (words.number("width").unwrap() as u32, words.number("height").unwrap() as u32);
            let planes = words.get("planes").map(numbers).unwrap_or_default();
            let planes =
                planes.chunks(2).map(|plane| Plane { offset: plane[0] as u64, stride: plane[1] as i32 });
            let layout = match words.get("planes") {
                Some(_) => VideoLayout::new(format, size.0, size.1, planes),
                None => VideoLayout::standard(format, size.0, size.1).unwrap().0,
            };
            (kind, video) = (Kind::Video, Some(layout.fps(words.number("fps").unwrap() as u32, 1)));
        }
        if let Some(format) = words.get("sample") {
            let number = |key| words.number(key).unwrap();
            let layout =
                AudioLayout::new(format, number("rate") as u32, number("channels") as u32, number("samples"));
            let offsets = words.get("offsets").map(numbers).unwrap_or_default();
            let layout = layout.channel_mask(words.number("mask").unwrap_or(0));
            (kind, audio) =
                (Kind::Audio, Some(layout.planes(offsets.into_iter().map(|offset| offset as u64))));
        }
        let pts = words.number("pts");
        let times = Times::default().pts(pts).dts(words.number("dts")).duration(words.number("duration"));
        let times = match pts {
            Some(pts) => times.capture_ns(self.started + pts).clock(Clock::Monotonic),
            None => times,
        };
        let named = words.get("flags").unwrap_or("");
        let flags = Flags::NAMED.iter().filter(|(.., name)| named.split(',').any(|one| one == *name));
        let crop = words.get("crop").map(numbers).map(|crop| Crop {
            x: u32_of(crop[0]),
            y: u32_of(crop[1]),
            width: u32_of(crop[2]),
            height: u32_of(crop[3]),
        });
        let mut meta = Meta::new(kind)
            .flags(flags.fold(Flags::EMPTY, |all, (flag, ..)| all | *flag))
            .times(times)
            .offset(words.number("offset"))
            .offset_end(words.number("offset_end"))
            .video(video)
            .audio(audio)
            .crop(crop);
        meta.caps = caps.map(str::to_owned);
        meta
    }

    fn frame(&mut self, words: &Words) -> Result<(), Error> {
        let length = words.number("length").unwrap() as usize;
        let seed = words.number("seed").unwrap() as usize;
        let payload: Vec<u8> = (0..length).map(|at| (at * 7 + (at >> 8) * 13 + seed * 31) as u8).collect();
        let mut claim = self.producer.as_ref().unwrap().claim(length)?;
        claim.copy_from(&payload);
        if words.get("bare").is_none() {
            claim.set_meta(&attach(self.describe(words), words)?)?;
        }
        claim.publish().map(drop)
    }

    fn join(&mut self, words: &Words) -> Result<(), Error> {
        (self.first_pts, self.first_capture) = (None, None);
        self.consumer = Some(Consumer::open(words.get("topic").unwrap())?);
        Ok(())
    }

    fn take(&mut self, words: &Words) -> Result<(), Error> {
        for _ in 0..words.number("count").unwrap() {
            let frame = self.consumer.as_mut().unwrap().recv_timeout(PATIENCE)?;
            println!("frame{}", self.told(&frame));
        }
        Ok(())
    }

    fn ended(&mut self) -> Result<(), Error> {
        match self.consumer.as_mut().unwrap().recv_timeout(PATIENCE) {
            Err(Error::Ended { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(frame) => panic!("instead of the end came frame {}", frame.seq()),
        }
    }

    fn told(&mut self, frame: &Frame) -> String {
        let mut out = format!("\tseq={}", frame.seq());
        let mut say = |key: &str, value: &dyn std::fmt::Display| write!(out, "\t{key}={value}").unwrap();
        if frame.lost_before() > 0 {
            say("lost", &frame.lost_before());
        }
        let meta = frame.meta().unwrap().unwrap_or_default();
        if let Some(caps) = &meta.caps {
            say("caps", caps);
        }
        say("kind", &meta.kind.to_raw());
        let flags: Vec<_> = Flags::NAMED
            .iter()
            .filter(|(flag, ..)| meta.flags.contains(*flag))
            .map(|(.., name)| *name)
            .collect();
        if !flags.is_empty() {
            say("flags", &flags.join(","));
        }
        self.first_pts = self.first_pts.or(meta.times.pts);
        self.first_capture = self.first_capture.or(meta.times.capture_ns);
        let since = |time: Option<u64>, first: Option<u64>| Some(time?.cast_signed() - first?.cast_signed());
        let times = [
            ("pts", since(meta.times.pts, self.first_pts)),
            ("dts", since(meta.times.dts, self.first_pts)),
            ("capture", since(meta.times.capture_ns, self.first_capture)),
        ];
        for (key, value) in times {
            if let Some(value) = value {
                say(key, &value);
            }
        }
        for (key, value) in
            [("duration", meta.times.duration), ("offset", meta.offset), ("offset_end", meta.offset_end)]
        {
            if let Some(value) = value {
                say(key, &value);
            }
        }
        if let Some(video) = &meta.video {
            picture(&mut out, frame, video, &meta);
        } else if let Some(audio) = &meta.audio {
            sound(&mut out, frame, audio);
        } else {
            say("bytes", &format!("{}:{:08x}", frame.len(), crc(0, frame)));
        }
        attached(&mut out, &meta);
        out
    }
}

fn attach(mut meta: Meta, words: &Words) -> Result<Meta, Error> {
    for text in words.all("tags") {
        meta = meta.entry(&Tags::new(text))?;
    }
    for text in words.all("region") {
        let (kind, rest) = text.split_once(':').unwrap();
        let n = numbers(rest);
        let region = Region::new(kind, u32_of(n[0]), u32_of(n[1]), u32_of(n[2]), u32_of(n[3]));
        meta = meta.entry(&region.id(n[4] as i32).parent_id(n[5] as i32))?;
    }
    for text in words.all("timecode") {
        let n: Vec<u32> = numbers(text).into_iter().map(u32_of).collect();
        meta = meta.entry(&TimeCode::new((n[0], n[1]), n[3], n[4], n[5], n[6]).flags(n[2]))?;
    }
    for text in words.all("caption") {
        let (kind, data) = text.split_once(':').unwrap();
        meta = meta.entry(&Caption::new(kind.parse().unwrap(), bytes_of(data)))?;
    }
    for text in words.all("reference") {
        let (caps, rest) = text.split_once(':').unwrap();
        let n = numbers(rest);
        meta = meta.entry(&ReferenceTimestamp::new(caps, n[0] as u64).duration(n[1] as u64))?;
    }
    for text in words.all("custom") {
        let (name, structure) = text.split_once(';').unwrap();
        meta = meta.entry(&CustomMeta::new(name, structure))?;
    }
    let mut found = Vec::new();
    for text in words.all("detection") {
        let (label, rest) = text.split_once(':').unwrap();
        let (score, rest) = rest.split_once(':').unwrap();
        let n: Vec<i32> = numbers(rest).into_iter().map(|n| n as i32).collect();
        found.push(Finding::Object(Object::new(label, score.parse().unwrap(), n[0], n[1], n[2], n[3])));
    }
    if !found.is_empty() {
        meta = meta.entry(&Detections::new(found, Vec::new()))?;
    }
    for text in words.all("private") {
        let (kind, data) = text.split_once(':').unwrap();
        meta = meta.extension(kind.parse().unwrap(), bytes_of(data));
    }
    Ok(meta)
}

fn picture(out: &mut String, frame: &Frame, video: &VideoLayout, meta: &Meta) {
    video.fits(frame.len()).unwrap();
    let caps = meta.caps.as_deref().map(Structure::parse);
    let size = caps.and_then(|caps| Some((caps.number("width")?, caps.number("height")?)));
    let seen = Crop::visible((video.width, video.height), meta.crop, size).unwrap();
    write!(out, "\tsize={}x{}", seen.width, seen.height).unwrap();
    let whole = plane_extents(&video.format, video.width, video.height).unwrap();
    let part = plane_extents(&video.format, seen.width, seen.height).unwrap();
    for ((plane, whole), part) in video.planes.iter().zip(whole).zip(part) {
        // How much coarser the plane is than the picture, and how many bytes its samples have.
        let (down, wide) =
            (u32::from(whole.rows < video.height), u32::from(whole.row_bytes < u64::from(video.width)));
        let pair = video.format == "NV12" && down == 1;
        let across = wide + u32::from(pair);
        let bytes = whole.row_bytes / u64::from(video.width.div_ceil(1 << across));
        let mut sum = 0;
        for row in 0..part.rows {
            let row = i64::from((seen.y >> down) + row) * i64::from(plane.stride);
            let column = u64::from(seen.x >> across) * bytes;
            let at = usize::try_from(plane.offset as i64 + row + column as i64).unwrap();
            sum = crc(sum, &frame[at..at + part.row_bytes as usize]);
        }
        write!(out, "\tplane={}:{}:{sum:08x}", part.rows, part.row_bytes).unwrap();
    }
}

fn sound(out: &mut String, frame: &Frame, audio: &AudioLayout) {
    audio.fits(frame.len()).unwrap();
    let (bytes, count) = (audio.sample_bytes().unwrap() as usize, audio.samples as usize);
    let layout = if audio.planes.is_empty() { "interleaved" } else { "planar" };
    write!(out, "\taudio={}:{}:{}:{count}:{layout}", audio.format, audio.rate, audio.channels).unwrap();
    for channel in 0..audio.channels as usize {
        let (first, distance) = match audio.planes.get(channel) {
            Some(offset) => (*offset as usize, bytes),
            None => (channel * bytes, bytes * audio.channels as usize),
        };
        let samples = (0..count).map(|n| &frame[first + n * distance..][..bytes]);
        write!(out, "\tchannel={:08x}", samples.fold(0, crc)).unwrap();
    }
}

fn attached(out: &mut String, meta: &Meta) {
    fn all<E: MetaEntry>(meta: &Meta) -> impl Iterator<Item = E> {
        meta.entries::<E>().map(Result::unwrap)
    }
    let mut say = |key: &str, value: String| write!(out, "\t{key}={value}").unwrap();
    all::<Tags>(meta).for_each(|one| say("tags", one.text));
    for one in all::<Region>(meta) {
        let (id, parent) = (one.id, one.parent_id);
        say("region", format!("{}:{}:{}:{}:{}:{id}:{parent}", one.kind, one.x, one.y, one.width, one.height));
    }
    for one in all::<TimeCode>(meta) {
        let time = format!("{}:{}:{}:{}", one.hours, one.minutes, one.seconds, one.frames);
        say("timecode", format!("{}:{}:{}:{time}", one.fps.0, one.fps.1, one.flags));
    }
    all::<Caption>(meta).for_each(|one| say("caption", format!("{}:{}", one.kind, hex(&one.data))));
    for one in all::<ReferenceTimestamp>(meta) {
        say("reference", format!("{}:{}:{}", one.reference, one.timestamp, one.duration.unwrap()));
    }
    all::<CustomMeta>(meta).for_each(|one| say("custom", format!("{};{}", one.name, one.structure)));
    for one in all::<Detections>(meta).flat_map(|all| all.findings) {
        if let Finding::Object(one) = one {
            let place = format!("{}:{}:{}:{}", one.x, one.y, one.width, one.height);
            say("detection", format!("{}:{}:{place}", one.label, one.score));
        }
    }
    for one in meta.extensions.iter().filter(|one| one.ty >= ENTRY_PRIVATE) {
        say("private", format!("{}:{}", one.ty, hex(&one.data)));
    }
}

fn main() {
    let mut peer = Peer::default();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut parts = line.split('\t');
        let verb = parts.next().unwrap();
        let words = Words::of(parts);
        let done = match verb {
            "open" => peer.open(&words),
            "frame" => peer.frame(&words),
            "end" => {
                peer.producer.as_ref().unwrap().end();
                Ok(())
            }
            "close" => {
                peer.producer = None;
                Ok(())
            }
            "join" => peer.join(&words),
            "take" => peer.take(&words),
            "ended" => peer.ended(),
            "leave" => {
                peer.consumer = None;
                Ok(())
            }
            other => panic!("{other:?} is no verb"),
        };
        match done {
            Ok(()) => println!("ok"),
            Err(error) => println!("error\t{error}"),
        }
        std::io::stdout().flush().unwrap();
    }
}
