//! What is expected of streams that come steadily, with jitter, with gaps, faster, slower, and no more.

use super::*;

const MS: u64 = 1_000_000;
const BUDGET: u64 = 150_000;
const IN_VAIN: Looked = Looked { found: false, crowded: false };
const CROWDED: Looked = Looked { found: false, crowded: true };
const START: u64 = 1_000 * MS;

fn busy() -> BusyWait {
    BusyWait::new(Duration::from_nanos(BUDGET))
}

/// Frames that are published then, and received a little later.
fn feed(busy: &mut BusyWait, times: impl IntoIterator<Item = u64>) -> (u64, u64) {
    let mut last = 0;
    for time in times {
        busy.arrived(busy.seq + 1, time, time + 20_000);
        last = time;
    }
    (busy.seq + 1, last)
}

fn beat(from: u64, interval: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |n| from + n * interval)
}

#[test]
fn a_steady_stream_is_slept_for_and_then_looked_for() {
    let mut busy = busy();
    let (next, last) = feed(&mut busy, beat(START, 16 * MS, 60));
    let due = last + 16 * MS;
    let Expected::Later(wake) = busy.expected(next, last + MS) else { panic!("{busy:?}") };
    assert!(due - wake <= BUDGET / 2 + OVERSLEPT_NS && wake < due, "{} before", due - wake);
    assert!(matches!(busy.expected(next, wake), Expected::Now(end) if end > due && end - wake <= BUDGET));
    assert_eq!(busy.expected(next, due + BUDGET), Expected::Unknown);
}

#[test]
fn the_first_frames_are_not_expected() {
    let mut busy = busy();
    for count in 0..=LEARNED {
        assert_eq!(busy.expected(busy.seq + 1, START), Expected::Unknown, "after {count}");
        feed(&mut busy, beat(START + u64::from(count) * 16 * MS, 16 * MS, 1));
    }
    feed(&mut busy, beat(START + 5 * 16 * MS, 16 * MS, 2));
    assert_ne!(busy.expected(busy.seq + 1, START + 6 * 16 * MS + MS), Expected::Unknown);
}

#[test]
fn frames_that_are_early_and_late_around_a_beat_are_expected_at_the_beat() {
    let mut busy = busy();
    // Up to 300 µs, in an order without a pattern.
    let mut state = 1_u64;
    let mut odd = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % 600_000
    };
    let times: Vec<_> = beat(START, 16 * MS, 300).map(|time| time + odd()).collect();
    let (next, _) = feed(&mut busy, times);
    let due = busy.predict(next);
    let beat = START + 300 * 16 * MS + 300_000;
    assert!(due.abs_diff(beat) < 150_000, "{}", due.abs_diff(beat));
    assert!(busy.interval.abs_diff(16 * MS) < 30_000, "{}", busy.interval);
    assert!((50_000..300_000).contains(&busy.jitter), "{}", busy.jitter);
}

#[test]
fn a_frame_that_its_camera_dropped_costs_a_few_frames_and_not_the_beat() {
    let mut busy = busy();
    let (_, last) = feed(&mut busy, beat(START, 16 * MS, 60));
    let (next, last) = feed(&mut busy, beat(last + 32 * MS, 16 * MS, 1));
    assert_eq!((busy.interval, busy.expected(next, last + MS)), (16 * MS, Expected::Unknown));
    let (next, last) = feed(&mut busy, beat(last + 16 * MS, 16 * MS, 4));
    assert!(matches!(busy.expected(next, last + MS), Expected::Later(wake) if wake > last + 15 * MS));
}

#[test]
fn another_rate_is_learned() {
    for interval in [4 * MS, 8 * MS, 33 * MS, 40 * MS, MS] {
        let mut busy = busy();
        let (_, last) = feed(&mut busy, beat(START, 16 * MS, 60));
        let (next, last) = feed(&mut busy, beat(last + interval, interval, 40));
        let due = last + interval;
        assert!(busy.predict(next).abs_diff(due) < 20_000, "{interval}: {busy:?}");
        assert_ne!(busy.expected(next, last + interval / 2), Expected::Unknown, "{interval}");
    }
}

#[test]
fn frames_that_were_lost_or_are_for_others_are_counted_in() {
    let mut busy = busy();
    for n in 0..60 {
        busy.arrived(1 + 3 * n, START + 3 * n * 16 * MS, START + 3 * n * 16 * MS);
    }
    assert_eq!(busy.interval, 16 * MS);
    let (last, next) = (START + 59 * 48 * MS, 1 + 60 * 3);
    assert!(matches!(busy.expected(next, last + MS), Expected::Later(wake) if wake > last + 47 * MS));
}

#[test]
fn after_frames_have_stopped_nothing_is_looked_for() {
    let mut busy = busy();
    let (next, last) = feed(&mut busy, beat(START, 16 * MS, 60));
    let due = last + 16 * MS;
    assert!(matches!(busy.expected(next, due), Expected::Now(_)));
    busy.looked(IN_VAIN);
    assert_eq!(busy.expected(next, due), Expected::Unknown);
    for later in [1, 10, 1_000, 1_000_000] {
        assert_eq!(busy.expected(next, due + later * MS), Expected::Unknown);
    }
}

#[test]
fn who_looks_in_vain_or_in_a_crowd_looks_less_and_less() {
    for outcome in [IN_VAIN, CROWDED, Looked { found: true, crowded: true }] {
        let mut busy = busy();
        let (mut looked, mut time) = (0, START);
        for _ in 0..5_000 {
            time += 16 * MS;
            feed(&mut busy, [time]);
            if !matches!(busy.expected(busy.seq + 1, time + 16 * MS), Expected::Unknown) {
                looked += 1;
                busy.looked(outcome);
            }
        }
        assert!((2..60).contains(&looked), "{outcome:?}: {looked}");
        // And as before, once that is over.
        for _ in 0..2 * u64::from(LONGEST_PAUSE) {
            time += 16 * MS;
            feed(&mut busy, [time]);
        }
        assert!(matches!(busy.expected(busy.seq + 1, time + 16 * MS), Expected::Now(_)));
    }
}

#[test]
fn nothing_that_a_ring_may_say_makes_it_fail() {
    let mut busy = busy();
    let odd = [0, 1, u64::MAX, u64::MAX - 1, START, i64::MAX as u64, 1 << 63];
    for &seq in &odd {
        for &published in &odd {
            for &now in &odd {
                busy.arrived(seq, published, now);
                busy.arrived(seq.wrapping_add(1), published.wrapping_add(5), now);
                if let Expected::Now(end) = busy.expected(seq, now) {
                    assert!(end <= now.saturating_add(BUDGET));
                }
                busy.woke(published, now);
            }
        }
    }
}

#[test]
fn an_unknown_time_of_publication_or_another_clock_is_not_learned() {
    let mut busy = busy();
    for n in 0..60 {
        busy.arrived(n + 1, 0, START + n * 16 * MS);
        assert_eq!(busy.expected(n + 2, START), Expected::Unknown);
    }
    for n in 0..60 {
        busy.arrived(n + 1, START + n * 16 * MS, 100 * START + n * 16 * MS);
        assert_eq!(busy.expected(n + 2, START), Expected::Unknown);
    }
}

#[test]
fn looking_ends_when_it_is_there_or_in_time() {
    assert!(look(|| true, 0).found);
    assert!(!look(|| false, monotonic_ns() + 100_000).found);
    let rounds = Cell::new(0);
    let third = || {
        rounds.set(rounds.get() + 1);
        rounds.get() >= 3
    };
    // Unless it is crowded here.
    while !look(third, u64::MAX).found {}
}
