//! Other processes: real `gst-launch-1.0` with the plugin that was just built, and what it prints.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, until};

/// A folder with nothing but a link to the plugin that cargo built for this run, for `GST_PLUGIN_PATH`.
///
/// Tests lie in `target/<profile>/deps`; the plugin's file lies there too, among files that are not GStreamer's, and
/// beside it a copy in `target/<profile>` that `cargo test` may leave old.
pub fn plugin_folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().expect("a test has a file");
        let plugin = test.with_file_name("libgstshmflow.so");
        assert!(plugin.exists(), "{} is not there", plugin.display());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plugin-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder in target/tmp");
        let link = folder.join("libgstshmflow.so");
        if !link.exists() {
            std::os::unix::fs::symlink(plugin, link).expect("a link to the plugin");
        }
        folder
    });
    &FOLDER
}

/// A program that finds the elements, with fatal GLib warnings and a plugin registry that is not the user's.
pub fn program(name: &str) -> Command {
    /// One process fills the registry; those that run later and at the same time only read it.
    static REGISTRY: LazyLock<PathBuf> = LazyLock::new(|| {
        let registry = plugin_folder().join("registry.bin");
        let filled = environment(Command::new("gst-inspect-1.0").arg("shmflowsink"), &registry)
            .output()
            .expect("gst-inspect-1.0 is installed");
        assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
        registry
    });
    let mut command = Command::new(name);
    environment(&mut command, &REGISTRY).env("GST_REGISTRY_UPDATE", "no");
    command
}

/// The same for a user who may not look into the folder of this project, root's own for example: with a copy of the
/// plugin in `folder`, and a registry that is not kept.
pub fn program_of_a_stranger(name: &str, folder: &Path) -> Command {
    std::fs::copy(plugin_folder().join("libgstshmflow.so"), folder.join("libgstshmflow.so"))
        .expect("a copy of the plugin");
    let mut command = Command::new(name);
    environment(&mut command, &folder.join("no-registry")).env("GST_PLUGIN_PATH", folder);
    command
}

fn environment<'a>(command: &'a mut Command, registry: &Path) -> &'a mut Command {
    command
        .env("GST_PLUGIN_PATH", plugin_folder())
        .env("GST_REGISTRY", registry)
        .env("G_DEBUG", "fatal-warnings")
        .env("GST_DEBUG_NO_COLOR", "1")
        .env_remove("GST_DEBUG")
        .env_remove("DISPLAY")
}

/// One frame, as `fakesink silent=false` of `gst-launch-1.0 -v` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub bytes: u64,
    /// The number that the source of the frames gave it.
    pub offset: Option<u64>,
    /// In nanoseconds.
    pub pts: Option<u64>,
    pub discont: bool,
}

/// A process that is killed when the test is over.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    what: String,
    printed: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub printed: String,
}

impl Child {
    /// Starts a pipeline in a process of its own; `text` is what one would type, without quotes or escapes.
    pub fn launch(text: &str) -> Self {
        Self::run(program("gst-launch-1.0").args(text.split_whitespace()))
    }

    /// The same, listening: [`Self::seen`] then tells the frames that a `fakesink` called `out` got.
    pub fn listen(text: &str) -> Self {
        Self::launch(&format!("-v {text} ! fakesink name=out silent=false sync=false"))
    }

    pub fn run(command: &mut Command) -> Self {
        let what = format!("{command:?}");
        // SAFETY: between fork and exec nothing is called but prctl.
        unsafe {
            command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let printed = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            reader(process.stdout.take().expect("piped"), &printed),
            reader(process.stderr.take().expect("piped"), &printed),
        ];
        Self { process, what, printed, readers }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).expect("a process number"));
        kill(pid, signal).expect("the process is there");
    }

    /// Kills it; when this returns the kernel has taken back all it held.
    pub fn kill(&mut self) {
        self.process.kill().expect("the process is there");
        self.process.wait().expect("a child");
    }

    /// Freezes it, and waits until it is.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let stat = format!("/proc/{}/stat", self.process.id());
        until("the process is stopped", || {
            let text = std::fs::read_to_string(&stat).expect("the process is there");
            text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        });
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return Ended { status, printed: self.printed() };
            }
            assert!(Instant::now() < deadline, "still running: {}\n{}", self.what, self.printed());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What Ctrl-C does.
    pub fn interrupt(self) -> Ended {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// How it ended, if it has; all that it printed is there then.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.try_wait().expect("a child")?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Some(status)
    }

    pub fn running(&mut self) -> bool {
        self.process.try_wait().expect("a child").is_none()
    }

    pub fn printed(&self) -> String {
        self.printed.lock().expect("no reader panics").clone()
    }

    /// Waits until it printed `text`.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.printed().contains(text) {
            assert!(
                Instant::now() < deadline && (self.running() || self.printed().contains(text)),
                "{} did not print {text:?} but\n{}",
                self.what,
                self.printed()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The frames that a `fakesink silent=false` got until now.
    pub fn seen(&self) -> Vec<Seen> {
        self.printed().lines().filter_map(seen).collect()
    }

    /// Waits until it saw `n` frames.
    pub fn wait_frames(&mut self, n: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen().len() < n {
            assert!(
                Instant::now() < deadline && self.running(),
                "{} saw {} frames of {n}\n{}",
                self.what,
                self.seen().len(),
                self.printed()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let printed = self.printed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            eprintln!("{}:\n{printed}", self.what);
        }
    }
}

impl Ended {
    /// It ended by itself, in order.
    pub fn well(&self) -> &Self {
        assert!(self.status.success(), "{:?}\n{}", self.status, self.printed);
        assert!(!self.printed.contains("ERROR"), "{}", self.printed);
        self
    }

    /// It ended by itself with an error that says `text`.
    pub fn badly(&self, text: &str) -> &Self {
        assert!(!self.status.success(), "{}", self.printed);
        assert_eq!(self.status.signal(), None, "it did not end by itself\n{}", self.printed);
        assert!(self.printed.contains(text), "no {text:?} in\n{}", self.printed);
        self
    }
}

fn reader(stream: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            into.lock().expect("nobody panics with it").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// Reads one line of `fakesink`'s.
pub fn seen(line: &str) -> Option<Seen> {
    let (_, rest) = line.split_once("chain   *******")?;
    let (_, rest) = rest.split_once(") (")?;
    let bytes = rest.split_once(" bytes")?.0.parse().ok()?;
    let field = |name: &str| rest.split_once(name).and_then(|(_, rest)| rest.split([',', ' ']).next());
    Some(Seen {
        bytes,
        offset: field(" offset: ").and_then(|text| text.parse().ok()),
        pts: field(" pts: ").and_then(nanoseconds),
        discont: rest.contains("discont"),
    })
}

/// Reads `h:mm:ss.nnnnnnnnn`.
fn nanoseconds(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once('.')?;
    let seconds = clock.split(':').try_fold(0_u64, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
    Some(seconds * 1_000_000_000 + fraction.parse::<u64>().ok()?)
}
