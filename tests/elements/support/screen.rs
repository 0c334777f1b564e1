//! An X display that nobody sees.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// An X server without a screen that anyone sees.
#[derive(Debug)]
pub struct Screen {
    server: Child,
    /// What to set `DISPLAY` to.
    pub name: String,
}

impl Screen {
    /// Of a size like `640x480`. `None`, saying so, where there is no Xvfb.
    pub fn new(size: &str) -> Option<Self> {
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &format!("{size}x24"), "-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut server) = server else {
            eprintln!("left out: there is no Xvfb");
            return None;
        };
        let mut number = String::new();
        let out = server.stdout.as_mut().expect("piped");
        BufReader::new(out).read_line(&mut number).expect("it can be read");
        assert!(!number.is_empty(), "Xvfb starts");
        Some(Self { server, name: format!(":{}", number.trim()) })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
