//! `shmflow metrics`: all topics as Prometheus text.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use shmflow::{Error, Liveness, ParticipantInfo, Role};

use crate::outcome::{Failure, Outcome};
use crate::sample::overview::{Overview, Watched};

/// Write counters of all topics as Prometheus text
///
/// Once, or for whoever asks by HTTP with --listen: at /metrics. Topics are looked at only
/// then. Counters are those of each participant since it joined, and of each topic since
/// it was created.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow metrics                              once
  shmflow metrics --listen 127.0.0.1:9180      for Prometheus"
)]
pub(crate) struct Metrics {
    /// Answer HTTP requests at this address, until Ctrl-C
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Metrics) -> Result<Outcome, Failure> {
    let Some(address) = args.listen else {
        out.write_all(text(dir)?.as_bytes())?;
        return Ok(Outcome::Done);
    };
    let failed = |error: io::Error| Failure::Other(format!("cannot listen at {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    if !bound.ip().is_loopback() {
        Failure::note(&format!("whoever reaches {bound} can read names and counters of all topics"));
    }
    writeln!(out, "http://{bound}/metrics")?;
    out.flush()?;
    for stream in listener.incoming().flatten() {
        // Whoever goes away before the answer has no use for it.
        let _ = answer(stream, dir);
    }
    Ok(Outcome::Done)
}

/// One who asks slowly, or for much, is not waited for: so long for all of it.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST: u64 = 8192;

/// A connection, up to a moment.
struct Timed(TcpStream, Instant);

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.1.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.set_read_timeout(self.left()?)?;
        self.0.read(bytes)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set_write_timeout(self.left()?)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn answer(stream: TcpStream, dir: Option<&Path>) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut lines = BufReader::new(Timed(stream.try_clone()?, until).take(LONGEST)).lines();
    let mut stream = Timed(stream, until);
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the request, so that the connection does not end with a reset.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split_ascii_whitespace();
    let (method, path) = (words.next(), words.next().map(|path| path.split('?').next().unwrap_or(path)));
    let (status, body) = match (method, path) {
        (Some("GET" | "HEAD"), Some("/metrics")) => match text(dir) {
            Ok(text) => ("200 OK", text),
            Err(error) => ("500 Internal Server Error", format!("{error}\n")),
        },
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "the counters are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET /metrics\n".to_owned()),
    };
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {TYPE}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    if method != Some("HEAD") {
        stream.write_all(body.as_bytes())?;
    }
    Ok(())
}

/// One family of numbers.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: fn(&Watched) -> Option<f64>,
}

const TOPICS: &[Family] = &[
    family("shmflow_topic_frames_total", "counter", "Frames ever published.", |it| {
        Some(it.info.published() as f64)
    }),
    family(
        "shmflow_topic_live",
        "gauge",
        "1 with a producer that lives and is neither stopped nor stalled.",
        |it| Some(f64::from(u8::from(it.state == shmflow::TopicState::Live))),
    ),
    family("shmflow_topic_producers", "gauge", "Producers that live.", |it| {
        Some(living(it.info.producers()))
    }),
    family("shmflow_topic_consumers", "gauge", "Registered consumers that live.", |it| {
        Some(living(it.info.consumers()))
    }),
    family("shmflow_topic_memory_bytes", "gauge", "Shared memory that its files take.", |it| {
        Some(it.info.shared_bytes as f64)
    }),
    family(
        "shmflow_topic_newest_frame_age_seconds",
        "gauge",
        "Time since the newest frame was published.",
        |it| it.age().map(|age| age.as_secs_f64()),
    ),
    family(
        "shmflow_topic_newest_frame_latency_seconds",
        "gauge",
        "Time from its capture to its publication.",
        |it| it.latency().map(|latency| latency.as_secs_f64()),
    ),
    family("shmflow_topic_newest_frame_bytes", "gauge", "Payload of the newest frame.", |it| {
        it.info.newest.as_ref().map(|frame| frame.bytes as f64)
    }),
    family("shmflow_topic_nominal_rate", "gauge", "Frames a second that the stream is said to have.", |it| {
        it.what.nominal_rate.map(|(frames, seconds)| f64::from(frames) / f64::from(seconds))
    }),
];

const fn family(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: fn(&Watched) -> Option<f64>,
) -> Family {
    Family { name, kind, help, of }
}

/// Name, kind, help and value of what is told of each participant.
type OfParticipant = (&'static str, &'static str, &'static str, fn(&ParticipantInfo) -> Option<f64>);

const PARTICIPANTS: &[OfParticipant] = &[
    ("shmflow_participant_frames_total", "counter", "Frames published or received.", |p| {
        Some(p.frames as f64)
    }),
    ("shmflow_participant_bytes_total", "counter", "Payload bytes published or received.", |p| {
        Some(p.bytes as f64)
    }),
    ("shmflow_participant_lost_total", "counter", "Frames lost (consumer) or dropped (producer).", |p| {
        Some(p.lost as f64)
    }),
    ("shmflow_participant_copied_total", "counter", "Frames received as copies.", |p| {
        (p.role == Role::Consumer).then_some(p.copied as f64)
    }),
    ("shmflow_participant_lag_frames", "gauge", "Published frames that it has not read.", |p| {
        p.lag.map(|lag| lag as f64)
    }),
    ("shmflow_participant_held_slots", "gauge", "Slots that it holds.", |p| p.held_slots.map(f64::from)),
    ("shmflow_participant_stopped", "gauge", "1 if its process is stopped.", |p| {
        Some(f64::from(u8::from(p.stopped)))
    }),
    ("shmflow_participant_alive", "gauge", "1 if it lives.", |p| {
        Some(f64::from(u8::from(p.liveness == Liveness::Alive)))
    }),
];

fn living<'a>(all: impl Iterator<Item = &'a ParticipantInfo>) -> f64 {
    all.filter(|p| p.liveness != Liveness::Dead).count() as f64
}

fn text(dir: Option<&Path>) -> Result<String, Error> {
    let mut overview = Overview::new(dir);
    overview.look()?;
    Ok(of(&overview))
}

/// The text's media type.
pub(crate) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What was seen, as Prometheus text.
pub(crate) fn of(overview: &Overview) -> String {
    let unreadable = overview.unreadable().len();
    let mut text = String::new();
    // Writing to a String cannot fail.
    for Family { name, kind, help, of } in TOPICS {
        let mut head = Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for topic in overview.topics() {
            if let Some(value) = of(topic) {
                text.extend(head.take());
                let _ = writeln!(text, "{name}{{topic=\"{}\"}} {value}", escaped(&topic.info.topic));
            }
        }
    }
    for (name, kind, help, of) in PARTICIPANTS {
        let mut head = Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for topic in overview.topics() {
            for p in &topic.info.participants {
                if let Some(value) = of(p) {
                    text.extend(head.take());
                    let role = if p.role == Role::Producer { "producer" } else { "consumer" };
                    let (topic, participant) = (escaped(&topic.info.topic), escaped(&p.name));
                    let _ = writeln!(
                        text,
                        "{name}{{topic=\"{topic}\",role=\"{role}\",id=\"{}\",generation=\"{}\",name=\"{participant}\"}} {value}",
                        p.id.id, p.id.generation
                    );
                }
            }
        }
    }
    let _ = write!(
        text,
        "# HELP shmflow_unreadable_topics Topics whose files cannot be read.\n# TYPE shmflow_unreadable_topics gauge\n\
         shmflow_unreadable_topics {unreadable}\n"
    );
    text
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
