//! `shmflow-compare due`: what a source gains that looks for its frames when they are due (`busy-wait`), by its budget, the
//! pace, how steady the producer is, and the number of consumers.

use std::time::Instant;

use crate::Result;
use crate::cli::Due;
use crate::line;
use crate::measure::Stage;
use crate::order::{self, Scratch};
use crate::peer::{self, Peer};
use crate::report;
use crate::row::{Row, Set};
use crate::run::{RowFound, Run};

/// In the order of the table's columns.
pub(crate) const PEERS: [Peer; 5] =
    [Peer::Shm, Peer::Shmflow, Peer::ShmflowBusy50, Peer::ShmflowBusy, Peer::ShmflowBusy300];

/// A steady producer, and one whose frames are off its pace by up to so many microseconds.
macro_rules! pair {
    ($fps:literal, $consumers:literal, $jitter_us:literal, $steady:expr, $jittery:expr) => {
        [
            Row {
                name: concat!("due-", $fps, "-", $consumers),
                title: concat!($fps, " fps × ", $consumers, ", steady"),
                fps: $fps,
                consumers: $consumers,
                set: $steady,
                ..crate::row::LITTLE
            },
            Row {
                name: concat!("due-", $fps, "-", $consumers, "-jitter"),
                title: concat!($fps, " fps × ", $consumers, ", ±", $jitter_us, " µs"),
                fps: $fps,
                consumers: $consumers,
                jitter_us: $jitter_us,
                set: $jittery,
                ..crate::row::LITTLE
            },
        ]
    };
}

/// 1080p BGRx in pool memory, little touched; named by frames a second, consumers and jitter.
pub(crate) const ROWS: &[[Row; 2]] = &[
    pair!(60, 1, 300, Set::Quick, Set::Default),
    pair!(60, 4, 300, Set::Default, Set::Default),
    pair!(60, 16, 300, Set::Default, Set::Default),
    pair!(240, 1, 300, Set::Default, Set::Default),
    pair!(240, 4, 300, Set::Default, Set::Quick),
    pair!(240, 16, 300, Set::Default, Set::Default),
    pair!(1000, 1, 100, Set::Default, Set::Default),
    pair!(1000, 4, 100, Set::Default, Set::Default),
    pair!(1000, 16, 100, Set::Default, Set::Default),
];

pub(crate) fn all(due: &Due) -> Result<()> {
    let begin = Instant::now();
    peer::initialise(due.plugin.as_deref())?;
    let rows: Vec<&'static Row> =
        ROWS.as_flattened().iter().filter(|row| !due.quick || row.set == Set::Quick).collect();
    let scratch = Scratch::new()?;
    let mut run = Run::new(&due.command, due.rounds(), due.seconds());
    let peers = order::present(&PEERS, &mut run);
    let stage = Stage {
        directory: scratch.path(),
        packets: None,
        plugin: due.plugin.as_deref(),
        seconds: due.seconds(),
        counts_calls: false,
    };
    run.rows = rows.iter().map(|row| RowFound::new(row)).collect();
    let mut count = 0;
    for round in 1..=due.rounds() {
        line::complain(&format!("round {round} of {}, after {} s", due.rounds(), begin.elapsed().as_secs()));
        for (row, found) in rows.iter().zip(&mut run.rows) {
            for peer in order::turn(&peers, round) {
                count += 1;
                order::one(&stage, row, peer, count, round, found);
            }
        }
    }
    run.conclude();
    line::complain(&format!("measured in {} s", begin.elapsed().as_secs()));
    report::save_due(&run, &due.out)
}
