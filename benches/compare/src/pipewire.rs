//! A PipeWire of this run's own: the daemon, the session manager that links nodes, and a folder for their socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gstreamer as gst;

use crate::Result;

const PATIENCE: Duration = Duration::from_secs(10);
/// Where the socket is, once there is a daemon.
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Both processes; they end with this.
#[derive(Debug)]
pub(crate) struct Daemon(Vec<Child>);

impl Daemon {
    pub(crate) fn start(scratch: &Path) -> Result<Self> {
        let folder = scratch.join("pipewire");
        std::fs::create_dir(&folder)?;
        let _ = FOLDER.set(folder.clone());
        let mut daemon = Self(Vec::new());
        daemon.0.push(spawn("pipewire")?);
        wait("pipewire made no socket", || folder.join("pipewire-0").exists())?;
        daemon.0.push(spawn("wireplumber")?);
        wait("wireplumber did not start", || {
            let mut list = Command::new("pw-cli");
            point_to(&mut list);
            let output = list.args(["ls", "Client"]).stderr(Stdio::null()).output();
            output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("WirePlumber"))
        })?;
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(name: &str) -> Result<Child> {
    let mut command = Command::new(name);
    point_to(&mut command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.map_err(|error| format!("{name} could not be started: {error}").into())
}

fn wait(otherwise: &str, done: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > deadline {
            return Err(otherwise.into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

pub(crate) fn is_running() -> bool {
    FOLDER.get().is_some()
}

/// Has a process use this daemon and no other.
pub(crate) fn point_to(command: &mut Command) {
    if let Some(folder) = FOLDER.get() {
        command.env("PIPEWIRE_RUNTIME_DIR", folder).env("XDG_RUNTIME_DIR", folder);
    }
}

/// What a producer's node is called.
pub(crate) fn node(name: &str, is_audio: bool) -> gst::Structure {
    let class = if is_audio { "Audio/Source" } else { "Video/Source" };
    gst::Structure::builder("props").field("node.name", name).field("media.class", class).build()
}

/// What the session manager wants to know about a consumer.
pub(crate) fn viewer(is_audio: bool) -> gst::Structure {
    let (kind, class) =
        if is_audio { ("Audio", "Stream/Input/Audio") } else { ("Video", "Stream/Input/Video") };
    gst::Structure::builder("props")
        .field("media.type", kind)
        .field("media.class", class)
        .field("media.category", "Capture")
        .field("media.role", "Camera")
        .build()
}
