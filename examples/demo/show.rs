//! The demo itself: starts the processes, disturbs one of them, and says what came of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::built;
use crate::child::Process;
use crate::screen::Screen;
use crate::summary::{Metered, Sent, number};
use crate::{Options, Result};
use crate::{command, receiver, sender, sheet, video};

/// For what takes a moment after the video's end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(options: &Options) -> Result<()> {
    let work = options.out.join("work");
    // Only what an earlier demo left there.
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let source = video::make(&options.out, options.seconds)?;
    let plugins = plugin_directory(&options.out)?;
    let screen = Screen::find(options.window);
    let encoded = options.out.join("encoded.mp4");
    let _ = std::fs::remove_file(&encoded);

    let full = format!("{}/full", options.prefix);
    let small = format!("{}/small", options.prefix);
    let encoder_words = format!(
        "shmflowsrc topic={full} ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse \
         ! mp4mux ! filesink location={}",
        encoded.display()
    );

    println!("\nEach of these is a process of its own. The consumers come first, and wait for the topics:");
    let mut meter = Process::role("meter", &[OsStr::new("meter"), full.as_ref(), work.as_os_str()], None)?;
    tell("meter", &meter, &receiver::typed_meter(&full));
    let mut meter_small =
        Process::role("second meter", &[OsStr::new("meter"), small.as_ref(), OsStr::new("")], None)?;
    tell("meter", &meter_small, &receiver::typed_meter(&small));
    let mut encoder = Process::launch("encoder", &encoder_words, &plugins)?;
    tell("encoder", &encoder, &format!("gst-launch-1.0 -e {encoder_words}"));
    let mut viewer = view(&full, &screen)?;
    tell("viewer", &viewer, &receiver::typed_viewer(&full, screen.is_there()));
    // Joining late works too, but then they would have less to count.
    encoder.expect("Setting pipeline to PLAYING", PATIENCE)?;
    for receiver in [&mut meter, &mut meter_small, &mut viewer] {
        receiver.expect(receiver::WAITING, PATIENCE)?;
    }
    let sending = Process::role(
        "sender",
        &[OsStr::new("sender"), source.as_os_str(), options.prefix.as_ref(), work.as_os_str()],
        None,
    )?;
    tell("sender", &sending, &format!("gst-launch-1.0 {}", sender::typed(&source, &options.prefix)));

    let half = Duration::from_secs(u64::from(options.seconds) / 2);
    std::thread::sleep(half);
    viewer.expect(receiver::SHOWING, PATIENCE)?;
    let listed = command::list(&options.prefix);
    let window = options.out.join("window.png");
    let pictured = screen.picture(&window).unwrap_or_else(|error| {
        println!("The screen could not be pictured: {error}");
        false
    });
    println!("\nHalf-way: the viewer gets SIGKILL, while it holds a frame, and is started again.");
    viewer.kill()?;
    let mut viewer = view(&full, &screen)?;
    // On a slow machine the video may be over before a program has started: then it waits for the next one.
    let came_back = viewer.expect(receiver::SHOWING, half).is_ok();

    let sender_lines = sending.finish(half.saturating_add(PATIENCE))?;
    let meter_lines = meter.finish(PATIENCE)?;
    let small_lines = meter_small.finish(PATIENCE)?;
    encoder.finish(PATIENCE)?;
    if came_back {
        viewer.finish(PATIENCE)?;
    } else {
        viewer.kill()?;
    }

    println!("\nEverybody has seen the end of the stream. What came of it:\n");
    let mut sound = true;
    for (topic, lines) in [("full", &meter_lines), ("small", &small_lines)] {
        let sent = Sent::parse(&sender_lines, topic)?;
        let metered = Metered::parse(lines, &sent)?;
        print_topic(&format!("{}/{topic}", options.prefix), &sent, &metered);
        sound &= metered.frames > 0 && metered.identical == metered.frames;
    }
    println!("encoder       {} frames in {}", video::count(&encoded)?, encoded.display());
    let fate = if came_back { "saw the end of the stream" } else { "came too late: the video was over" };
    println!("viewer        killed once, started again, {fate}");
    let pairs = sheet::write(&work, &options.out.join("contact-sheet.png"))?;
    println!("contact sheet {} ({pairs} pairs)", options.out.join("contact-sheet.png").display());
    if pictured {
        println!("screen        {}", window.display());
    }
    command::tell(&options.prefix, listed.as_deref());
    std::fs::remove_dir_all(&work)?;
    if sound { Ok(()) } else { Err("frames arrived changed, or none arrived".into()) }
}

fn view(topic: &str, screen: &Screen) -> Result<Process> {
    let how = if screen.is_there() { "window" } else { "hidden" };
    Process::role("viewer", &["viewer".as_ref(), topic.as_ref(), how.as_ref()], screen.display())
}

fn tell(name: &str, process: &Process, command: &str) {
    println!("{name:<9} {:>7}  {command}", process.id());
}

fn print_topic(topic: &str, sent: &Sent, metered: &Metered) {
    println!("topic {topic}");
    println!(
        "  sent        {} frames; written straight into shared memory {}, copied {}, dropped {}",
        sent.count(),
        number(sent.statistic("zero-copy")),
        number(sent.statistic("copied")),
        number(sent.statistic("dropped")),
    );
    println!(
        "  received    {} frames, {} of them identical pixel for pixel; lost {}, copied {}",
        metered.frames,
        metered.identical,
        metered.lost,
        number(metered.copied),
    );
    println!(
        "  latency     p50 {} µs, p99 {} µs from when a frame was due until another process had it",
        metered.p50 / 1000,
        metered.p99 / 1000,
    );
}

/// A directory with nothing but the plugin, for `gst-launch-1.0`: it would search all of the build's for more.
fn plugin_directory(out: &Path) -> Result<PathBuf> {
    let directory = std::path::absolute(out.join("work/plugins"))?;
    std::fs::create_dir_all(&directory)?;
    std::os::unix::fs::symlink(built::find(built::PLUGIN)?, directory.join(built::PLUGIN))?;
    Ok(directory)
}
