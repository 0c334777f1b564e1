//! `docs/metadata.md` says what the code does: its tables byte by byte, its programs by running them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use shmflow::meta::{
    ALIGN, ActiveFormat, AudioLayout, AudioLevel, Caption, Clock, Crop, CustomMeta, Detections, ENTRY_AUDIO,
    ENTRY_CAPS, ENTRY_CROP, ENTRY_HEADER_LEN, ENTRY_PADDING, ENTRY_VIDEO, Finding, Flags, HEADER_LEN, Kind,
    MAGIC, Meta, MetaEntry, MetaError, PerFrame, Plane, ReferenceTimestamp, Region, Relation, SerializedMeta,
    Tags, TimeCode, Times, VERSION_MAJOR, VERSION_MINOR, VideoLayout, is_of_frame,
};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metadata.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the `n`th table below a heading, without its first two lines.
fn table(heading: &str, n: usize) -> Vec<Vec<String>> {
    let document = document();
    let (_, below) =
        document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let mut tables = below.split("\n|").collect::<Vec<_>>().into_iter().peekable();
    tables.next();
    let mut all: Vec<Vec<Vec<String>>> = vec![vec![]];
    for row in tables {
        let (row, behind) = row.split_once('\n').map_or((row, ""), |(row, behind)| (row, behind));
        let cells = row.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned());
        all.last_mut().unwrap().push(cells.collect());
        if !behind.is_empty() {
            all.push(vec![]);
        }
    }
    let table = all.into_iter().nth(n).unwrap();
    assert!(table[1].iter().all(|cell| cell.contains("---")), "{heading}: {:?}", table[1]);
    table[2..].to_vec()
}

/// A row of a table of bytes.
#[derive(Debug, Clone)]
struct Field {
    at: usize,
    size: usize,
    name: String,
}

/// A table of bytes, checked to have neither gaps nor overlaps and to be `len` bytes long.
fn fields(heading: &str, n: usize, len: usize) -> Vec<Field> {
    let rows = table(heading, n).into_iter();
    let fields: Vec<Field> = rows
        .map(|row| Field { at: row[0].parse().unwrap(), size: row[1].parse().unwrap(), name: row[2].clone() })
        .collect();
    let mut end = 0;
    for field in &fields {
        assert_eq!(field.at, end, "{heading}: {} does not follow what is before it", field.name);
        assert!(field.size > 8 || field.name.starts_with("reserved") || field.at.is_multiple_of(field.size));
        end += field.size;
    }
    assert_eq!(end, len, "{heading}");
    fields
}

/// A distinct value for every byte of a number.
const NUMBER: u64 = 0x8877_6655_4433_2211;
const SHORT: u32 = NUMBER as u32;

fn header_with(frame: PerFrame) -> Vec<u8> {
    let mut meta = Meta::default();
    meta.set_per_frame(&frame);
    meta.to_vec().unwrap()
}

/// The block in which only `field` is set, and what its bytes must be.
fn header_case(field: &str) -> (Vec<u8>, Vec<u8>) {
    let times = |times| header_with(PerFrame::default().times(times));
    let number = NUMBER.to_le_bytes().to_vec();
    let none = Times::default();
    match field {
        "magic" => (Meta::default().to_vec().unwrap(), MAGIC.to_vec()),
        "major" => (Meta::default().to_vec().unwrap(), VERSION_MAJOR.to_le_bytes().to_vec()),
        "minor" => (Meta::default().to_vec().unwrap(), VERSION_MINOR.to_le_bytes().to_vec()),
        "total_len" => {
            let len = HEADER_LEN + ENTRY_HEADER_LEN + 0x1_0203_usize.next_multiple_of(ALIGN);
            let block = Meta::default().extension(0x8000, [1; 0x1_0203]).to_vec().unwrap();
            (block, (len as u32).to_le_bytes().to_vec())
        }
        "header_len" => (Meta::default().to_vec().unwrap(), (HEADER_LEN as u16).to_le_bytes().to_vec()),
        "kind" => (Meta::new(Kind::from_raw(0x8877)).to_vec().unwrap(), vec![0x77, 0x88]),
        "flags" => {
            let flags = Flags::from_bits(SHORT);
            (header_with(PerFrame::default().flags(flags)), SHORT.to_le_bytes().to_vec())
        }
        "clock" => (times(none.clock(Clock::from_raw(0x8877))), vec![0x77, 0x88]),
        "capture_ns" => (times(none.capture_ns(NUMBER)), number),
        "pts" => (times(none.pts(NUMBER)), number),
        "dts" => (times(none.dts(NUMBER)), number),
        "duration" => (times(none.duration(NUMBER)), number),
        "latency_ns" => (times(none.latency_ns(NUMBER)), number),
        "offset" => (header_with(PerFrame::default().offset(NUMBER)), number),
        "offset_end" => (header_with(PerFrame::default().offset_end(NUMBER)), number),
        other => panic!("the document has a field {other:?} that no test knows"),
    }
}

