//! `shmflow bench`: how fast this machine is with frames.

use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use shmflow::{Consumer, Error, Producer};

use crate::outcome::{Failure, Outcome};
use crate::text;

/// Measure this machine's latency, throughput and copy speed
///
/// Between two processes on topics of their own, for a few seconds: the time from
/// publishing a frame to its arrival in a process that waits for it (half of a round
/// trip), the frames a second that arrive at maximum rate, and the speed of copying into
/// shared memory beside that of memcpy. Run it on a machine that does nothing else.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    /// Seconds for each measurement
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = crate::args::seconds)]
    time: Duration,
    /// Bytes of a frame, for throughput and copies: 1080p I420 by default
    #[arg(long, value_name = "BYTES", default_value = "3110400", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    frame_bytes: u32,
    /// Write a JSON object instead
    #[arg(long)]
    json: bool,
}

/// The other process of a measurement.
#[derive(Debug, Args)]
pub(crate) struct BenchPeer {
    there: String,
    back: String,
}

/// A message of a round trip.
const SMALL: usize = 64;
/// The peer has so long to begin.
const START: Duration = Duration::from_secs(10);

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Bench) -> Result<Outcome, Failure> {
    let names = ["there", "back"].map(|name| format!("shmflow-bench-{}/{name}", std::process::id()));
    let [there, back] = &names;
    let frame = vec![0x5a_u8; args.frame_bytes as usize];
    let builder = |name: &str| {
        let builder = Producer::builder(name).name("shmflow bench");
        match dir {
            Some(dir) => builder.dir(dir),
            None => builder,
        }
    };
    let producer = builder(there).slot_capacity(frame.len()).open()?;
    let peer = Peer::start(dir, &names)?;
    let consumer = Consumer::builder(back).connect_timeout(START);
    let mut consumer = match dir {
        Some(dir) => consumer.dir(dir),
        None => consumer,
    }
    .open()?;
    let trips = round_trips(&producer, &mut consumer, args.time)?;
    let (written, arrived, took) = flood(&producer, &mut consumer, frame.len(), args.time)?;
    producer.end();
    drop(peer);
    let copy = speed(args.time / 2, frame.len(), || producer.write(&frame).map(drop))?;
    let mut target = vec![0_u8; frame.len()];
    let memcpy = speed(args.time / 2, frame.len(), || {
        black_box(&mut target).copy_from_slice(black_box(&frame));
        Ok(())
    })?;
    let at = |share: f64| {
        trips.get((trips.len() as f64 * share) as usize).or(trips.last()).copied().unwrap_or(0.0)
    };
    let seconds = took.as_secs_f64();
    let (published, received) = (written as f64 / seconds, arrived as f64 / seconds);
    if args.json {
        let value = json!({
            "latency_seconds": { "median": at(0.5), "p99": at(0.99), "round_trips": trips.len() },
            "throughput": { "frame_bytes": frame.len(), "published_per_second": published, "received_per_second": received },
            "copy_bytes_per_second": copy, "memcpy_bytes_per_second": memcpy,
        });
        writeln!(out, "{value:#}")?;
    } else {
        let time = |seconds: f64| format!("{:.1} µs", seconds * 1e6);
        writeln!(
            out,
            "latency      {} (99 %: {}), of {}",
            time(at(0.5)),
            time(at(0.99)),
            text::several(trips.len() as u64, "round trip")
        )?;
        let size = text::bytes(frame.len() as u64);
        writeln!(
            out,
            "throughput   {received:.0} frames/s of {size} received, {published:.0} published, without copies"
        )?;
        writeln!(
            out,
            "copy         {} into shared memory; memcpy: {}",
            text::byte_rate(copy),
            text::byte_rate(memcpy)
        )?;
    }
    Ok(Outcome::Done)
}

/// The other process, ended when this is dropped.
struct Peer(Child);

impl Peer {
    fn start(dir: Option<&Path>, names: &[String; 2]) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::Other(format!("cannot start the other process: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        if let Some(dir) = dir {
            command.arg("--dir").arg(dir);
        }
        command.arg("bench-peer").args(names).stdin(Stdio::null()).stdout(Stdio::null());
        command.spawn().map(Self).map_err(failed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends with the stream; whatever keeps it from that ends here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Half the time of each round trip in seconds, sorted.
fn round_trips(producer: &Producer, consumer: &mut Consumer, time: Duration) -> Result<Vec<f64>, Error> {
    let mut trips = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time || trips.is_empty() {
        let sent = Instant::now();
        producer.write(&[1; SMALL])?;
        consumer.recv_timeout(START)?;
        trips.push(sent.elapsed().as_secs_f64() / 2.0);
    }
    trips.sort_by(f64::total_cmp);
    Ok(trips)
}

/// Frames published and received at maximum rate, nothing being written into them.
fn flood(
    producer: &Producer,
    consumer: &mut Consumer,
    len: usize,
    time: Duration,
) -> Result<(u64, u64, Duration), Error> {
    let start = Instant::now();
    let mut written = 0;
    while start.elapsed() < time {
        producer.claim(len.max(SMALL + 1))?.publish()?;
        written += 1;
    }
    let took = start.elapsed();
    // The peer answers with the number of frames that it got.
    producer.write(&[2; SMALL])?;
    let answer = consumer.recv_timeout(START)?.to_vec();
    let arrived = answer.first_chunk::<8>().map_or(0, |count| u64::from_le_bytes(*count));
    Ok((written, arrived, took))
}

/// Bytes a second of something that moves `len` bytes.
fn speed(time: Duration, len: usize, mut once: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    once()?; // its memory is there
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time || count == 0 {
        once()?;
        count += 1;
    }
    Ok(f64::from(count) * len as f64 / start.elapsed().as_secs_f64())
}

pub(crate) fn peer(dir: Option<&Path>, args: &BenchPeer) -> Result<Outcome, Failure> {
    let (mut consumer, mut producer) = (Consumer::builder(&args.there), Producer::builder(&args.back));
    if let Some(dir) = dir {
        (consumer, producer) = (consumer.dir(dir), producer.dir(dir));
    }
    let mut consumer = consumer.connect_timeout(START).open()?;
    let producer = producer.open()?;
    let mut count = 0_u64;
    loop {
        let frame = match consumer.recv() {
            Ok(frame) => frame,
            Err(Error::Ended { .. } | Error::Removed { .. }) => return Ok(Outcome::Done),
            Err(error) => return Err(error.into()),
        };
        if frame.len() != SMALL {
            count += 1;
        } else if frame.to_vec().first() == Some(&1) {
            producer.write(&[1; SMALL])?;
        } else {
            producer.write(&count.to_le_bytes())?;
        }
    }
}
