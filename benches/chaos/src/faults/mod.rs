//! All faults, in the order of the report.

mod clock;
mod files;
mod formats;
mod kill;
mod limits;
mod many;
mod numbers;
mod permissions;
mod scribble;
mod signals;
pub(crate) mod small;
mod suites;
mod versions;

use std::time::Duration;

use crate::Result;
use crate::cli::Settings;
use crate::dice::Dice;
use crate::outcome::Outcome;
use crate::programs::Programs;

/// What a fault has to work with.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) settings: &'a Settings,
    /// How long it goes on, where it goes on for a time.
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

impl Scene<'_> {
    pub(crate) fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }
}

pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) text: &'static str,
    /// Its share of the time; 0: it takes as long as it takes.
    pub(crate) weight: f64,
    pub(crate) run: fn(&Scene<'_>) -> Result<Outcome>,
}

const fn fault(
    name: &'static str,
    text: &'static str,
    weight: f64,
    run: fn(&Scene<'_>) -> Result<Outcome>,
) -> Fault {
    Fault { name, text, weight, run }
}

pub(crate) const ALL: &[Fault] = &[
    fault(
        "kill-points",
        "killed and stopped at each named point, and with a forked child that lives",
        0.0,
        suites::kill_points,
    ),
    fault("kill-rust", "Rust programs killed and stopped at random", 3.0, kill::rust),
    fault("kill-c", "C programs killed and stopped at random", 3.0, kill::c),
    fault("kill-python", "Python programs killed and stopped at random", 3.0, kill::python),
    fault("kill-pipeline", "pipelines killed and stopped at random", 3.0, kill::pipeline),
    fault("forked", "programs killed whose forked children live on (C, Python)", 2.0, kill::forked),
    fault("remove-peers", "the name of `peers` taken away", 1.5, files::remove_peers),
    fault("remove-ring", "the name of `ring` taken away", 1.5, files::remove_ring),
    fault("remove-holds", "the name of `holds` taken away", 1.5, files::remove_holds),
    fault("remove-all", "all names of a topic taken away", 1.5, files::remove_all),
    fault("remove-asked", "the topic removed by `shmflow rm --force`", 1.5, files::remove_asked),
    fault("truncate", "files truncated in use", 1.5, files::truncate),
    fault("truncate-idle", "files truncated, and made of holes, that nobody uses", 0.0, files::truncate_idle),
    fault("sparse", "holes punched into the ring in use", 1.5, scribble::punch),
    fault("scribble", "control words and payloads scribbled over in use", 3.0, scribble::in_use),
    fault("scribble-idle", "files scribbled over that nobody uses", 2.0, scribble::idle),
    fault("full", "a full file system", 2.0, small::full),
    fault("full-entries", "a file system without file entries", 1.0, small::entries),
    fault(
        "permissions",
        "permissions withdrawn, of each file and of the directory",
        0.0,
        permissions::withdrawn,
    ),
    fault(
        "signals",
        "a signal every 4 ms; pipelines stopped and continued every 4 ms",
        2.0,
        signals::every_4_ms,
    ),
    fault(
        "clock",
        "the wall clock jumps by up to a day at each look; other time namespaces",
        2.0,
        clock::jumps,
    ),
    fault("limit-files", "too few file descriptors", 0.0, limits::files),
    fault("limit-memory", "too little address space", 0.0, limits::memory),
    fault("limit-file-size", "files may not be as long", 0.0, limits::file_size),
    fault("crowd", "100 consumers", 2.0, many::crowd),
    fault("opens", "10,000 opens and closes", 0.0, many::opens),
    fault("formats", "a pipeline's format changes ten times a second", 2.0, formats::ten_a_second),
    fault("sequence", "sequence numbers near 2^48", 0.0, numbers::near_the_end),
    fault("day", "a day of 30 frames a second, as fast as they go, lossless", 0.0, many::day),
    fault("versions", "files of another layout version, and builds of it", 0.0, versions::others),
    fault("tests", "the tests of faults of this tree", 0.0, suites::tests),
];
