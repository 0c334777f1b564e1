//! The running `serve`, and asking it as any program can.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use shmflow::meta::{Kind, Meta, VideoLayout};
use shmflow::{Producer, ProducerBuilder};

use crate::support::{Dir, LONG};

/// The running server.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// The address in its first line.
    pub(crate) url: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Server {
    pub(crate) fn start(dir: &Dir, args: &[&str]) -> Self {
        let mut command = dir.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, url: line.trim().to_owned() }
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// A connection over which this was asked.
    pub(crate) fn connect(&self, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let host =
            if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address()) };
        let request = format!("GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub(crate) fn ask(&self, path: &str, headers: &str) -> Answer {
        let mut all = Vec::new();
        self.connect(path, headers).read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{all:?}"));
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: all[end + 4..].to_vec() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(path, "")
    }

    /// The exit status after a polite signal.
    pub(crate) fn interrupt(mut self) -> i32 {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What tells that a picture has this colour.
pub(crate) fn coloured(colour: [u8; 3]) -> (Meta, Vec<u8>) {
    let (layout, len) = VideoLayout::standard("RGB", 320, 180).unwrap();
    let meta = Meta::new(Kind::Video).video(layout);
    (meta, colour.repeat(usize::try_from(len).unwrap() / 3))
}

pub(crate) fn builder(dir: &Dir, topic: &str) -> ProducerBuilder {
    Producer::builder(topic).dir(&dir.0).name("camera").meta_capacity(4096)
}

pub(crate) fn picture(dir: &Dir, topic: &str, colour: [u8; 3]) -> Producer {
    let producer = builder(dir, topic).open().unwrap();
    let (meta, bytes) = coloured(colour);
    producer.write_with(&bytes, &meta).unwrap();
    producer
}

pub(crate) fn wait(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Consumers of the server on a topic, and the slots they hold.
pub(crate) fn viewers(dir: &Dir, topic: &str) -> Vec<u32> {
    let info = shmflow::inspect(topic, Some(&dir.0)).unwrap();
    let own = info.consumers().filter(|p| p.name == "shmflow serve");
    own.map(|p| p.held_slots.unwrap_or(0)).collect()
}

/// Reads the pictures of a stream one by one.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    pub(crate) fn open(server: &Server, path: &str) -> Self {
        let mut stream = Self(BufReader::new(server.connect(path, "")));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.0.read_line(&mut head).unwrap();
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("multipart/x-mixed-replace"), "{head}");
        stream
    }

    /// Bytes without the sizes of chunks between them.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let (mut all, mut length) = (Vec::new(), None);
        loop {
            let mut size = String::new();
            self.0.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            assert_ne!(size, 0, "it ended");
            let mut chunk = vec![0; size + 2];
            self.0.read_exact(&mut chunk).unwrap();
            all.extend_from_slice(&chunk[..size]);
            let text = String::from_utf8_lossy(&all).into_owned();
            if length.is_none() && text.contains("\r\n\r\n") {
                let from = text.find("Content-Length: ").unwrap() + 16;
                length = text[from..].split("\r\n").next().unwrap().parse::<usize>().ok();
            }
            // The part ends when the next one is announced.
            if let Some(length) = length
                && all.ends_with(b"--shmflow-picture\r\n")
            {
                let head = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                return all[head..head + length].to_vec();
            }
        }
    }
}
