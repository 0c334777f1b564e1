//! Half a minute in which `gst-launch-1.0` processes are killed and stopped at random, while a producer and a consumer
//! that nobody touches must not notice more than they have to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use support::launched::Launched;
use support::{Running, Topic, until};

const LENGTH: Duration = Duration::from_secs(30);

/// Numbers that are random enough, and the same in each run: a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

#[test]
fn producers_never_miss_a_frame_and_consumers_recover_while_others_die_and_freeze() {
    let topic = Topic::new();
    let camera = |rate: u32| {
        format!("videotestsrc is-live=true ! video/x-raw,format=BGRx,width=320,height=240,framerate={rate}/1")
    };
    let producer = Running::playing(&format!("{} ! {}", camera(30), topic.sink("")));
    let consumer =
        Running::playing(&format!("{} ! appsink name=out sync=false max-buffers=4 drop=true", topic.src("")));
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let others = |random: &mut Random| match random.below(4) {
        0 => Launched::with(&format!("{} ! {}", camera(20), topic.sink("")), &[]),
        1 => Launched::with(
            &format!("{} ! queue min-threshold-buffers=30 max-size-bytes=0 ! fakesink", topic.src("")),
            &[],
        ),
        2 => Launched::with(&format!("{} read-only=true ! fakesink sync=false", topic.src("")), &[]),
        _ => Launched::with(&format!("{} ! videoconvert ! fakesink", topic.src("")), &[]),
    };
    let mut crowd: Vec<Launched> = (0..4).map(|_| others(&mut random)).collect();
    until("frames flow", || producer.stat("sink", "published") > 10);
    let (started, before) = (Instant::now(), producer.stat("sink", "published"));
    let mut gap = Duration::ZERO;
    let mut rounds = 0;
    while started.elapsed() < LENGTH {
        let one = usize::try_from(random.below(crowd.len() as u64)).expect("small");
        match random.below(3) {
            0 => crowd[one].signal("STOP"),
            1 => crowd[one].signal("CONT"),
            _ => {
                crowd[one].signal("KILL");
                crowd[one].code();
                crowd[one] = others(&mut random);
            }
        }
        // As many frames as come in the time until the next.
        let pause = Duration::from_millis(50 + random.below(250));
        let until_then = Instant::now() + pause;
        while Instant::now() < until_then {
            let waited = Instant::now();
            consumer.pull().expect("frames go on");
            gap = gap.max(waited.elapsed());
        }
        rounds += 1;
    }
    let expected = started.elapsed().as_millis() * 30 / 1000;
    let published = producer.stat("sink", "published") - before;
    drop(crowd);
    assert!(rounds > 60, "{rounds} rounds");
    assert_eq!(producer.stat("sink", "dropped"), 0, "of {published}");
    assert!(u128::from(published) + 15 >= expected, "{published} of {expected} frames in time");
    assert!(gap < Duration::from_secs(2), "no frame for {gap:?}");
    assert_eq!((producer.error(), consumer.error()), (None, None));
    drop((producer, consumer));
    // Whoever was killed last has left nothing that a next producer does not clean up.
    let last = Running::playing(&format!("{} ! {}", camera(30), topic.sink("")));
    until("a new producer works", || last.stat("sink", "published") > 3);
    drop(last);
    assert_eq!(topic.files(), Vec::<String>::new());
}
