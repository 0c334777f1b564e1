//! Where the window is shown: the display that is there, or a display server without a screen.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::pipeline;
use crate::video;

#[derive(Debug)]
pub(crate) enum Screen {
    /// The person's own
    Real,
    /// Xvfb, and its display's name
    Virtual(Child, String),
    /// None at all
    Nowhere,
}

impl Screen {
    pub(crate) fn find(wanted: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !wanted {
            return Self::Nowhere;
        }
        if set("DISPLAY") || set("WAYLAND_DISPLAY") {
            println!("display   yours: watch for the window");
            return Self::Real;
        }
        match start() {
            Ok((server, display)) => {
                println!("display   none here, so Xvfb {display}: the window is drawn, and pictured for you");
                Self::Virtual(server, display)
            }
            Err(error) => {
                println!("display   none here, and Xvfb does not start ({error}): shown to nobody");
                Self::Nowhere
            }
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        !matches!(self, Self::Nowhere)
    }

    /// What children need to be told.
    pub(crate) fn display(&self) -> Option<&str> {
        match self {
            Self::Virtual(_, display) => Some(display),
            _ => None,
        }
    }

    /// Pictures the virtual screen; a person's own screen is theirs.
    pub(crate) fn picture(&self, path: &Path) -> Result<bool> {
        let Self::Virtual(_, display) = self else { return Ok(false) };
        let pipeline = pipeline::parse(&format!(
            "ximagesrc display-name={display} num-buffers=1 use-damage=false show-pointer=false \
             ! videoconvert ! pngenc ! filesink name=file"
        ))?;
        video::set_location(&pipeline, "file", path)?;
        pipeline::play(&pipeline, Duration::from_secs(10))?;
        Ok(true)
    }
}

/// Starts Xvfb on the first free display number, which it tells.
fn start() -> Result<(Child, String)> {
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut number = String::new();
    // Only borrowed: the server ends if it finds this pipe closed.
    if let Some(output) = server.stdout.as_mut() {
        BufReader::new(output).read_line(&mut number)?;
    }
    let number = number.trim();
    if number.is_empty() {
        let _ = server.kill();
        let _ = server.wait();
        return Err("it told no display".into());
    }
    Ok((server, format!(":{number}")))
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Virtual(server, _) = self {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
