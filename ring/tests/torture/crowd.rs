//! Other processes, of which any may be killed or stopped at any time.

use std::time::{Duration, Instant};

use crate::common::role::{ProcessState, Role};
use crate::common::{Dir, Random};

/// Other processes, of which any may be killed or stopped at any time.
pub(crate) struct Crowd<'a> {
    dir: &'a Dir,
    random: Random,
    jobs: &'a [&'a str],
    workers: Vec<Worker>,
    tags: u64,
    killed: u64,
    stopped: u64,
    left: u64,
}

struct Worker {
    role: Role,
    job: String,
    goes_on: Option<Instant>,
}

impl<'a> Crowd<'a> {
    pub(crate) fn new(dir: &'a Dir, seed: u64, jobs: &'a [&'a str]) -> Self {
        let random = Random::new(seed);
        let mut crowd =
            Self { dir, random, jobs, workers: Vec::new(), tags: 100, killed: 0, stopped: 0, left: 0 };
        for job in jobs {
            let worker = crowd.start(job);
            crowd.workers.push(worker);
        }
        crowd
    }

    fn start(&mut self, job: &str) -> Worker {
        self.tags += 1;
        let mut role = Role::start("worker::worker", self.dir);
        role.tell(&format!("{job} {} {}", self.tags, self.random.next() >> 1));
        Worker { role, job: job.into(), goes_on: None }
    }

    /// Kills, stops and replaces until the time is over.
    pub(crate) fn rage(&mut self, time: Duration, watched: impl Fn() -> bool) {
        let start = Instant::now();
        while start.elapsed() < time && watched() {
            std::thread::sleep(Duration::from_millis(5 + self.random.below(40)));
            let now = Instant::now();
            for worker in &mut self.workers {
                if worker.goes_on.is_some_and(|at| at <= now) {
                    worker.role.go_on();
                    worker.goes_on = None;
                }
                let fate = worker.role.fate();
                assert!(!matches!(fate, ProcessState::Died(_)), "a {} has failed: {fate:?}", worker.job);
            }
            let victim = self.random.below(self.workers.len() as u64) as usize;
            match self.random.below(10) {
                0..4 => {
                    self.workers[victim].role.kill();
                    self.killed += 1;
                    self.replace(victim);
                }
                4..8 if self.workers[victim].goes_on.is_none() => {
                    self.workers[victim].role.stop();
                    self.stopped += 1;
                    // Mostly short, at times longer than those who open or grow care to wait.
                    let long = self.random.below(30) == 0;
                    let ms = if long { 6000 } else { 1 + self.random.below(400) };
                    self.workers[victim].goes_on = Some(now + Duration::from_millis(ms));
                }
                8 if self.workers[victim].goes_on.is_none() => {
                    self.left += 1;
                    let job = self.workers[victim].job.clone();
                    let new = self.start(&job);
                    std::mem::replace(&mut self.workers[victim], new).role.finish();
                }
                _ => {}
            }
        }
    }

    fn replace(&mut self, victim: usize) {
        let job = self.workers[victim].job.clone();
        self.workers[victim] = self.start(&job);
    }

    /// Half of them are killed where they are, stopped or not; the others leave.
    pub(crate) fn ends(mut self) {
        let others: Vec<_> = self.workers.drain(..).enumerate().collect();
        // One of them may wait for another.
        others.iter().filter(|(i, _)| i % 2 != 0).for_each(|(_, worker)| worker.role.go_on());
        for (i, mut worker) in others {
            if i % 2 == 0 {
                worker.role.kill();
            } else {
                worker.role.finish();
            }
        }
        println!(
            "torture of {}: {} killed, {} stopped, {} left in order",
            self.jobs.len(),
            self.killed,
            self.stopped,
            self.left
        );
    }
}
