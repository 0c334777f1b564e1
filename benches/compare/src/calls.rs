//! System calls a frame, counted by strace while a producer sends at its pace.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Result;

/// The call that the measuring producer makes once a frame, to keep its pace.
const PACE: &str = "clock_nanosleep";
const WHILE: Duration = Duration::from_millis(800);
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls a frame, of the producer (without the one of its pace) and of the consumer.
pub(crate) fn count(directory: &Path, producer: u32, consumer: Option<u32>) -> Result<(f64, Option<f64>)> {
    let first = directory.join("producer.calls");
    let second = directory.join("consumer.calls");
    let of_producer = attach(&first, producer)?;
    let of_consumer = consumer.map(|pid| attach(&second, pid)).transpose()?;
    std::thread::sleep(WHILE);
    // The consumer's first: what the producer does alone is not the consumer's.
    let consumed = of_consumer.map(|tracer| end(tracer, &second)).transpose()?;
    let produced = end(of_producer, &first)?;
    let frames = produced.get(PACE).copied().filter(|frames| *frames > 0.0);
    let frames = frames.ok_or("strace saw no frame")?;
    let all = |calls: &BTreeMap<String, f64>| calls.values().sum::<f64>();
    Ok((all(&produced) / frames - 1.0, consumed.map(|calls| all(&calls) / frames)))
}

fn attach(output: &Path, pid: u32) -> Result<Child> {
    let mut tracer = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(output)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    // It is there once it is written down as the tracer.
    let deadline = std::time::Instant::now() + PATIENCE;
    while traced_by(pid) != Some(tracer.id()) {
        if let Some(status) = tracer.try_wait()? {
            return Err(format!("strace could not attach ({status})").into());
        }
        if std::time::Instant::now() > deadline {
            let _ = tracer.kill();
            let _ = tracer.wait();
            return Err("strace did not attach".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(tracer)
}

fn traced_by(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
}

fn end(mut tracer: Child, output: &Path) -> Result<BTreeMap<String, f64>> {
    kill(Pid::from_raw(i32::try_from(tracer.id())?), Signal::SIGINT)?;
    tracer.wait()?;
    Ok(parse(&std::fs::read_to_string(output)?))
}

/// The lines of a summary are a count and a name.
fn parse(summary: &str) -> BTreeMap<String, f64> {
    summary
        .lines()
        .filter_map(|line| {
            let (count, name) = line.trim().split_once(char::is_whitespace)?;
            let name = name.trim();
            (name != "total").then_some((name.to_owned(), count.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_read() {
        let summary = "    calls syscall\n--------- ----------------\n       60 futex\n        3 read\n--------- ----------------\n       63 total\n";
        let calls = parse(summary);
        assert_eq!(calls.len(), 2);
        assert_eq!(calls.get("futex"), Some(&60.0));
    }
}
