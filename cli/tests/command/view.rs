//! `view`: pictures on terminals of each kind.

use std::collections::HashMap;
use std::time::Duration;

use shmflow::Producer;
use shmflow::meta::{Kind, Meta, VideoLayout};

use crate::support::{Dir, Pty, base64};
use crate::what::{grey, publish};

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Publishes a picture whose left half is red, and whose right half is blue.
fn two_colours(producer: &Producer, width: u32, height: u32) {
    let (layout, len) = VideoLayout::standard("RGB", width, height).unwrap();
    let len = usize::try_from(len).unwrap();
    let stride = len / height as usize;
    let mut bytes = vec![0; len];
    for row in bytes.chunks_mut(stride) {
        for (x, pixel) in row.chunks_exact_mut(3).take(width as usize).enumerate() {
            pixel.copy_from_slice(&if x < width as usize / 2 { RED } else { BLUE });
        }
    }
    producer.write_with(&bytes, &Meta::new(Kind::Video).video(layout)).unwrap();
}

/// Red, green and blue of pixels, row by row.
struct Drawn {
    width: usize,
    rgb: Vec<[u8; 3]>,
}

impl Drawn {
    /// The first picture of kitty's protocol: pieces in base 64.
    fn by_kitty(raw: &str) -> Self {
        let (mut text, mut width, mut more) = (String::new(), 0, true);
        for piece in raw.split("\u{1b}_G").skip(1).map(|piece| piece.split("\u{1b}\\").next().unwrap()) {
            let Some((control, data)) = piece.split_once(';').filter(|_| more) else { continue };
            let value = |key: &str| control.split(',').find_map(|one| one.strip_prefix(key));
            if let Some(columns) = value("s=").filter(|_| value("a=") == Some("T")) {
                width = columns.parse().unwrap();
            } else if text.is_empty() {
                continue;
            }
            text.push_str(data);
            more = value("m=") == Some("1");
        }
        let rgb = base64(&text).as_chunks::<3>().0.to_vec();
        Self { width, rgb }
    }

    /// The first picture of sixels: bands of six rows, one colour after the other.
    fn by_sixel(raw: &str) -> Self {
        let body = raw.split_once("\u{1b}Pq\"1;1;").unwrap().1.split("\u{1b}\\").next().unwrap();
        let size = body.split('#').next().unwrap();
        let (width, height) = size.split_once(';').unwrap();
        let (width, height): (usize, usize) = (width.parse().unwrap(), height.parse().unwrap());
        let mut rgb = vec![[1; 3]; width * height];
        let mut palette = HashMap::new();
        let (mut x, mut top, mut colour) = (0, 0, [0; 3]);
        let mut rest = &body[size.len()..];
        while let Some(letter) = rest.chars().next() {
            rest = &rest[1..];
            let digits =
                |text: &str| text.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(text.len());
            let mut count = 1;
            let mut sixel = letter;
            match letter {
                '#' => {
                    let (numbers, behind) = rest.split_at(digits(rest));
                    let numbers: Vec<u32> = numbers.split(';').map(|one| one.parse().unwrap()).collect();
                    rest = behind;
                    if let [name, 2, r, g, b] = numbers[..] {
                        palette.insert(name, [r, g, b].map(|percent| (percent * 255 / 100) as u8));
                    } else {
                        colour = palette[&numbers[0]];
                    }
                    continue;
                }
                '$' => x = 0,
                '-' => (x, top) = (0, top + 6),
                '!' => {
                    let (number, behind) = rest.split_at(digits(rest));
                    (count, sixel) = (number.parse().unwrap(), behind.chars().next().unwrap());
                    rest = &behind[1..];
                }
                _ => {}
            }
            if ('?'..='~').contains(&sixel) {
                let bits = u32::from(sixel) - 63;
                for at in x..x + count {
                    (0..6)
                        .filter(|row| bits >> row & 1 == 1)
                        .for_each(|row| rgb[(top + row) * width + at] = colour);
                }
                x += count;
            }
        }
        Self { width, rgb }
    }

