//! Each row is a situation; times are in milliseconds since the viewer's pipeline started.

use super::super::clock::ClockOffset;
use super::*;

const MS: i64 = 1_000_000;
/// The base time of the viewer's pipeline, on `CLOCK_MONOTONIC`.
const BASE: i64 = 1_000_000 * MS;

/// A frame as it comes.
#[derive(Clone, Copy)]
struct Row {
    /// When it was captured and came; negative is before the start.
    capture: Option<i64>,
    came: i64,
    latency: i64,
    waited: bool,
    newest: bool,
    producer: u8,
    pts: Option<i64>,
}

fn frame(capture: i64, came: i64) -> Row {
    Row { capture: Some(capture), came, latency: 0, waited: true, newest: false, producer: 0, pts: None }
}

fn at(ms: i64) -> u64 {
    u64::try_from(BASE + ms * MS).expect("after the machine was started")
}

fn place(timeline: &mut Timeline, is_live: bool, row: Row) -> Placement {
    let frame = FrameTimes {
        capture_ns: row.capture.map(at),
        pts_ns: row.pts.map(|ms| (ms * MS) as u64),
        duration_ns: Some(10 * MS as u64),
        latency_ns: (row.latency * MS) as u64,
        ..FrameTimes::default()
    };
    let clock = Some(RunningClock { base_ns: BASE as u64, offset: ClockOffset::SAME });
    let producer = ParticipantId { id: row.producer, generation: 1 };
    let (at_ns, waited, is_newest) = (at(row.came), row.waited, row.newest);
    timeline.place(is_live, &frame, &Arrival { at_ns, waited, is_newest, producer, clock })
}

/// Where frames are put that come one after the other; `None` is left out.
fn places(is_live: bool, rows: impl IntoIterator<Item = Row>) -> Vec<Option<i64>> {
    let mut timeline = Timeline::default();
    let place = |row| match place(&mut timeline, is_live, row) {
        Placement::At { running_ns, .. } => Some(running_ns as i64 / MS),
        Placement::BeforeStart => None,
        Placement::Unclocked => panic!("there is a clock"),
    };
    rows.into_iter().map(place).collect()
}

fn live(rows: impl IntoIterator<Item = Row>) -> Vec<Option<i64>> {
    places(true, rows)
}

fn not_live(rows: impl IntoIterator<Item = Row>) -> Vec<Option<i64>> {
    places(false, rows)
}

#[test]
fn a_frame_is_at_the_moment_of_its_capture() {
    assert_eq!(live([frame(0, 1), frame(40, 42), frame(80, 85)]), [Some(0), Some(40), Some(80)]);
}

#[test]
fn what_was_captured_before_the_start_is_left_out_unless_nothing_follows() {
    assert_eq!(live([frame(-40, 1), frame(-1, 2), frame(39, 40)]), [None, None, Some(39)]);
    let still = Row { newest: true, ..frame(-5_000, 250) };
    assert_eq!(live([frame(-5_000, 1), still, frame(300, 301)]), [None, Some(250), Some(300)]);
    // A time-lapse camera, whose frames are captured before they are published; the viewer came in between.
    let lapse = |n: i64| Row { newest: n == 0, ..frame(n * 5_000 - 20, n * 5_000 + 400) };
    assert_eq!(live([lapse(0), lapse(1), lapse(2)]), [Some(400), Some(5_400), Some(10_400)]);
}

#[test]
fn a_latency_of_more_than_a_second_is_allowed_for() {
    let rtsp = |n: i64| Row { latency: 2_500, ..frame(n * 40 - 2_500, n * 40) };
    let placed = live((0..200).map(rtsp));
    // Left out for as long as it was captured before the start, then evenly, and never back.
    assert!(placed.iter().take(62).all(Option::is_none), "{placed:?}");
    let shown: Vec<i64> = placed.into_iter().flatten().collect();
    assert!(shown.windows(2).all(|two| two[1] - two[0] == 40), "{shown:?}");
    assert_eq!(shown.first(), Some(&20));
}

