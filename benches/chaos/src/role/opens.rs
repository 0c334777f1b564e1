//! Opens and closes many times, and says whether anything of it stayed in the process.

use std::time::Duration;

use serde_json::json;
use shmflow::{Consumer, Producer, StartAt};

use crate::cli::Opens;
use crate::payload::{check, fill};
use crate::{Result, say};

pub(crate) fn run(settings: &Opens) -> Result<()> {
    say("ready")?;
    let mut bytes = vec![0; 500];
    let mut before = None;
    for n in 1..=settings.times {
        fill(300, n, &mut bytes);
        match n % 3 {
            // A topic that exists, as a producer and as a consumer; and one that comes and goes.
            0 => drop(Producer::builder(&settings.topic).dir(&settings.dir).perms(0o644).open()?),
            1 => {
                let mut consumer = Consumer::builder(&settings.topic).dir(&settings.dir).open()?;
                check(&consumer.recv_timeout(Duration::from_secs(30))?)?;
            }
            _ => {
                let producer =
                    Producer::builder(&settings.own).dir(&settings.dir).depth(2).slot_capacity(500).open()?;
                producer.write(&bytes)?;
                let consumer =
                    Consumer::builder(&settings.own).dir(&settings.dir).start(StartAt::Oldest).open();
                check(&consumer?.recv_timeout(Duration::from_secs(30))?)?;
            }
        }
        // After the first rounds everything that is made once is there.
        if n == settings.times.min(30) {
            before = Some(held()?);
        }
    }
    let (before, after) = (before.unwrap_or_default(), held()?);
    say(&json!({
        "role": "opens", "frames": settings.times,
        "files": [before.0, after.0], "mappings": [before.1, after.1], "threads": [before.2, after.2],
    })
    .to_string())
}

/// Descriptors, mappings of topics, and threads of this process. What threads of the last topic hold goes soon after.
fn held() -> Result<(usize, usize, usize)> {
    let mut least: Option<(usize, usize, usize)> = None;
    for _ in 0..50 {
        let files = std::fs::read_dir("/proc/self/fd")?.count();
        let maps = std::fs::read_to_string("/proc/self/maps")?
            .lines()
            .filter(|line| line.contains("shmflow."))
            .count();
        let threads = std::fs::read_dir("/proc/self/task")?.count();
        least = Some(
            least.map_or((files, maps, threads), |(a, b, c)| (a.min(files), b.min(maps), c.min(threads))),
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(least.unwrap_or_default())
}
