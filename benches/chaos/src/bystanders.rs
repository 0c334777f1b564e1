//! Honest processes beside each fault: they do nothing wrong, check everything, and are to notice nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::outcome::Outcome;
use crate::process::{Process, crash};
use crate::programs::role;

/// The topic that suffers.
pub(crate) const NEAR: &str = "near";
/// The topic beside it.
pub(crate) const FAR: &str = "far";

/// A topic that is enlarged all the time. What others enlarge, all have to open: so it is none of the two.
pub(crate) const GROWING: &str = "growing";

/// The longest that an honest process may be held up, on a machine that is busy. (Where a fault is a removed file, which is
/// looked for once a second, and who opens waits up to 5 s for one that is stopped.)
const BOUND: f64 = 15_000.0;

/// What the honest ones on the suffering topic have to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    /// Nothing: they are to notice nothing.
    Nothing,
    /// Their topic is removed, and they open it again.
    Removed,
    /// There are none: the fault may end those who use the topic.
    Nobody,
}

#[derive(Debug)]
pub(crate) struct Bystanders {
    processes: Vec<(Process, &'static str)>,
}

impl Bystanders {
    /// Starts them: on each topic a producer and consumers. `pause` is the time between two frames on the suffering topic, in
    /// microseconds.
    pub(crate) fn start(exe: &Path, dir: &Path, near: Near, pause: u64) -> Result<Self> {
        Self::start_as(exe, dir, near, pause, |_| {})
    }

    /// The same, with changes to how each process is made.
    pub(crate) fn start_as(
        exe: &Path,
        dir: &Path,
        near: Near,
        pause: u64,
        change: impl Fn(&mut Command),
    ) -> Result<Self> {
        let mut processes = Vec::new();
        let mut start = |topic, part: &str, words: &[&str]| -> Result<()> {
            let mut command = role(exe, part, dir, topic);
            change(command.args(words));
            processes.push((
                Process::start(&format!("the honest {part}r of the {topic} topic"), &mut command)?,
                topic,
            ));
            Ok(())
        };
        if near != Near::Nobody {
            let reopen: &[&str] = if near == Near::Removed { &["--reopen"] } else { &[] };
            let pause = pause.to_string();
            start(NEAR, "produce", &[&["--tag", "1", "--pause", &pause, "--depth", "256"], reopen].concat())?;
            start(NEAR, "consume", reopen)?;
            start(NEAR, "consume", &[&["--hold", "3"], reopen].concat())?;
            start(NEAR, "consume", &[&["--read-only"], reopen].concat())?;
        }
        start(FAR, "produce", &["--tag", "2", "--pause", "5000", "--depth", "2000", "--most", "1000"])?;
        start(FAR, "consume", &[])?;
        let mut all = Self { processes };
        for (process, _) in &mut all.processes {
            process.wait_for("ready")?;
        }
        Ok(all)
    }

    /// Whether all of them are still there.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (process, _) in &mut self.processes {
            if let Some(status) = process.ended()? {
                return Err(format!("{} ended ({status}): {}", process.what(), process.last_words()).into());
            }
        }
        Ok(())
    }

    /// Has them leave, and adds to the outcome what they saw.
    pub(crate) fn finish(mut self, outcome: &mut Outcome) -> Result<()> {
        let (mut frames, mut far) = (0, 0);
        // Producers last: a topic goes with its last participant, and a read-only consumer is none.
        for (process, topic) in self.processes.iter_mut().rev() {
            let found = match testimony(process) {
                Ok(found) => found,
                Err(error) => {
                    outcome.broke(error.to_string());
                    continue;
                }
            };
            let number = |key: &str| found.get(key).and_then(Value::as_f64).unwrap_or_default();
            let count = |key: &str| found.get(key).and_then(Value::as_u64).unwrap_or_default();
            let who = process.what().to_owned();
            if number("wait_ms") > BOUND {
                outcome.broke(format!("{who} was held up for {:.0} ms", number("wait_ms")));
            }
            if count("frames") == 0 {
                outcome.broke(format!("{who} had no frame"));
            }
            if count("refused") * 10 > count("frames") {
                outcome.broke(format!("{who} got no slot for {} frames", count("refused")));
            }
            if found.get("role").and_then(Value::as_str) != Some("consume") {
                continue;
            }
            if *topic == FAR {
                far += count("frames");
                if count("lost") + count("reopened") > 0 {
                    outcome.broke(format!(
                        "{who} lost {} frames and its topic {} times",
                        count("lost"),
                        count("reopened")
                    ));
                }
            } else {
                frames += count("frames");
                outcome.lost += count("lost");
                outcome.recovered_in(Duration::from_secs_f64(number("wait_ms") / 1000.0));
            }
        }
        outcome.tell(match (frames, far) {
            (0, far) => format!("{far} frames checked on another topic"),
            (near, far) => format!("{near} frames checked on this topic, {far} on another"),
        });
        Ok(())
    }
}

/// Has a role leave; what it says in the end.
pub(crate) fn testimony(process: &mut Process) -> Result<Value> {
    let status = process.leave()?;
    let words = process.last_words();
    if let Some(crash) = crash(status, &words) {
        return Err(format!("{} {crash}: {words}", process.what()).into());
    }
    if !status.success() {
        return Err(format!("{} failed: {words}", process.what()).into());
    }
    let printed = process.printed();
    let last = printed.lines().rev().find(|line| line.starts_with('{'));
    let last = last.ok_or_else(|| format!("{} said nothing in the end: {words}", process.what()))?;
    Ok(serde_json::from_str(last)?)
}