#[test]
fn nothing_was_captured_after_it_came() {
    // A film that is published faster than its timestamps say.
    let film = |n: i64| frame(n * 40, 500 + n * 10);
    assert_eq!(live((40..44).map(film)), [Some(900), Some(910), Some(920), Some(930)]);
    // Three frames an hour ahead, a camera whose clock is a day ahead.
    let hour = 3_600_000;
    let rows = [frame(0, 1), frame(hour, 41), frame(hour + 40, 81), frame(120, 121), frame(160, 161)];
    assert_eq!(live(rows), [Some(0), Some(41), Some(81), Some(120), Some(160)]);
    assert_eq!(live([frame(24 * hour, 5), frame(24 * hour + 40, 45)]), [Some(5), Some(45)]);
}

#[test]
fn a_producer_slower_than_its_timestamps_is_shown_from_a_second_on_and_never_back() {
    // 20 frames a second, stamped as 30, from the viewer's start on.
    let slow = |n: i64| frame(n * 33, n * 50);
    let placed: Vec<i64> = live((0..200).map(slow)).into_iter().flatten().collect();
    assert_eq!(placed.len(), 200, "all are delivered");
    assert!(placed.windows(2).all(|two| two[0] <= two[1]), "{placed:?}");
    let late = |(n, at): (usize, &i64)| n as i64 * 50 - at;
    assert!(placed.iter().enumerate().skip(25).map(late).all(|late| late == 0), "{placed:?}");
    // The same for a viewer that comes much later.
    let behind = |n: i64| frame(n * 33 - 1_700, n * 50);
    let placed = live((0..100).map(behind));
    assert!(placed.iter().skip(21).all(Option::is_some), "{placed:?}");
    let shown: Vec<i64> = placed.into_iter().flatten().collect();
    assert!(shown.windows(2).all(|two| two[1] - two[0] == 50), "{shown:?}");
}

#[test]
fn a_camera_that_keeps_its_latency_to_itself_is_shown_as_evenly_as_it_captures() {
    for (delay, jitter) in [(60, 15), (50, 0), (300, 10)] {
        let camera =
            |n: i64| frame(n * 40, n * 40 + delay + [0, jitter, -jitter, jitter / 2][n as usize % 4]);
        let placed: Vec<i64> = live((0..150).map(camera)).into_iter().flatten().collect();
        let steps: Vec<i64> = placed.windows(2).map(|two| two[1] - two[0]).collect();
        // But for the one step with which it is believed.
        let uneven = steps.iter().filter(|step| **step != 40).count();
        assert!(uneven <= 2, "{delay} ± {jitter}: {steps:?}");
        assert!(placed[149] >= 149 * 40 + delay - jitter, "and in time: {}", placed[149]);
    }
}

#[test]
fn a_late_producer_that_catches_up_is_not_shown_late_for_ever() {
    let catches_up = |n: i64| frame(n * 40, n * 40 + (3_000 - n * 20).max(300));
    let placed: Vec<i64> = live((0..200).map(catches_up)).into_iter().flatten().collect();
    assert!(placed.windows(2).all(|two| two[0] <= two[1]), "{placed:?}");
    assert!(placed[199] <= 199 * 40 + 300 + 40, "{}", placed[199]);
}

#[test]
fn a_late_producer_that_recovers_while_its_viewer_is_slow_puts_nothing_into_the_future() {
    let mut rows: Vec<Row> = (0..60).map(|n: i64| frame(n * 20, n * 60)).collect();
    rows.extend((60..80).map(|n: i64| Row { waited: false, ..frame(n * 60, n * 60 + 5) }));
    let placed: Vec<i64> = live(rows).into_iter().flatten().collect();
    let ahead = (60..80).map(|n| placed[n as usize] - (n * 60 + 5)).max();
    assert!(ahead <= Some(40), "{ahead:?} ms");
}

