//! A pipeline whose format changes all the time, into rings that grow with it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Scene;
use crate::Result;
use crate::bystanders::{Bystanders, Near, testimony};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;
use crate::programs::role;

const TOPIC: &str = "pictures";

pub(super) fn ten_a_second(scene: &Scene<'_>) -> Result<Outcome> {
    // 3 frames at 30 a second of each format.
    let formats = usize::try_from(scene.time.as_secs().max(3) * 10)?;
    let place = Place::new()?;
    let dir = place.path().display();
    let mut text = format!("concat name=all ! shmflowsink topic={TOPIC} directory={dir} max-buffers=64");
    for n in 0..formats {
        let format = if n % 4 == 3 { "BGRx" } else { "GRAY8" };
        // Rows of whole words: then a picture is as long as its pixels are.
        let (width, height) = (64 + n * 52 % 576, 48 + n * 36 % 433);
        write!(
            text,
            " videotestsrc num-buffers=3 pattern=solid-color foreground-color={:#x} ! \
             video/x-raw,format={format},width={width},height={height},framerate=30/1 ! all.",
            0xff00_0000_u32 | ((n * 40 % 256) as u32 * 0x1_0101)
        )?;
    }
    let mut command = match scene.programs.pipeline(&text) {
        Ok(command) => command,
        Err(why) => return Ok(Outcome::only_absent(why)),
    };
    let viewer = format!("shmflowsrc topic={TOPIC} directory={dir} ! videoconvert ! fakesink sync=false");
    let mut viewer = Process::start("a viewer", &mut scene.programs.pipeline(&viewer)?)?;
    let exe = &scene.programs.exe;
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start(exe, place.path(), Near::Nothing, 2000)?;
    let mut checker = role(exe, "consume", place.path(), TOPIC);
    let mut checker = Process::start("a consumer of pictures", checker.arg("--pictures"))?;
    let mut producer = Process::start("a pipeline that changes its format", &mut command)?;
    let deadline = Instant::now() + scene.time + Duration::from_secs(120);
    for process in [&mut producer, &mut checker, &mut viewer] {
        while process.ended()?.is_none() {
            bystanders.check()?;
            if Instant::now() > deadline {
                return Err(format!("{} hangs: {}", process.what(), process.last_words()).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    for process in [&mut producer, &mut viewer] {
        let status = process.wait()?;
        if !status.success() {
            outcome.broke(format!("{} ended with {status}: {}", process.what(), process.last_words()));
        }
    }
    let found = testimony(&mut checker)?;
    let number = |key: &str| found.get(key).and_then(Value::as_u64).unwrap_or_default();
    outcome.tried = number("formats");
    outcome.lost = number("lost");
    let wanted = formats as u64;
    // A picture that was lost, and was told to be, may have been the only one of its format.
    if number("frames") + number("lost") != 3 * wanted || number("formats") + number("lost") < wanted {
        outcome.broke(format!(
            "{} frames in {} formats of {} in {wanted}",
            number("frames"),
            number("formats"),
            3 * wanted
        ));
    }
    outcome.tell(format!(
        "{} pictures in {} formats, each whole; the viewer went on to the end",
        number("frames"),
        number("formats")
    ));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}
