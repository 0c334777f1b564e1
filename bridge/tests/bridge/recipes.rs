//! The recipes of docs/hosts.md, as they are there: what is sent by GStreamer's own elements becomes a topic, or files.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use shmflow::Consumer;
use shmflow::meta::ReferenceTimestamp;

use crate::namespaces::Network;
use crate::support::{Host, next, wait_until};

/// A pipeline that runs.
struct Pipeline(Child);

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The folder with the plugin alone, as `make test-bridge` has built it.
fn plugin() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_shmflow-bridge")).parent().unwrap().join("gstreamer-1.0");
    assert!(
        built.join("libgstshmflow.so").exists(),
        "there is no plugin in {}: make test-bridge",
        built.display()
    );
    built
}

/// The lines of the block below a heading.
fn block(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hosts.md")).unwrap();
    let section = text.split(&format!("\n### {heading}\n")).nth(1).expect(heading);
    let block = section.split("```sh\n").nth(1).unwrap().split("\n```").next().unwrap();
    block.lines().map(str::to_owned).collect()
}

/// Two hosts and a camera at the first.
struct Recipe {
    pipelines: Vec<Pipeline>,
    network: Network,
    hosts: [Host; 2],
}

impl Recipe {
    fn new() -> Option<Self> {
        let mut recipe =
            Self { pipelines: Vec::new(), network: Network::new()?, hosts: [Host::new(), Host::new()] };
        recipe.run(
            0,
            "gst-launch-1.0 -q videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! x264enc \
             tune=zerolatency key-int-max=15 ! h264parse config-interval=-1 ! shmflowsink topic=cam0.h264",
        );
        Some(recipe)
    }

    /// A line, at one of the hosts, in its directory.
    fn run(&mut self, place: usize, line: &str) {
        let line = line.replace("192.168.1.2", Network::A).replace("192.168.1.3", Network::B);
        let host = &self.hosts[place];
        let child = self
            .network
            .command(place * 2, "bash")
            .args(["-c", &format!("exec {line}")])
            .current_dir(&host.0)
            .env("SHMFLOW_DIR", &host.0)
            .env("GST_PLUGIN_PATH", plugin())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.pipelines.push(Pipeline(child));
    }

    /// Runs a recipe with a sender and a receiver; what the receiver writes.
    fn cross(heading: &str) -> Option<(Self, Consumer)> {
        let mut recipe = Self::new()?;
        let lines = block(heading);
        assert_eq!(lines.len(), 2, "{lines:?}");
        for (place, line) in lines.iter().enumerate() {
            recipe.run(place, line);
        }
        let mut consumer = recipe.hosts[1].consumer("cam0.h264");
        for _ in 0..30 {
            let meta = next(&mut consumer).meta().unwrap().unwrap();
            assert!(meta.caps.unwrap().starts_with("video/x-h264"));
        }
        Some((recipe, consumer))
    }
}

#[test]
fn rtp_over_udp_keeps_capture_times() {
    let Some((_recipe, mut consumer)) = Recipe::cross("RTP over UDP, with capture times") else { return };
    // After the first report of the sender.
    let time = wait_until("a frame has its reference time", || {
        let meta = next(&mut consumer).meta().unwrap().unwrap();
        meta.entries::<ReferenceTimestamp>()
            .find_map(Result::ok)
            .filter(|time| time.reference.contains("x-ntp"))
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // NTP counts from 1900.
    let captured = time.timestamp / 1_000_000_000 - 2_208_988_800;
    assert!(captured.abs_diff(now) < 60, "captured at {captured}, it is {now}");
}

#[test]
fn srt_becomes_a_topic() {
    Recipe::cross("SRT");
}

#[test]
fn rist_becomes_a_topic() {
    Recipe::cross("RIST");
}

/// Runs a recipe that writes files, until there are two of a kind.
fn files(heading: &str, extension: &str) -> Option<(Recipe, Vec<PathBuf>)> {
    let mut recipe = Recipe::new()?;
    recipe.run(0, &block(heading)[0]);
    let found = wait_until("there are files", || {
        let all = std::fs::read_dir(&recipe.hosts[0].0).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<_> = all.filter(|path| path.extension().is_some_and(|one| one == extension)).collect();
        (found.len() >= 2).then_some(found)
    });
    Some((recipe, found))
}

#[test]
fn hls_has_a_playlist_of_parts() {
    let Some((recipe, _)) = files("HLS", "ts") else { return };
    let playlist = wait_until("there is a playlist", || {
        std::fs::read_to_string(recipe.hosts[0].0.join("cam0.m3u8")).ok()
    });
    assert!(playlist.starts_with("#EXTM3U") && playlist.contains("part00000.ts"), "{playlist}");
}

#[test]
fn files_are_split() {
    let Some((_recipe, found)) = files("Files", "mp4") else { return };
    assert!(found.iter().any(|path| std::fs::metadata(path).unwrap().len() > 1000), "{found:?}");
}

#[test]
fn raw_video_is_encoded_while_it_is_read() {
    let Some(mut recipe) = Recipe::new() else { return };
    let raw = "gst-launch-1.0 -q videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! shmflowsink \
               topic=raw";
    recipe.run(0, raw);
    recipe.hosts[0].wait_for("raw");
    let endpoint = format!("tcp/{}:7447", Network::A);
    let bridge = |place: usize, args: &[&str]| {
        let mut command: Command = recipe.network.command(place * 2, env!("CARGO_BIN_EXE_shmflow-bridge"));
        command.env("GST_PLUGIN_PATH", plugin());
        crate::support::Bridge::start_by(command, &recipe.hosts[place], args)
    };
    let sender = bridge(0, &["--topic", "raw", "--encode", "raw", "--listen", &endpoint]);
    let _receiver = bridge(1, &["--topic", "*", "--connect", &endpoint]);
    recipe.hosts[1].wait_for("raw.h264");
    assert!(!recipe.hosts[0].has("raw.h264"), "nobody reads it");
    let mut consumer = recipe.hosts[1].consumer("raw.h264");
    for _ in 0..30 {
        let frame = next(&mut consumer);
        let meta = frame.meta().unwrap().unwrap();
        assert!(meta.caps.unwrap().starts_with("video/x-h264") && meta.times.capture_ns.is_some());
        assert!(frame.len() < 320 * 240, "{} bytes", frame.len());
    }
    assert!(!recipe.hosts[1].has("raw"), "what is encoded is not sent raw");
    drop(consumer);
    sender.wait_until_active("sent", "raw.h264", false);
    recipe.hosts[0].wait_until_gone("raw.h264");
}