#[test]
fn a_moments_trouble_changes_no_times() {
    // The producer stood still for 300 ms; then everything came at once.
    let rows = (0..20).map(|n: i64| frame(n * 40, if (5..13).contains(&n) { 510 + n } else { n * 40 + 1 }));
    assert_eq!(live(rows), (0..20).map(|n| Some(n * 40)).collect::<Vec<_>>());
    // This pipeline was slow: frames were there already when it looked.
    let rows = (0..100).map(|n: i64| Row { waited: false, ..frame(n * 40, n * 40 + 200) });
    assert_eq!(live(rows), (0..100).map(|n| Some(n * 40)).collect::<Vec<_>>());
}

#[test]
fn a_producer_that_recovers_is_trusted_again() {
    let mut rows: Vec<Row> = (0..60).map(|n: i64| frame(n * 20, n * 40)).collect();
    rows.extend((60..80).map(|n: i64| frame(n * 40, n * 40 + 1)));
    let placed: Vec<i64> = live(rows).into_iter().flatten().collect();
    assert_eq!(placed[59], 59 * 40, "by arrival");
    assert_eq!(placed[61..], (61..80).map(|n| n * 40).collect::<Vec<_>>(), "by capture");
}

#[test]
fn with_several_producers_times_never_step_back_either() {
    let camera = |n: i64| frame(n * 40, n * 40 + 1);
    let slow = |n: i64| Row { producer: 1, latency: 400, ..frame(n * 40 - 400, n * 40 + 2) };
    let placed: Vec<i64> = live((0..50).flat_map(|n| [camera(n), slow(n)])).into_iter().flatten().collect();
    assert!(placed.windows(2).all(|two| two[0] <= two[1]), "{placed:?}");
    assert_eq!(placed.len(), 100, "nothing is left out once there was a first frame");
}

#[test]
fn a_frame_that_does_not_say_when_it_was_captured_came_when_it_came() {
    let silent = |came| Row { capture: None, ..frame(0, came) };
    assert_eq!(live([silent(7), silent(47)]), [Some(7), Some(47)]);
    assert_eq!(live([frame(5, 7), silent(47), frame(46, 48)]), [Some(5), Some(47), Some(47)]);
}

#[test]
fn a_new_base_time_is_followed() {
    let mut timeline = Timeline::default();
    place(&mut timeline, true, frame(9_000, 9_001));
    // A flush set the running time back: as if the frames came much earlier.
    let placed = place(&mut timeline, true, frame(10, 11));
    assert_eq!(placed, Placement::At { running_ns: 10 * MS as u64, reorder_ns: None, corrected: false });
}

#[test]
fn without_a_clock_there_is_no_running_time() {
    let producer = ParticipantId { id: 0, generation: 1 };
    let mut arrival = Arrival { at_ns: 5, waited: true, is_newest: false, producer, clock: None };
    let times = FrameTimes { capture_ns: Some(1), ..FrameTimes::default() };
    assert_eq!(Timeline::default().place(true, &times, &arrival), Placement::Unclocked);
    arrival.clock = Some(RunningClock { base_ns: 0, offset: ClockOffset::default() });
    assert_eq!(Timeline::default().place(true, &times, &arrival), Placement::Unclocked);
    let first = Placement::At { running_ns: 0, reorder_ns: None, corrected: false };
    assert_eq!(Timeline::default().place(false, &times, &arrival), first, "not live: none is needed");
}

#[test]
fn not_live_frames_keep_their_distances_from_0_on() {
    assert_eq!(not_live([frame(-900, 1), frame(-860, 1), frame(100, 1)]), [Some(0), Some(40), Some(1_000)]);
    let film = |pts| Row { capture: None, pts: Some(pts), ..frame(0, 1) };
    assert_eq!(not_live([film(7_000), film(7_040)]), [Some(0), Some(40)]);
    let silent = |came| Row { capture: None, ..frame(0, came) };
    assert_eq!(not_live([silent(500), silent(530)]), [Some(0), Some(30)]);
}

#[test]
fn not_live_the_first_frame_may_know_less_than_the_others() {
    let silent = Row { capture: None, ..frame(0, 3) };
    assert_eq!(not_live([silent, frame(100, 101), frame(140, 141)]), [Some(0), Some(10), Some(50)]);
}