#[test]
fn every_field_of_the_header_lies_where_the_document_says() {
    let fields = fields("## Header", 0, HEADER_LEN);
    let default = Meta::default().to_vec().unwrap();
    let present = fields.iter().find(|field| field.name == "present").unwrap().clone();
    let bits = table("### Present bits", 0);
    let mut tested_bits = 0;
    for field in &fields {
        if field.name == "present" || field.name.starts_with("reserved") {
            assert!(default[field.at..field.at + field.size].iter().all(|&byte| byte == 0), "{}", field.name);
            continue;
        }
        let (block, expected) = header_case(&field.name);
        assert_eq!(&block[field.at..field.at + field.size], expected, "{}", field.name);
        let bit = bits.iter().find(|row| row[1] == field.name).map(|row| row[0].parse::<u32>().unwrap());
        tested_bits += usize::from(bit.is_some());
        let found = u32::from_le_bytes(block[present.at..present.at + present.size].try_into().unwrap());
        assert_eq!(found, bit.map_or(0, |bit| 1 << bit), "present bits of {}", field.name);
        // Nothing else moved.
        for at in 0..HEADER_LEN {
            let belongs = |field: &Field| (field.at..field.at + field.size).contains(&at);
            assert!(
                belongs(field) || belongs(&present) || block[at] == default[at],
                "{}: byte {at}",
                field.name
            );
        }
    }
    assert_eq!(tested_bits, bits.len());
}

fn only_entry(meta: &Meta) -> Vec<u8> {
    meta.to_vec().unwrap()[HEADER_LEN..].to_vec()
}

fn at(bytes: &[u8], fields: &[Field], name: &str) -> Vec<u8> {
    let field = fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("no field {name:?}"));
    bytes[field.at..field.at + field.size].to_vec()
}

#[test]
fn every_entry_lies_where_the_document_says() {
    let head = fields("## Entries", 0, ENTRY_HEADER_LEN);
    let entry = only_entry(&Meta::default().extension(0x8877, b"nine char"));
    assert_eq!(at(&entry, &head, "type"), 0x8877_u16.to_le_bytes());
    assert_eq!(at(&entry, &head, "reserved"), [0; 2]);
    assert_eq!(at(&entry, &head, "length"), 9_u32.to_le_bytes());
    assert_eq!(&entry[ENTRY_HEADER_LEN..], b"nine char\0\0\0\0\0\0\0");

    let types: Vec<_> =
        table("### Entry types", 0).iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let known = [
        (ENTRY_PADDING, "padding"),
        (ENTRY_CAPS, "caps"),
        (ENTRY_VIDEO, "video"),
        (ENTRY_CROP, "crop"),
        (ENTRY_AUDIO, "audio"),
    ];
    assert_eq!(types, known.map(|(ty, name)| (ty.to_string(), name.to_owned())));
    for (number, row) in table("### Entry types", 1).iter().enumerate() {
        let ty: u16 = row[0].parse().unwrap();
        assert_eq!(is_of_frame(ty), row[2] == "frame", "{}", row[1]);
        let own = [
            Region::TYPE,
            TimeCode::TYPE,
            Caption::TYPE,
            ReferenceTimestamp::TYPE,
            ActiveFormat::TYPE,
            SerializedMeta::TYPE,
            AudioLevel::TYPE,
            CustomMeta::TYPE,
            Tags::TYPE,
            Detections::TYPE,
        ];
        assert_eq!(ty, own[number]);
    }
    // The numbers set aside are carried like any other unknown entry.
    for row in table("### Entry types", 2) {
        let ty = row[0].parse().unwrap();
        let meta = Meta::default().extension(ty, [1]);
        assert_eq!(Meta::decode(&meta.to_vec().unwrap()), Ok(meta));
    }

    let caps = only_entry(&Meta::default().caps("a/b, c=d"));
    assert_eq!(at(&caps, &head, "type"), ENTRY_CAPS.to_le_bytes());
    assert_eq!(&caps[ENTRY_HEADER_LEN..], b"a/b, c=d");
}

