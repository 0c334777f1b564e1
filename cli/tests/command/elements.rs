//! The command beside the elements: what it says of topics that real pipelines publish.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::pictures::read_png;
use crate::support::{Dir, Ran};
use crate::web::wait;

/// The plugin of this build: cargo builds it where it builds the whole workspace.
fn plugin() -> Option<PathBuf> {
    let products = Path::new(env!("CARGO_BIN_EXE_shmflow")).parent().unwrap();
    let files = ["deps/libgstshmflow.so", "libgstshmflow.so"].map(|name| products.join(name));
    let found = files.into_iter().find(|file| file.exists());
    if found.is_none() {
        println!("left out: the plugin is not built; `cargo test` of all packages builds it");
    }
    found
}

/// A pipeline that publishes until the test is over.
struct Publisher(Child);

impl Publisher {
    fn start(dir: &Dir, plugin: &Path, pipeline: &str) -> Self {
        let folder = dir.0.join("plugins");
        std::fs::create_dir_all(&folder).unwrap();
        let link = folder.join("libgstshmflow.so");
        if !link.exists() {
            symlink(plugin, link).unwrap();
        }
        let mut command = Command::new("gst-launch-1.0");
        command.args(pipeline.split(' ')).env("SHMFLOW_DIR", &dir.0).stdout(Stdio::null());
        command.env("GST_PLUGIN_PATH", &folder).env("GST_REGISTRY", folder.join("registry.bin"));
        Self(command.spawn().unwrap())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn size_is_what_the_topic_of_a_real_sink_takes() {
    let Some(plugin) = plugin() else { return };
    let dir = Dir::new();
    let sound = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved";
    for (number, (source, caps, depth)) in [
        ("videotestsrc", "video/x-raw,format=I420,width=640,height=480,framerate=30/1", None),
        ("videotestsrc", "video/x-raw,format=I420,width=322,height=241,framerate=30/1", Some("5")),
        ("videotestsrc", "video/x-raw,format=RGB,width=321,height=7,framerate=30/1", Some("16")),
        ("audiotestsrc samplesperbuffer=480", sound, None),
        ("audiotestsrc samplesperbuffer=480", sound, Some("20")),
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("t{number}");
        let property = depth.map_or_else(String::new, |depth| format!(" max-buffers={depth}"));
        let pipeline = format!("-q {source} is-live=true ! {caps} ! shmflowsink topic={topic}{property}");
        let _publisher = Publisher::start(&dir, &plugin, &pipeline);
        wait("it publishes", || {
            shmflow::inspect(&topic, Some(&dir.0)).is_ok_and(|info| info.published() > 3)
        });
        let arguments = depth.map_or_else(Vec::new, |depth| vec!["--max-buffers", depth]);
        let said = dir.run(&[&["size", "--caps", caps, "--json"], arguments.as_slice()].concat()).json();
        let taken = dir.run(&["info", &topic, "--json"]).json();
        assert_eq!(said["bytes"], taken["shared_bytes"], "{caps}, {depth:?}\n{said}\n{taken}");
    }
}

/// What a pipeline writes into its last element.
fn made(dir: &Dir, pipeline: &str) -> Vec<u8> {
    let file = dir.0.join("made");
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split(' ')).args(["!", "filesink"]);
    command.arg(format!("location={}", file.display()));
    let ran = Ran(command.output().unwrap());
    assert_eq!(ran.status(), 0, "{pipeline}: {}", ran.err());
    std::fs::read(file).unwrap()
}

#[test]
fn packed_words_have_the_colours_that_gstreamer_sees_in_them() {
    const SIZE: &str = "width=50,height=6,framerate=1/1";
    let dir = Dir::new();
    // How far a value may be away: GStreamer converts colours with 16 bits, this does with ten, whose steps are 64.
    for (format, colorimetry, reference, tolerance) in [
        ("RGB15", "1:1:0:0", "RGB", 1),
        ("RGB16", "1:1:0:0", "RGB", 1),
        ("BGR15", "1:1:0:0", "RGB", 1),
        ("BGR16", "1:1:0:0", "RGB", 1),
        ("r210", "1:1:0:0", "ARGB64", 0),
        ("RGB10A2_LE", "1:1:0:0", "ARGB64", 0),
        ("BGR10A2_LE", "1:1:0:0", "ARGB64", 0),
        ("GRAY10_LE32", "1:4:0:0", "GRAY16_LE", 0),
        ("v210", "bt709", "ARGB64", 256),
        ("UYVP", "bt601", "ARGB64", 256),
        ("Y410", "bt709", "ARGB64", 256),
        ("NV12_10LE32", "bt709", "ARGB64", 256),
        ("NV16_10LE32", "bt709", "ARGB64", 256),
        ("NV12_10LE40", "bt601", "ARGB64", 256),
    ] {
        let caps = format!("video/x-raw,format={format},{SIZE},colorimetry={colorimetry}");
        let convert = "videoconvert dither=none chroma-mode=none";
        let source = format!("videotestsrc num-buffers=1 pattern=smpte ! {convert} ! {caps}");
        let frame = made(&dir, &source);
        let file = dir.0.join(format);
        std::fs::write(&file, &frame).unwrap();
        let sent =
            dir.run(&["send", format, file.to_str().unwrap(), "--persistent", "--padded", "--caps", &caps]);
        assert_eq!(sent.status(), 0, "{}", sent.err());
        let expected = made(&dir, &format!("{source} ! {convert} ! video/x-raw,format={reference}"));
        let expected: Vec<u16> = match reference {
            // Rows end at a multiple of four bytes.
            "RGB" => expected
                .chunks(152)
                .flat_map(|row| row[..150].iter().map(|value| u16::from(*value)))
                .collect(),
            _ => {
                let words: Vec<_> =
                    expected.chunks(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect();
                match reference {
                    "ARGB64" => words.chunks(4).flat_map(|pixel| pixel[1..].to_vec()).collect(),
                    _ => words,
                }
            }
        };
        let picture = dir.0.join("out.png");
        let ran = dir.run(&["grab", format, picture.to_str().unwrap()]);
        assert_eq!(ran.status(), 0, "{}", ran.err());
        let (width, height, colours, depth, values) = read_png(&std::fs::read(&picture).unwrap());
        assert_eq!((width, height), (50, 6));
        let values: Vec<u16> = match depth {
            png::BitDepth::Sixteen => {
                values.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
            }
            _ => values.iter().map(|value| u16::from(*value)).collect(),
        };
        let values: Vec<u16> = match colours {
            png::ColorType::Rgba => values.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect(),
            _ => values,
        };
        assert_eq!(values.len(), expected.len(), "{format}");
        let furthest = values.iter().zip(&expected).map(|(one, other)| one.abs_diff(*other)).max().unwrap();
        assert!(furthest <= tolerance, "{format}: {furthest}\n{:?}\n{:?}", &values[..60], &expected[..60]);
    }
}