#[test]
fn not_live_a_producers_new_start_goes_on_where_the_last_one_was() {
    let film = |pts| Row { capture: None, pts: Some(pts), ..frame(0, 1) };
    assert_eq!(
        not_live([film(0), film(9_000), film(0), film(40)]),
        [Some(0), Some(9_000), Some(9_010), Some(9_050)]
    );
    let other = |pts| Row { producer: 1, ..film(pts) };
    assert_eq!(not_live([film(0), other(80_000), film(40)]), [Some(0), Some(10), Some(20)]);
}

#[test]
fn whatever_a_frame_says_the_result_is_a_time() {
    let times = |value: u64| {
        Times::default()
            .capture_ns(value)
            .clock(Clock::Monotonic)
            .pts(value)
            .dts(value)
            .duration(value)
            .latency_ns(value)
    };
    let values = [0, 1, MAX_LATENCY_NS, MAX_NS - 1, MAX_NS, MAX_NS + 1, u64::MAX - 1, u64::MAX];
    let clocks =
        [0, 5, MAX_NS, u64::MAX].map(|base_ns| Some(RunningClock { base_ns, offset: ClockOffset::SAME }));
    for (is_live, clock) in [(true, clocks), (false, clocks)].into_iter().flat_map(|(l, c)| c.map(|c| (l, c)))
    {
        let mut timeline = Timeline::default();
        for round in 0..200_usize {
            let (value, came) = (values[round * 7 % 8], values[round * 3 % 8]);
            let frame = FrameTimes::of(&times(value), false);
            assert!(frame.latency_ns <= MAX_LATENCY_NS && frame.capture_ns.is_none_or(|ns| ns <= MAX_NS));
            let producer = ParticipantId { id: round as u8, generation: round as u64 % 3 };
            let arrival = Arrival { at_ns: came, waited: true, is_newest: round % 2 == 0, producer, clock };
            if let Placement::At { running_ns, .. } = timeline.place(is_live, &frame, &arrival) {
                assert!(running_ns <= MAX_NS);
            }
        }
    }
}

#[test]
fn a_clock_other_than_the_monotonic_one_says_nothing_here() {
    let times = Times::default().capture_ns(5).clock(Clock::Realtime);
    assert_eq!(FrameTimes::of(&times, false).capture_ns, None);
}

#[test]
fn durations() {
    assert_eq!(frame_duration((30_000, 1_001)), Some(33_366_666));
    assert_eq!(frame_duration((60, 1)), Some(16_666_666));
    assert_eq!([frame_duration((0, 0)), frame_duration((0, 1)), frame_duration((u32::MAX, 1))], [None; 3]);
    assert_eq!(running_duration(33, 1.0), 33);
    assert_eq!(running_duration(40_000_000, 2.0), 20_000_000);
    assert_eq!(running_duration(40_000_000, -0.5), 80_000_000);
    assert_eq!(running_duration(40, 0.0), 40);
}

#[test]
fn packets_from_before_the_start_get_times_one_after_the_other_and_those_of_one_moment_the_same() {
    let mut timeline = Timeline::default();
    let mut place = |capture: i64, came: i64| {
        let frame = FrameTimes { capture_ns: Some(at(capture)), is_packet: true, ..FrameTimes::default() };
        let clock = Some(RunningClock { base_ns: BASE as u64, offset: ClockOffset::SAME });
        let producer = ParticipantId { id: 0, generation: 1 };
        let arrival = Arrival { at_ns: at(came), waited: false, is_newest: true, producer, clock };
        match timeline.place(true, &frame, &arrival) {
            Placement::At { running_ns, .. } => running_ns as i64 / MS,
            other => panic!("{other:?}"),
        }
    };
    let places = [-100, -60, -60, -20, 10, 20, 60].map(|capture| place(capture, 30));
    assert_eq!(places, [30, 31, 31, 32, 33, 33, 34]);
    assert_eq!((place(70, 70), place(70, 70), place(80, 80)), (70, 70, 80));
}

