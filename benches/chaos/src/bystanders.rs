//! Honest processes beside each fault: they do nothing wrong, check everything, and are to notice nothing.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::outcome::Outcome;
use crate::place::files;
use crate::process::{Process, crash};
use crate::programs::role;
use crate::role::consume::wrote;
use crate::visit::{Visit, run};

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
    exe: PathBuf,
    dir: PathBuf,
    near: Near,
    user: Option<u32>,
    processes: Vec<(Process, &'static str)>,
}

impl Bystanders {
    /// Starts them: on each topic a producer and consumers. `pause` is the time between two frames on the suffering topic, in
    /// microseconds.
    pub(crate) fn start(exe: &Path, dir: &Path, near: Near, pause: u64) -> Result<Self> {
        Self::start_as(exe, dir, near, pause, None)
    }

    /// The same, as another user.
    pub(crate) fn start_as(
        exe: &Path,
        dir: &Path,
        near: Near,
        pause: u64,
        user: Option<u32>,
    ) -> Result<Self> {
        let mut processes = Vec::new();
        let mut start = |topic, part: &str, words: &[&str]| -> Result<()> {
            let mut command = role(exe, part, dir, topic);
            become_user(command.args(words), user);
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
        let mut all = Self { exe: exe.into(), dir: dir.into(), near, user, processes };
        for (process, _) in &mut all.processes {
            process.wait_for("ready")?;
        }
        Ok(all)
    }

    /// Waits until a consumer of the suffering topic had a frame of this writer.
    pub(crate) fn wait_for_writer(&mut self, tag: u64) -> Result<()> {
        for (process, topic) in &mut self.processes {
            if *topic == NEAR && process.what().contains("consumer") {
                process.wait_for(&wrote(tag))?;
            }
        }
        Ok(())
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

    /// The end of each fault: one who comes can use the topic; the honest ones leave, and say what they saw; another one
    /// comes, and when it has left no file remains. Returns how many writers the honest ones had frames from, beside their own.
    pub(crate) fn finish(mut self, outcome: &mut Outcome) -> Result<u64> {
        self.newcomer(outcome)?;
        let writers = self.ask(outcome);
        self.newcomer(outcome)?;
        let files = files(&self.dir);
        if !files.is_empty() {
            outcome.broke(format!("files are left behind: {files:?}"));
        }
        Ok(writers)
    }

    /// Somebody who comes to the topic that suffered.
    fn newcomer(&self, outcome: &mut Outcome) -> Result<()> {
        let mut command = role(&self.exe, "visit", &self.dir, NEAR);
        become_user(&mut command, self.user);
        match run("a newcomer", &mut command)? {
            Visit::Went(time) => outcome.recovered_in(time),
            Visit::Told(why) | Visit::Crashed(why) => {
                outcome.broke(format!("a newcomer could not use the topic: {why}"));
            }
        }
        Ok(())
    }

    /// Has them leave, and adds to the outcome what they saw.
    fn ask(&mut self, outcome: &mut Outcome) -> u64 {
        let (mut frames, mut far, mut writers) = (0, 0, 0);
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
            if self.near == Near::Removed && *topic == NEAR && count("reopened") == 0 {
                outcome.broke(format!("{who} did not notice that its topic was removed"));
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
                writers = writers.max(count("writers"));
                outcome.lost += count("lost");
                outcome.recovered_in(Duration::from_secs_f64(number("wait_ms") / 1000.0));
            }
        }
        outcome.tell(match (frames, far) {
            (0, far) => format!("{far} frames checked on another topic"),
            (near, far) => format!("{near} frames checked on this topic, {far} on another"),
        });
        writers.saturating_sub(1)
    }
}

fn become_user(command: &mut Command, user: Option<u32>) {
    if let Some(user) = user {
        command.uid(user).gid(user);
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
