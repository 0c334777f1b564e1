//! A directory of a test's own, and the command run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;
use shmflow::Producer;

/// A directory of one test's own.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shmflow-cli-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = Path::new("/dev/shm").join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmflow"));
        command.args(args).env("SHMFLOW_DIR", &self.0).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().unwrap())
    }

    pub(crate) fn producer(&self, topic: &str) -> Producer {
        Producer::builder(topic).dir(&self.0).name("camera").open().unwrap()
    }

    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn status(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    pub(crate) fn err(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.out()).unwrap()
    }
}

/// Writes so many frames a second while `look` runs; none of them late because of the one before.
pub(crate) fn at_a_steady_rate<T>(producer: &Producer, rate: f64, look: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            for number in 0_u32.. {
                let due = Duration::from_secs_f64(f64::from(number) / rate);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                if stop.load(Relaxed) {
                    break;
                }
                producer.write(&[7; 1000]).unwrap();
            }
        });
        let seen = look();
        stop.store(true, Relaxed);
        seen
    })
}