#[test]
fn pictures_from_before_the_start_keep_the_order_in_which_they_are_shown() {
    // Decoded every 33 ms, from four seconds before the start on, and shown in another order.
    let later = [33, 133, 33, 0, 0];
    for (first, pace, came) in [(-4_000, 33, 5), (-60_000, 1_000, 700)] {
        let mut timeline = Timeline::default();
        let mut own_and_placed = Vec::new();
        let mut decoded = Vec::new();
        for n in 0..200_i64 {
            let dts = first + n * pace;
            let reorder = later[n as usize % 5] * pace / 33;
            let frame = FrameTimes {
                capture_ns: Some(at(dts)),
                reorder_ns: Some(reorder * MS),
                has_pts: true,
                is_packet: true,
                ..FrameTimes::default()
            };
            let clock = Some(RunningClock { base_ns: BASE as u64, offset: ClockOffset::SAME });
            let producer = ParticipantId { id: 0, generation: 1 };
            let arrival =
                Arrival { at_ns: at(dts.max(came)), waited: dts > came, is_newest: true, producer, clock };
            let Placement::At { running_ns, reorder_ns, .. } = timeline.place(true, &frame, &arrival) else {
                panic!("a packet is never left out")
            };
            let (shown, at) = frame.of_buffer(Some(running_ns), reorder_ns);
            decoded.push(at);
            own_and_placed.push((dts + reorder, shown.expect("it is shown")));
        }
        assert!(decoded.is_sorted_by(|one, next| one < next), "{decoded:?}");
        own_and_placed.sort_unstable();
        assert!(own_and_placed.is_sorted_by_key(|(_, placed)| *placed), "{own_and_placed:?}");
        let (own, placed) = own_and_placed.last().copied().expect("some");
        assert_eq!(placed, (own * MS) as u64, "it has caught up");
        let after = own_and_placed.iter().filter(|(own, placed)| *placed != (own * MS) as u64).count();
        assert!((after as i64) < -first / pace + (came + 150) / pace + 6, "{after} until it had caught up");
    }
}

/// When pictures were shown in their producer's running time, and here, in the order of decoding. Of a producer that says
/// nothing of the decoding.
fn shown(is_live: bool, rows: &[(i64, i64)]) -> Vec<i64> {
    let mut timeline = Timeline::default();
    let place = |&(shown, came): &(i64, i64)| {
        let own = Times::default().capture_ns(at(shown)).pts(Some((shown + 1_000) as u64 * MS as u64));
        let frame = FrameTimes::of(&own.clock(Clock::Monotonic), true);
        let clock = Some(RunningClock { base_ns: BASE as u64, offset: ClockOffset::SAME });
        let producer = ParticipantId { id: 0, generation: 1 };
        let arrival = Arrival { at_ns: at(came), waited: true, is_newest: true, producer, clock };
        match timeline.place(is_live, &frame, &arrival) {
            Placement::At { running_ns, reorder_ns, corrected } => {
                assert!(!corrected, "{shown}");
                let (pts, dts) = frame.of_buffer(Some(running_ns), reorder_ns);
                assert_eq!(dts, None, "nothing was said of it");
                pts.expect("it is shown") as i64 / MS
            }
            other => panic!("{other:?}"),
        }
    };
    rows.iter().map(place).collect()
}

#[test]
fn pictures_that_only_say_when_they_are_shown_are_shown_then_in_whatever_order_they_come() {
    // As matroskademux has them: a sink publishes each when it is to be shown, or is late.
    let own = [0, 120, 40, 80, 240, 160, 200];
    let mut latest = 0;
    let rows: Vec<_> = own
        .iter()
        .map(|shown| {
            latest = latest.max(*shown);
            (*shown, latest)
        })
        .collect();
    assert_eq!(shown(true, &rows), own);
    assert_eq!(shown(false, &rows), own);
    // From before the start: faster, and in the same order.
    let before: Vec<_> = own.iter().map(|shown| (shown - 1_000, 20)).collect();
    let mut placed: Vec<_> = own.iter().zip(shown(true, &before)).collect();
    placed.sort_unstable();
    assert!(placed.is_sorted_by(|one, next| one.1 < next.1), "{placed:?}");
}
