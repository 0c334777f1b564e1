//! `shmflow top`: all topics and their participants, live.

mod draw;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use serde_json::Value;

use crate::outcome::{Failure, Outcome};
use crate::sample::overview::Overview;
use crate::screen::Screen;
use crate::{json, ls};
use view::View;

/// Show all topics and their participants, live
///
/// FPS is the rate at which frames are published, with its history; JITTER the standard
/// deviation of the time between two frames; AGE that of the newest frame; LATENCY the
/// time from its capture to its publication; LAG the frames that the consumer furthest
/// behind has not read, of those that want all; LOST those that were lost or dropped,
/// COPIED those received as copies, HELD the slots that consumers hold. Nothing joins the
/// topics: producers and consumers do not notice.
///
/// Keys: q quits, up and down select, Enter shows or hides the participants of the
/// selected topic, s sorts by the next column, r reverses, / filters names, p pauses.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow top                            until q
  shmflow top --sort lost --filter cam
  shmflow top --json --count 3           three lines of JSON, for scripts"
)]
pub(crate) struct Top {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = crate::args::seconds)]
    interval: Duration,
    /// Column to sort by
    #[arg(long, value_enum, default_value = "name")]
    sort: view::Sort,
    /// Show only topics whose names contain this
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Write each look as a line of JSON, an array of topics
    #[arg(long)]
    json: bool,
    /// End after so many looks
    #[arg(long, short, value_name = "LOOKS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &Top) -> Result<Outcome, Failure> {
    let mut overview = Overview::new(dir);
    if args.json {
        return as_lines(out, &mut overview, dir, args);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let what =
            "top needs a terminal; for files and pipes there are `shmflow ls` and `shmflow top --json`";
        return Err(Failure::Other(what.into()));
    }
    // The whole screen, whose keys are read one by one, is given back, and the cursor is shown again.
    let screen = Screen::remember()?;
    let mut view = View::new(args.sort, args.filter.clone(), &ls::place(dir));
    view.trouble = overview.look().err();
    enable_raw_mode()?;
    screen.changes(b"\x1b[?1049l\x1b[?25h");
    execute!(io::stdout(), EnterAlternateScreen)?;
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    let result = watch((&mut terminal, &screen), &mut overview, &mut view, args);
    drop(terminal);
    drop(screen);
    result.map(|()| Outcome::Done)
}

fn watch(
    (terminal, screen): (&mut Terminal<CrosstermBackend<io::Stdout>>, &Screen),
    overview: &mut Overview,
    view: &mut View,
    args: &Top,
) -> Result<(), Failure> {
    let mut due = Instant::now() + args.interval;
    let mut looks = 1;
    loop {
        view.update(overview);
        let drawing = screen.drawing();
        terminal.draw(|frame| draw::draw(frame, overview, view))?;
        drop(drawing);
        if args.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        let left = due.saturating_duration_since(Instant::now());
        if event::poll(left)? {
            // Whatever else happened, as a change of size, is a reason to draw.
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && view.on_key(key, overview).is_break()
            {
                return Ok(());
            }
        }
        let now = Instant::now();
        if now >= due {
            // Where the machine was asleep, looks are not made up for.
            due = now + args.interval;
            looks += 1;
            if !view.paused {
                // A directory that is not there may come, as consumers expect it, too.
                view.trouble = overview.look().err();
            }
        }
    }
}

fn as_lines(
    out: &mut dyn Write,
    overview: &mut Overview,
    dir: Option<&Path>,
    args: &Top,
) -> Result<Outcome, Failure> {
    for look in 0..args.count.unwrap_or(u64::MAX) {
        if look != 0 {
            std::thread::sleep(args.interval);
        }
        overview.look()?;
        let shown = view::named(overview, &args.filter).into_iter().filter_map(|(name, topic)| match topic {
            Some(topic) => Some(json::watched(topic)),
            None => Some(json::unreadable(name, overview.error_of(name)?, ls::access(name, dir))),
        });
        writeln!(out, "{}", Value::from(shown.collect::<Vec<_>>()))?;
        out.flush()?;
    }
    Ok(Outcome::Done)
}
