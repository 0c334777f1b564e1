//! `shmflow view`: the picture in the terminal.

mod blocks;
mod kitty;
mod scale;
mod sixel;
mod terminal;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use shmflow::meta::MetaView;
use shmflow::{Consumer, Error};

use crate::outcome::{Failure, Outcome};
use crate::picture::Picture;
use crate::screen::Screen;
use crate::{grab, table, text};
use scale::{Image, fit};
use terminal::{Key, Terminal};

/// Show the picture in the terminal, as it changes
///
/// With kitty's protocol or sixel where the terminal has them, and half blocks in colour
/// elsewhere. q and Ctrl-C end it. No lossless producer waits for it, and frames that come
/// faster than --fps are skipped.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  shmflow view cam0
  shmflow view cam0 --protocol blocks --fps 5
  shmflow view cam0 --count 1              the newest frame, once"
)]
pub(crate) struct View {
    /// Name of the topic
    #[arg(add = crate::completions::topics())]
    topic: String,
    /// How pictures are drawn
    #[arg(long, value_enum, default_value = "auto")]
    protocol: Protocol,
    /// Pictures a second at most
    #[arg(long, default_value = "10", value_parser = fps)]
    fps: f64,
    /// End after so many pictures
    #[arg(long, short, value_name = "PICTURES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    Auto,
    Kitty,
    Sixel,
    Blocks,
}

fn fps(text: &str) -> Result<f64, String> {
    let fps = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (0.01..=1000.0).contains(&fps) { Ok(fps) } else { Err("it must be between 0.01 and 1000".into()) }
}

/// Longest wait for a frame before the keyboard is looked at again.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn run(out: &mut dyn Write, dir: Option<&Path>, args: &View) -> Result<Outcome, Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::Other("view needs a terminal; for files there is `shmflow grab`".into()));
    }
    let screen = Screen::remember()?;
    let mut consumer = grab::consumer(&args.topic, dir, "shmflow view")?;
    let mut terminal = Terminal::enter()?;
    let protocol = match args.protocol {
        Protocol::Auto => terminal.best_protocol(out)?,
        chosen => chosen,
    };
    screen.changes(b"\x1b[?25h\n");
    write!(out, "\x1b[?25l\x1b[2J")?;
    let result = watch(out, &mut consumer, (&mut terminal, &screen), protocol, args);
    if protocol == Protocol::Kitty && args.count.is_none() {
        kitty::clear(out)?;
    }
    out.flush()?;
    drop(screen);
    result.map(|()| Outcome::Done)
}

/// Draws until the stream or the user ends it.
fn watch(
    out: &mut dyn Write,
    consumer: &mut Consumer,
    (terminal, screen): (&mut Terminal, &Screen),
    protocol: Protocol,
    args: &View,
) -> Result<(), Failure> {
    let (mut left, mut due) = (args.count.unwrap_or(u64::MAX), Instant::now());
    let mut drawn: Option<Place> = None;
    let mut last: Option<(Image, String)> = None;
    loop {
        if left == 0 || terminal.key(due.saturating_duration_since(Instant::now()))? == Some(Key::Quit) {
            return Ok(());
        }
        if Instant::now() < due {
            continue;
        }
        let frame = match consumer.skip_to_newest().and_then(|()| consumer.recv_timeout(LOOK)) {
            Ok(frame) => frame,
            Err(Error::Timeout { .. }) => {
                // Nothing new, but perhaps another size.
                if let Some((image, about)) = &last
                    && drawn.is_some_and(|(screen, _)| screen != terminal::size())
                {
                    let _drawing = screen.drawing();
                    draw(out, protocol, image, about, &mut drawn)?;
                }
                continue;
            }
            Err(Error::Ended { .. } | Error::Removed { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let about = format!("{}  frame {}  {}", args.topic, frame.seq(), grab::about(&frame));
        let (bytes, block) = (frame.to_vec(), frame.meta_bytes());
        drop(frame);
        let picture = MetaView::parse(&block).map_err(|error| error.to_string());
        let pixels = picture.and_then(|meta| Picture::new(&meta, &bytes)?.pixels());
        let pixels =
            pixels.map_err(|why| Failure::Other(format!("topic `{}`: {why}", text::safe(&args.topic))))?;
        let image = Image::of(&pixels);
        let drawing = screen.drawing();
        draw(out, protocol, &image, &about, &mut drawn)?;
        drop(drawing);
        last = Some((image, about));
        left = left.saturating_sub(1);
        due = Instant::now() + Duration::from_secs_f64(1.0 / args.fps);
    }
}

/// Where a picture was drawn: the terminal, and the cells that it takes.
type Place = (terminal::Size, (u32, u32));

/// Draws one picture over the one before, with a line below it, in one write: so that it does not flicker. Where the one before
/// took another place, what is left of it is cleared.
fn draw(
    out: &mut dyn Write,
    protocol: Protocol,
    image: &Image,
    about: &str,
    drawn: &mut Option<Place>,
) -> Result<(), Failure> {
    let screen = terminal::size();
    let room = (screen.columns.max(1), screen.rows.saturating_sub(1).max(1));
    let cells = fit(image, room, screen.cell);
    let pixels = match protocol {
        Protocol::Blocks | Protocol::Auto => (cells.0, cells.1 * 2),
        _ => (cells.0 * screen.cell.0, cells.1 * screen.cell.1),
    };
    let image = image.scaled(pixels);
    let mut text = Vec::new();
    if drawn.replace((screen, cells)).is_some_and(|before| before != (screen, cells)) {
        if protocol == Protocol::Kitty {
            kitty::clear(&mut text)?;
        }
        text.extend_from_slice(b"\x1b[2J");
    }
    text.extend_from_slice(b"\x1b[H");
    match protocol {
        Protocol::Kitty => kitty::draw(&mut text, &image, cells),
        Protocol::Sixel => sixel::draw(&mut text, &image),
        _ => blocks::draw(&mut text, &image),
    }
    let about = table::cut(&text::safe(about), room.0 as usize);
    text.extend_from_slice(format!("\x1b[{};1H\x1b[J{about}\r", cells.1 + 1).as_bytes());
    out.write_all(&text)?;
    out.flush()?;
    Ok(())
}