    /// Whether the left is red and the right is blue, at the top and at the bottom.
    fn check(&self) {
        let (first, last) = (&self.rgb[..self.width], &self.rgb[self.rgb.len() - self.width..]);
        assert!(
            self.width > 100 && self.rgb.len().is_multiple_of(self.width),
            "{} in rows of {}",
            self.rgb.len(),
            self.width
        );
        for row in [first, last] {
            assert_eq!((row[0], row[self.width / 2 - 2]), (RED, RED));
            assert_eq!((row[self.width / 2 + 2], row[self.width - 1]), (BLUE, BLUE));
        }
    }
}

#[test]
fn view_draws_colours_where_they_are() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    two_colours(&producer, 64, 48);
    let mut view = Pty::new(&dir, &["view", "cam", "--protocol", "blocks"], 80, 24);
    view.wait("a picture", |text| text.contains("frame 1 "));
    let [red, blue] = [RED, BLUE].map(|[r, g, b]| vt100::Color::Rgb(r, g, b));
    for row in [0, 22] {
        // The picture takes 61 columns.
        for (column, colour) in [(0, red), (29, red), (31, blue), (60, blue), (61, vt100::Color::Default)] {
            assert_eq!(view.colours(row, column).1, colour, "{row} {column}");
            assert!(column > 60 || view.colours(row, column).0 == colour, "{row} {column}");
        }
    }
    for (protocol, drawn) in [("kitty", Drawn::by_kitty as fn(&str) -> Drawn), ("sixel", Drawn::by_sixel)] {
        let view = Pty::new(&dir, &["view", "cam", "--protocol", protocol, "--count", "1"], 80, 24);
        let (status, raw) = view.finish();
        assert_eq!(status, 0);
        drawn(std::str::from_utf8(&raw).unwrap()).check();
    }
}

#[test]
fn view_draws_as_the_terminal_says_that_it_can() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    two_colours(&producer, 64, 48);
    for (answer, begins, drawn) in [
        ("\u{1b}_Gi=31;OK\u{1b}\\\u{1b}[?62;c", "\u{1b}_Ga=T,", Some(Drawn::by_kitty as fn(&str) -> Drawn)),
        ("\u{1b}[?62;4c", "\u{1b}Pq", Some(Drawn::by_sixel)),
        ("\u{1b}[?62;c", "▀", None),
    ] {
        let mut view = Pty::new(&dir, &["view", "cam", "--count", "1"], 80, 24);
        // The answer is there when it is asked for: a busy machine may take long to give it.
        view.press(answer);
        let (status, raw) = view.finish();
        let raw = String::from_utf8(raw).unwrap();
        assert!(status == 0 && raw.contains("\u{1b}_Gi=31,s=1,v=1,a=q") && raw.contains(begins), "{raw:?}");
        for other in ["\u{1b}_Ga=T,", "\u{1b}Pq", "▀"] {
            assert!(other == begins || !raw.contains(other), "{raw:?}");
        }
        if let Some(drawn) = drawn {
            drawn(&raw).check();
        }
    }
}