#[test]
fn every_field_of_video_layout_and_crop_lies_where_the_document_says() {
    let planes = (0..4_u64).map(|n| Plane { offset: NUMBER + n, stride: -0x0102_0304 - n as i32 });
    let layout =
        VideoLayout::new("24_characters_of_a_name_", SHORT, SHORT + 1, planes).fps(SHORT + 2, SHORT + 3);
    let value = only_entry(&Meta::default().video(layout.clone()))[ENTRY_HEADER_LEN..].to_vec();
    let video = fields("### Video layout", 0, value.len());
    assert_eq!(at(&value, &video, "width"), SHORT.to_le_bytes());
    assert_eq!(at(&value, &video, "height"), (SHORT + 1).to_le_bytes());
    assert_eq!(at(&value, &video, "fps_n"), (SHORT + 2).to_le_bytes());
    assert_eq!(at(&value, &video, "fps_d"), (SHORT + 3).to_le_bytes());
    assert_eq!(at(&value, &video, "n_planes"), 4_u32.to_le_bytes());
    assert_eq!(at(&value, &video, "reserved"), [0; 4]);
    assert_eq!(at(&value, &video, "format"), layout.format.as_bytes());
    let area = at(&value, &video, "planes");
    let plane = fields("### Video layout", 1, area.len() / 4);
    for (bytes, expected) in area.chunks(area.len() / 4).zip(&layout.planes) {
        assert_eq!(at(bytes, &plane, "offset"), expected.offset.to_le_bytes());
        assert_eq!(at(bytes, &plane, "stride"), expected.stride.to_le_bytes());
        assert_eq!(at(bytes, &plane, "reserved"), [0; 4]);
    }

    let rectangle = Crop { x: SHORT, y: SHORT + 1, width: SHORT + 2, height: SHORT + 3 };
    let value = only_entry(&Meta::default().crop(rectangle))[ENTRY_HEADER_LEN..].to_vec();
    let crop = fields("### Crop rectangle", 0, value.len());
    for (n, name) in ["x", "y", "width", "height"].iter().enumerate() {
        assert_eq!(at(&value, &crop, name), (SHORT + n as u32).to_le_bytes());
    }
}

#[test]
fn every_field_of_an_audio_layout_lies_where_the_document_says() {
    let layout = AudioLayout::new("24_characters_of_a_name_", SHORT, 3, NUMBER).channel_mask(NUMBER + 1);
    let value = only_entry(&Meta::default().audio(layout.clone()))[ENTRY_HEADER_LEN..].to_vec();
    let audio = fields("### Audio layout", 0, value.len());
    assert_eq!(at(&value, &audio, "rate"), SHORT.to_le_bytes());
    assert_eq!(at(&value, &audio, "channels"), 3_u32.to_le_bytes());
    assert_eq!(at(&value, &audio, "channel_mask"), (NUMBER + 1).to_le_bytes());
    assert_eq!(at(&value, &audio, "samples"), NUMBER.to_le_bytes());
    assert_eq!(at(&value, &audio, "layout"), 0_u32.to_le_bytes());
    assert_eq!(at(&value, &audio, "reserved"), [0; 4]);
    assert_eq!(at(&value, &audio, "format"), layout.format.as_bytes());
    let planar =
        only_entry(&Meta::default().audio(layout.planes([7, 8, NUMBER])))[ENTRY_HEADER_LEN..].to_vec();
    assert_eq!(at(&planar, &audio, "layout"), 1_u32.to_le_bytes());
    let offsets: Vec<u8> = [7, 8, NUMBER].iter().flat_map(|offset| offset.to_le_bytes()).collect();
    assert_eq!(planar[value.len()..], offsets);
}

