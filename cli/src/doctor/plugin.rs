//! The plugin that GStreamer finds.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Finding;

/// What is found, and the plugin's file.
pub(super) fn found() -> (Finding, Option<PathBuf>) {
    let inspect = |what: &str| {
        let mut command = Command::new("gst-inspect-1.0");
        command
            .arg(what)
            .env("LC_ALL", "C")
            .env("GST_INSPECT_NO_COLORS", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command.output()
    };
    let shown = match inspect("shmflow") {
        Ok(output) => output,
        Err(_) => {
            let remedy =
                "for GStreamer: apt install gstreamer1.0-tools; Rust, C and Python programs do not need it";
            return (Finding::note("plugin", "gst-inspect-1.0 is not installed", remedy), None);
        }
    };
    if !shown.status.success() {
        let remedy = "make install, or set GST_PLUGIN_PATH to the directory of libgstshmflow.so (make build prints it)";
        return (
            Finding::problem("plugin", "GStreamer does not find shmflowsink and shmflowsrc", remedy),
            None,
        );
    }
    let shown = String::from_utf8_lossy(&shown.stdout);
    (judge(&shown), field(&shown, "Filename").map(PathBuf::from))
}

/// A line of what gst-inspect-1.0 shows.
fn field(shown: &str, name: &str) -> Option<String> {
    let line = shown.lines().find(|line| line.trim_start().starts_with(name))?;
    line.trim_start().get(name.len()..).map(|value| value.trim().to_owned())
}

fn judge(shown: &str) -> Finding {
    let file = field(shown, "Filename").unwrap_or_else(|| "an unknown file".into());
    let version = field(shown, "Version").unwrap_or_default();
    let ours = env!("CARGO_PKG_VERSION");
    // The plugin adds the commit.
    if version == ours || version.starts_with(&format!("{ours}-")) || version.starts_with(&format!("{ours}+"))
    {
        Finding::ok("plugin", format!("GStreamer loads {file}, version {version}"))
    } else {
        let what = format!("GStreamer loads {file} of version {version}, and this command is of {ours}");
        Finding::note("plugin", what, "make install both; an older copy may come first in GST_PLUGIN_PATH")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn another_version_is_told() {
        let shown = |version: &str| {
            format!("Plugin Details:\n  Name  shmflow\n  Filename   /usr/lib/x.so\n  Version   {version}\n")
        };
        let ours = env!("CARGO_PKG_VERSION");
        for same in [ours.to_owned(), format!("{ours}-abc123")] {
            assert_eq!(judge(&shown(&same)).level, Level::Ok);
        }
        let old = judge(&shown("0.0.9"));
        assert_eq!(old.level, Level::Note);
        assert!(old.what.contains("/usr/lib/x.so of version 0.0.9"), "{}", old.what);
    }
}