#[test]
fn view_leaves_nothing_of_a_picture_that_took_another_place() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    let rows = |text: &str| text.lines().filter(|line| line.contains('▀')).count();
    let mut view = Pty::new(&dir, &["view", "cam", "--protocol", "blocks", "--fps", "50"], 40, 12);
    two_colours(&producer, 64, 48);
    view.wait("a picture", |text| text.contains("frame 1 ") && rows(text) == 11);
    two_colours(&producer, 64, 16);
    let text = view.wait("a lower one", |text| text.contains("frame 2 "));
    assert!(rows(&text) == 5 && text.trim_end().lines().count() == 6, "{text}");
    assert!(!text.contains("frame 1 "), "{text}");
    two_colours(&producer, 16, 64);
    let text = view.wait("a narrow one", |text| text.contains("frame 3 "));
    assert!(rows(&text) == 11 && text.lines().next().unwrap().chars().count() == 5, "{text}");
    // There is more room, and less.
    for (number, (columns, lines)) in [(4, (60, 24)), (5, (20, 6)), (6, (40, 12))] {
        view.resize(columns, lines);
        two_colours(&producer, 64, 48);
        let text = view.wait("the next one", |text| text.contains(&format!("frame {number} ")));
        assert_eq!(text.matches("frame").count(), 1, "{text}");
        assert_eq!(rows(&text) + 1, text.trim_end().lines().count(), "{text}");
    }
    // No frame comes, and it is drawn again.
    view.resize(20, 6);
    view.wait("a smaller picture", |text| {
        text.contains("frame 6 ") && rows(text) == 5 && text.lines().next().unwrap().chars().count() == 13
    });
    view.press("q");
    assert_eq!(view.finish().0, 0);

    let mut number = 6;
    // Where pictures are no text, the whole screen is cleared, once; and kitty's is removed.
    for (protocol, cleared) in
        [("sixel", "\u{1b}[2J\u{1b}[H\u{1b}Pq"), ("kitty", "\u{1b}_Ga=d,d=I,i=7368813,q=2\u{1b}\\\u{1b}[2J")]
    {
        let mut view = Pty::new(&dir, &["view", "cam", "--protocol", protocol, "--fps", "50"], 40, 12);
        let mut next = |view: &mut Pty, height| {
            let before = view.raw.len();
            two_colours(&producer, 64, height);
            number += 1;
            view.wait_for(&format!("frame {number} "));
            String::from_utf8_lossy(&view.raw[before..]).into_owned()
        };
        next(&mut view, 48);
        let same = next(&mut view, 48);
        assert!(!same.contains("[2J"), "it is where the last one was");
        assert!(next(&mut view, 16).contains(cleared), "{protocol}");
    }
}

#[test]
fn view_draws_the_picture() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let drawn = |protocol: &str| {
        let view = Pty::new(&dir, &["view", "cam", "--protocol", protocol, "--count", "1"], 80, 24);
        let (status, raw) = view.finish();
        assert_eq!(status, 0, "{}", String::from_utf8_lossy(&raw));
        let raw = String::from_utf8(raw).unwrap();
        assert!(raw.contains("cam  frame 1  GRAY8 64×48 @ 30"), "{raw}");
        raw
    };
    let blocks = drawn("blocks");
    // 23 rows, in the shape of the picture.
    assert_eq!(blocks.matches('▀').count(), 23 * 61);
    assert!(blocks.contains("\u{1b}[38;2;0;0;0;48;2;0;0;0m"));
    assert!(drawn("kitty").contains("\u{1b}_Ga=T,f=24,"));
    assert!(drawn("sixel").contains("\u{1b}Pq\"1;1;"));
}

#[test]
fn view_goes_on_until_it_is_told_to_stop() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    let mut view = Pty::new(&dir, &["view", "cam", "--protocol", "blocks", "--fps", "50"], 40, 12);
    for number in 1..4 {
        publish(&producer, &grey(Duration::ZERO));
        view.wait("the next frame", |text| text.contains(&format!("frame {number} ")));
    }
    view.press("q");
    assert_eq!(view.finish().0, 0);
    let view = Pty::new(&dir, &["view", "cam"], 40, 12);
    // It asks the terminal, which does not answer, and takes half blocks.
    let mut view = view;
    view.wait("half blocks", |text| text.contains('▀'));
    producer.end();
    assert_eq!(view.finish().0, 0, "it ends with the stream");
    let ran = dir.run(&["view", "cam"]);
    assert!(ran.status() == 1 && ran.err().contains("needs a terminal"), "{}", ran.err());
}

#[test]
fn view_shows_the_cursor_again_when_the_topic_is_removed() {
    let dir = Dir::new();
    let producer = Producer::builder("cam").dir(&dir.0).meta_capacity(1024).open().unwrap();
    publish(&producer, &grey(Duration::ZERO));
    let mut view = Pty::new(&dir, &["view", "cam", "--protocol", "blocks"], 40, 12);
    view.wait("a picture", |text| text.contains('▀'));
    shmflow::remove("cam", Some(&dir.0), true).unwrap();
    let (status, raw) = view.finish();
    let raw = String::from_utf8_lossy(&raw);
    assert!(
        status == 0 && raw.contains("\u{1b}[?25l") && raw.trim_end().ends_with("\u{1b}[?25h"),
        "{status}: {raw}"
    );
}
