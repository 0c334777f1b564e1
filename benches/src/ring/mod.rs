//! The benchmarks of the ring: which scenes are played, and what is made of their numbers.

mod frames;
mod idle;
mod latency;
mod memory;
mod messages;
mod publish;
mod switch;
mod syscalls;

use crate::Res;
use crate::child::{Child, Scene, remove_shared, shared_files};
use crate::machine::{clock_cost_ns, describe, two_cpus};
use crate::report::{Check, Outcome, Report};
use crate::spec::{Kind, Spec};
use crate::transport::{remove_iceoryx_files, ring_prefix};
use serde_json::Value;
use std::cell::Cell;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) only: Vec<String>,
    pub(crate) out: PathBuf,
}

/// Frames that receivers may lie behind, in every benchmark that does not say otherwise.
const DEPTH: u32 = 8;
/// A 1080p picture with four bytes per pixel: the «8.3 MB» of the tables.
const HD_FRAME: usize = 1920 * 1080 * 4;
/// A 4K picture with four bytes per pixel: the «33 MB».
const UHD_FRAME: usize = 3840 * 2160 * 4;

/// One run: names, processors and how long things take.
#[derive(Debug)]
struct Bench {
    run: String,
    quick: bool,
    cpus: Option<(usize, usize)>,
    scenes: Cell<u32>,
}

impl Bench {
    fn new(quick: bool) -> Self {
        let run = format!("shmflow-bench-{}", std::process::id());
        Self { run, quick, cpus: two_cpus(), scenes: Cell::new(0) }
    }

    /// A spec with the run's names filled in; each scene gets a topic of its own when it is played.
    fn spec(&self, kind: Kind) -> Spec {
        Spec { run: self.run.clone(), kind, depth: DEPTH, receivers: 1, ..Spec::default() }
    }

    /// The first of two values in a full run, the second in a quick one.
    fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn fresh(&self, spec: &Spec) -> Spec {
        let number = self.scenes.get().wrapping_add(1);
        self.scenes.set(number);
        Spec { topic: format!("t{number}"), ..spec.clone() }
    }

    /// Pinned to the sender's (0) or the receivers' (1) processor, where there are two.
    fn on(&self, side: usize, spec: &Spec) -> Spec {
        let cpu = self.cpus.map_or(0, |(first, second)| if side == 0 { first + 1 } else { second + 1 });
        Spec { cpu, ..spec.clone() }
    }

    /// One sender and `count` receiving processes, each side on a processor of its own.
    fn play(&self, spec: &Spec, roles: (&'static str, &'static str), count: u32) -> Res<(Value, Vec<Value>)> {
        let spec = self.fresh(spec);
        let mut scene = Scene::new(&spec)?;
        scene.add(Child::spawn(roles.0, &self.on(0, &spec))?);
        for _ in 0..count {
            scene.add(Child::spawn(roles.1, &self.on(1, &spec))?);
        }
        let mut results =
            scene.play().map_err(|e| format!("{}, {} bytes, {}: {e}", spec.kind, spec.bytes, roles.0))?;
        let sender = results.remove(0);
        Ok((sender, results))
    }

    /// Plays every variant once per round, beginning with another one each time, so that whatever else the
    /// machine does falls on all alike. Results by variant, then by round.
    fn interleaved<R>(
        &self,
        rounds: usize,
        variants: &[Spec],
        play: impl Fn(&Spec) -> Res<R>,
    ) -> Res<Vec<Vec<R>>> {
        let mut results: Vec<Vec<R>> = variants.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for turn in 0..variants.len() {
                let at = (round + turn) % variants.len();
                if let (Some(spec), Some(into)) = (variants.get(at), results.get_mut(at)) {
                    into.push(play(spec)?);
                }
            }
        }
        Ok(results)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        remove_iceoryx_files(&self.run);
        remove_shared(&ring_prefix(&self.run));
        remove_shared(&format!("{}.", self.run));
    }
}

/// All processes have left all topics by now: none of their files may be there.
fn left_behind(bench: &Bench) -> Check {
    let files = shared_files(&ring_prefix(&bench.run));
    Check {
        what: format!("files left in shared memory by {} scenes", bench.scenes.get()),
        wanted: "0".into(),
        got: files.len().to_string(),
        met: files.is_empty(),
        asserted: true,
    }
}

/// A number of a child's result.
fn number(value: &Value, name: &str) -> f64 {
    value.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// A list of numbers of a child's result.
fn numbers(value: &Value, name: &str) -> Vec<f64> {
    let list = value.get(name).and_then(Value::as_array);
    list.map(|list| list.iter().filter_map(Value::as_f64).collect()).unwrap_or_default()
}

type Benchmark = (&'static str, fn(&Bench) -> Res<Outcome>);

const BENCHMARKS: [Benchmark; 8] = [
    ("latency", latency::run),
    ("messages", messages::run),
    ("publish", publish::run),
    ("syscalls", syscalls::run),
    ("memory", memory::run),
    ("frames", frames::run),
    ("switch", switch::run),
    ("idle", idle::run),
];

/// Runs what was asked for; fails if a count that must hold did not.
pub(crate) fn run(options: &Options) -> Res<ExitCode> {
    if let Some(name) = options.only.iter().find(|name| BENCHMARKS.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no benchmark {name}; there are {}", known.join(", ")).into());
    }
    let bench = Bench::new(options.quick);
    let mut out = std::io::stdout();
    let mut report = Report { machine: describe(), ..Report::default() };
    let mut text = format!(
        "## Ring benchmarks\n\nMachine: {}. {} One reading of the clock costs {:.0} ns. Every number is a median, in \
         brackets the least and greatest of the rounds, in which the candidates take turns; each side is a process of \
         its own. `bare` is no ring at all: a counter and a futex word, with plain buffers where there are bytes.\n",
        report.machine,
        match bench.cpus {
            Some((a, b)) => format!("Senders are pinned to processor {a}, receivers to {b}."),
            None =>
                "Only one processor is allowed: nothing is pinned, and spinning pairs mean little.".to_owned(),
        },
        clock_cost_ns(),
    );
    out.write_all(text.as_bytes())?;
    for (name, benchmark) in BENCHMARKS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        let outcome = benchmark(&bench).map_err(|e| format!("benchmark {name}: {e}"))?;
        for table in &outcome.tables {
            let table = format!("\n{}", table.markdown());
            out.write_all(table.as_bytes())?;
            text.push_str(&table);
        }
        report.outcome.tables.extend(outcome.tables);
        report.outcome.checks.extend(outcome.checks);
    }
    report.outcome.checks.push(left_behind(&bench));
    let targets = format!("\n{}", report.targets().markdown());
    text.push_str(&targets);
    report.write(&options.out, &text)?;
    writeln!(out, "{targets}\nWritten: {0}/ring.md, {0}/ring.json", options.out.display())?;
    let broken = report.broken();
    for check in &broken {
        writeln!(
            std::io::stderr(),
            "shmflow-bench: {} — wanted {}, got {}",
            check.what,
            check.wanted,
            check.got
        )?;
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