#[test]
fn every_field_of_what_is_attached_lies_where_the_document_says() {
    let of = |name: &str, n: u32| (name.to_owned(), (SHORT + n).to_le_bytes().to_vec());
    let check = |heading: &str, n: usize, len: usize, value: &[u8], expected: Vec<(String, Vec<u8>)>| {
        let fields = fields(heading, n, len);
        for (name, bytes) in &expected {
            assert_eq!(&at(value, &fields, name), bytes, "{heading}: {name}");
        }
        let named = fields.iter().filter(|field| !field.name.starts_with("reserved"));
        assert_eq!(named.count(), expected.len(), "{heading}");
    };
    let text = |text: &str| {
        let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let signed = |n: u32| (SHORT + n).cast_signed();
    let region = Region::new("face!", SHORT, SHORT + 1, SHORT + 2, SHORT + 3)
        .id(signed(4))
        .parent_id(signed(5))
        .params(vec!["a, b=(int)1".to_owned(), "c".to_owned()]);
    let value = region.to_value().unwrap();
    let numbers = [of("x", 0), of("y", 1), of("width", 2), of("height", 3), of("id", 4), of("parent_id", 5)];
    let mut expected = numbers.to_vec();
    expected.push(("n_params".into(), 2_u32.to_le_bytes().to_vec()));
    check("### Region of interest", 0, 32, &value, expected);
    assert_eq!(value[32..], [text("face!"), text("a, b=(int)1"), text("c")].concat());

    let code = TimeCode::new((SHORT, SHORT + 1), SHORT + 2, SHORT + 3, SHORT + 4, SHORT + 5)
        .flags(SHORT + 6)
        .field_count(SHORT + 7)
        .daily_jam((NUMBER.cast_signed(), signed(8)));
    let expected = vec![
        of("fps_n", 0),
        of("fps_d", 1),
        of("hours", 2),
        of("minutes", 3),
        of("seconds", 4),
        of("frames", 5),
        of("flags", 6),
        of("field_count", 7),
        of("jam_offset", 8),
        ("jam_us".into(), NUMBER.to_le_bytes().to_vec()),
        ("has_jam".into(), 1_u32.to_le_bytes().to_vec()),
    ];
    check("### Time code", 0, 48, &code.to_value().unwrap(), expected);

    let value = Caption::new(SHORT, *b"bytes").to_value().unwrap();
    check("### Closed captions", 0, 8, &value, vec![of("kind", 0)]);
    assert_eq!(value[8..], *b"bytes");

    let time = ReferenceTimestamp::new("a/b", NUMBER).duration(NUMBER + 1).info("i".to_owned());
    let value = time.to_value().unwrap();
    let expected = vec![
        ("timestamp".into(), NUMBER.to_le_bytes().to_vec()),
        ("duration".into(), (NUMBER + 1).to_le_bytes().to_vec()),
        ("present".into(), 3_u32.to_le_bytes().to_vec()),
    ];
    check("### Reference timestamp", 0, 24, &value, expected);
    assert_eq!(value[24..], [text("a/b"), text("i")].concat());

    let bars = ActiveFormat::Bars { field: SHORT, is_letterbox: true, first: SHORT + 1, second: SHORT + 2 };
    let one = 1_u32.to_le_bytes().to_vec();
    let expected =
        vec![("what".into(), one.clone()), of("field", 0), ("a".into(), one.clone()), of("b", 1), of("c", 2)];
    check("### Active format and bars", 0, 24, &bars.to_value().unwrap(), expected);

    let expected = vec![of("level", 0), ("voice".into(), one.clone())];
    check("### Audio level", 0, 8, &AudioLevel::new(SHORT, true).to_value().unwrap(), expected);

    let value = CustomMeta::new("name", "name, x=(int)1").to_value().unwrap();
    assert_eq!(value, [text("name"), text("name, x=(int)1")].concat());
    let value = Tags::new("taglist").is_global(true).to_value().unwrap();
    check("### Tags", 0, 8, &value, vec![("is_global".into(), one.clone())]);
    assert_eq!(value[8..], text("taglist"));

    let relation = Relation { from: 0, to: 1, kind: SHORT };
    let other = |kind, data: &[u8]| Finding::Other { kind, data: data.to_vec() };
    let found = Detections::new(vec![other(0x77, b""), other(0x88, b"8 bytes.")], vec![relation]);
    let value = found.to_value().unwrap();
    let two = 2_u32.to_le_bytes().to_vec();
    check(
        "### Detections",
        0,
        8,
        &value,
        vec![("n_findings".into(), two), ("n_relations".into(), one.clone())],
    );
    assert_eq!(value[8..32], *b"\x77\0\0\0\0\0\0\0\x88\0\0\0\x08\0\0\x008 bytes.");
    let expected = vec![("from".into(), 0_u32.to_le_bytes().to_vec()), ("to".into(), one), of("kind", 0)];
    check("### Detections", 2, 16, &value[32..], expected);
}

#[test]
fn flags_kinds_and_clocks_have_the_numbers_of_the_document() {
    let numbered = |heading| -> Vec<(u32, String)> {
        table(heading, 0).iter().map(|row| (row[0].parse().unwrap(), row[1].clone())).collect()
    };
    let flags: Vec<_> = Flags::NAMED.iter().map(|&(_, bit, name)| (bit, name.to_owned())).collect();
    assert_eq!(numbered("### Flags"), flags);
    let name_of = |debug: String| debug.to_lowercase();
    for (number, name) in numbered("### Kinds") {
        assert_eq!(name_of(format!("{:?}", Kind::from_raw(number as u16))), name);
    }
    assert_eq!(Kind::from_raw(numbered("### Kinds").len() as u16), Kind::Other(4));
    for (number, name) in numbered("### Clocks") {
        assert_eq!(name_of(format!("{:?}", Clock::from_raw(number as u16))), name);
    }
    assert_eq!(Clock::from_raw(numbered("### Clocks").len() as u16), Clock::Other(4));
}

/// The document's one program in `language`.
fn program(language: &str) -> String {
    let document = document();
    let (_, program) = document.split_once(&format!("```{language}\n")).unwrap();
    program.split_once("```").unwrap().0.to_owned()
}

/// Runs `command`; `None`, and a line that says so, if there is no such program here.
fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("not checked: there is no {:?} here", command.get_program());
            None
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

fn scratch(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_c_structures_have_the_offsets_of_the_tables() {
    let mut source = format!("#include <stddef.h>\n{}", program("c"));
    for (name, heading, n, len) in [
        ("header", "## Header", 0, HEADER_LEN),
        ("entry", "## Entries", 0, ENTRY_HEADER_LEN),
        ("video", "### Video layout", 0, 112),
        ("plane", "### Video layout", 1, 16),
        ("crop", "### Crop rectangle", 0, 16),
        ("audio", "### Audio layout", 0, 56),
    ] {
        source += &format!("_Static_assert(sizeof(struct shmflow_meta_{name}) == {len}, \"{name}\");\n");
        for Field { at, size, name: field } in fields(heading, n, len) {
            source += &format!(
                "_Static_assert(offsetof(struct shmflow_meta_{name}, {field}) == {at}, \"{name}.{field}\");\n\
                 _Static_assert(sizeof(((struct shmflow_meta_{name} *)0)->{field}) == {size}, \"{name}.{field}\");\n"
            );
        }
    }
    let path = scratch("metadata.c", &source);
    if let Some(output) =
        run(Command::new("cc").args(["-std=c11", "-Wall", "-Werror", "-fsyntax-only"]).arg(path))
    {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What the Python program gives for each golden file, as `{name: {...} | {"error": true}}`.
const DRIVER: &str = r#"
import json, pathlib, sys

found = {}
for path in pathlib.Path(sys.argv[1]).glob("*.bin"):
    try:
        meta = read_meta(path.read_bytes())
        if meta["video"]:
            meta["video"]["planes"] = [{"offset": o, "stride": s} for o, s in meta["video"]["planes"]]
        meta["extensions"] = [{"type": kind, "hex": value.hex()} for kind, value in meta["extensions"]]
        meta["kind_number"], meta["flags_number"], meta["clock_number"] = meta["kind"], meta["flags"], meta["clock"]
    except (ValueError, struct.error):
        meta = {"error": True}
    found[path.stem] = meta
print(json.dumps(found))
"#;

#[test]
fn the_python_program_reads_every_golden_file_as_this_crate_does() {
    let path = scratch("metadata.py", &(program("python") + DRIVER));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/meta");
    let Some(output) = run(Command::new("python3").arg(path).arg(&golden)) else {
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut compared = 0;
    for (name, found) in found.as_object().unwrap() {
        let text = fs::read_to_string(golden.join(format!("{name}.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found.get("error").is_some(), expected.get("error").is_some(), "{name}: {found}");
        for (key, value) in expected.as_object().unwrap() {
            if !matches!(key.as_str(), "error" | "kind" | "flags" | "clock") {
                assert_eq!(&found[key], value, "{name}: {key}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 100, "{compared} values compared");
}

#[test]
fn the_document_names_the_version_and_the_limits() {
    let document = document();
    assert!(document.contains(&format!("major (now {VERSION_MAJOR})")));
    assert!(document.contains(&format!("minor (now {VERSION_MINOR})")));
    assert!(document.contains(&format!("at most {} entries", shmflow::meta::MAX_ENTRIES)));
    // "The magic, and the two version numbers behind it, stay where they are": eight bytes are enough to be told.
    let error = Meta::decode(b"SFMD\x02\0\0\0").unwrap_err();
    assert_eq!(error, MetaError::Version { found: (2, 0), expected: (VERSION_MAJOR, VERSION_MINOR) });
}
