//! The README's pipelines, as typed there: each block is run, every line of it as a process of its own, and must move
//! video, stop in order and leave nothing behind.

use std::error::Error;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::PATIENCE;
use crate::support::child::{Child, plugin_folder};
use crate::support::screen::Screen;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long everything then has to go on.
const FLOW: Duration = Duration::from_millis(500);
/// For a process to stop.
const STOPPING: Duration = Duration::from_secs(10);

#[test]
fn every_pipeline_of_the_readme_runs() -> Result<()> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))?;
    let blocks = blocks(&readme);
    assert!(blocks.len() > 8, "the gallery is gone: only {} blocks of commands were found", blocks.len());
    assert_eq!(
        blocks[0],
        [
            "gst-launch-1.0 videotestsrc ! shmflowsink topic=video",
            "gst-launch-1.0 shmflowsrc topic=video ! autovideosink",
        ],
        "the two commands come first"
    );
    let place = Place::new()?;
    place.film();
    let mut failures = Vec::new();
    for block in &blocks {
        // As listed, and with the consumers first: any order must do.
        for reversed in [false, true] {
            let mut order = block.clone();
            if reversed {
                order.reverse();
            }
            if let Err(error) = run(&order, &place) {
                failures.push(format!("{error}\n    in: {}", order.join("\n        ")));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}

/// The blocks of `gst-launch-1.0` lines: fenced as shell, or indented. Those with programs in Python among them are run by
/// `python/tests/test_examples.py`, which has that package.
fn blocks(text: &str) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut block = Vec::new();
    let mut fenced = false;
    for line in text.lines().chain([""]) {
        let command = line.strip_prefix("    ").unwrap_or(line);
        let inside = fenced || command.len() < line.len();
        if line.starts_with("```") {
            fenced = !fenced && line == "```sh";
        }
        if inside && ["gst-launch-1.0 ", "python3 "].iter().any(|program| command.starts_with(program)) {
            block.push(command.to_owned());
        } else if !block.is_empty() {
            blocks.push(std::mem::take(&mut block));
        }
    }
    blocks.retain(|block| block.iter().all(|command| !command.starts_with("python3 ")));
    blocks
}

/// Where the pipelines run: a directory for their files, one for their topics, a display.
struct Place {
    directory: PathBuf,
    topics: PathBuf,
    screen: Screen,
}

impl Place {
    fn new() -> Result<Self> {
        let name = format!("shmflow-readme-{}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        let topics = Path::new("/dev/shm").join(&name);
        std::fs::create_dir_all(&directory)?;
        let screen = Screen::new("1280x1024").ok_or("the pipelines need a display")?;
        Ok(Self { directory, topics, screen })
    }

    /// As a user's shell would run it: without what [`crate::support::child::program`] is stricter in.
    fn command(&self, text: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("exec {text}"))
            .current_dir(&self.directory)
            .env("GST_PLUGIN_PATH", plugin_folder())
            .env("GST_REGISTRY", self.directory.join("registry.bin"))
            .env("SHMFLOW_DIR", &self.topics)
            .env("DISPLAY", &self.screen.name)
            .env_remove("WAYLAND_DISPLAY")
            // A terminal's Ctrl-C is for this test alone.
            .process_group(0);
        command
    }

    /// The video that one of the pipelines decodes.
    fn film(&self) {
        Child::run(&mut self.command(
            "gst-launch-1.0 -q videotestsrc num-buffers=900 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 \
             ! x264enc speed-preset=ultrafast ! h264parse ! mp4mux ! filesink location=film.mp4",
        ))
        .wait()
        .well();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
        let _ = std::fs::remove_dir_all(&self.topics);
    }
}

/// One line of a block, running.
struct Pipeline {
    text: String,
    child: Child,
}

impl Pipeline {
    fn start(text: &str, place: &Place) -> Self {
        // Verbose: it then says when caps arrive, and they come with the first frame.
        let verbose = text.replacen("gst-launch-1.0", "gst-launch-1.0 -v", 1);
        Self { text: text.to_owned(), child: Child::run(&mut place.command(&verbose)) }
    }

    /// Whether every one of its sources has sent video on; that of the sinks follows, each topic has a source.
    ///
    /// What `gst-launch-1.0 -v` prints is not enough: of two sources that begin at the same moment it may leave one out.
    fn flows(&self, place: &Place) -> bool {
        let out = self.child.printed();
        let printed = |source: &str| {
            let pad = format!("{source}.GstPad:src");
            out.lines().any(|line| line.contains(&pad) && line.contains("caps = video/x-raw"))
        };
        let received = |source: &str, topic: &str| {
            shmflow::inspect(topic, Some(&place.topics)).is_ok_and(|info| {
                info.consumers()
                    .any(|one| one.pid == self.child.id() && one.name.ends_with(source) && one.frames > 1)
            })
        };
        // What a player made of an address is called as the player likes.
        let addresses = self.text.split("uri=shmflow://").skip(1);
        let plays = addresses.filter_map(|rest| rest.split(' ').next()).all(|topic| received("", topic));
        plays
            && self.text.split("shmflowsrc ").skip(1).enumerate().all(|(number, rest)| {
                let source = format!("shmflowsrc{number}");
                let topic = rest.split(' ').find_map(|word| word.strip_prefix("topic="));
                printed(&source) || topic.is_some_and(|topic| received(&source, topic))
            })
    }

    /// Its end, if that was an orderly one; an error if not.
    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match self.child.ended() {
            Some(status) if !status.success() => Err(self.complaint(&format!("ended with {status}")).into()),
            status => Ok(status),
        }
    }

    fn complaint(&self, what: &str) -> String {
        format!("`{}` {what}; it said:\n{}", self.text, self.child.printed())
    }

    /// What Ctrl-C does.
    fn stop(&mut self) -> Result<()> {
        let end = Instant::now() + STOPPING;
        if self.ended()?.is_none() {
            self.child.signal(Signal::SIGINT);
        }
        while self.ended()?.is_none() {
            if Instant::now() > end {
                return Err(self.complaint("did not stop").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if self.child.printed().contains("ERROR") {
            return Err(self.complaint("stopped with an error").into());
        }
        Ok(())
    }
}

fn run(block: &[String], place: &Place) -> Result<()> {
    // What a block that failed left behind is not the next one's.
    let _ = std::fs::remove_dir_all(&place.topics);
    std::fs::create_dir_all(&place.topics)?;
    let mut pipelines: Vec<_> = block.iter().map(|text| Pipeline::start(text, place)).collect();
    let end = Instant::now() + PATIENCE;
    loop {
        let mut waiting = None;
        for pipeline in &mut pipelines {
            pipeline.ended()?;
            if !pipeline.flows(place) {
                waiting = Some(pipeline.complaint("got no video"));
            }
        }
        match waiting {
            None => break,
            Some(complaint) if Instant::now() > end => return Err(complaint.into()),
            Some(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    std::thread::sleep(FLOW);
    for pipeline in &mut pipelines {
        pipeline.stop()?;
    }
    let left: Vec<_> = std::fs::read_dir(&place.topics)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left in shared memory: {left:?}").into()) }
}
