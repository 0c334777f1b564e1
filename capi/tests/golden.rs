//! The golden metadata files, through the accessors of C: what they give is what the files say.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test's way to fail")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::Place;

/// Name, block and description of every golden file.
fn golden() -> Vec<(String, Vec<u8>, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ring/tests/golden/meta");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut blocks: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "bin")).collect();
    blocks.sort();
    let read = |path: &PathBuf| {
        let description = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap(), serde_json::from_str(&description).unwrap())
    };
    blocks.iter().map(read).collect()
}

/// A time of C: the largest number is the one that is not known.
fn time(value: &Value) -> Value {
    if value.as_u64() == Some(u64::MAX) { Value::Null } else { value.clone() }
}

#[test]
fn the_accessors_say_what_the_golden_files_say() {
    let golden = golden();
    assert!(golden.len() > 30, "only {} golden files were found", golden.len());
    let place = Place::new();
    let payload = vec![0u8; 4 << 20];
    let producer = ring::Producer::builder("golden")
        .dir(place.topics())
        .depth(golden.len() as u32)
        .slot_capacity(payload.len())
        .meta_capacity(1 << 16)
        .prefault(false)
        .open()
        .unwrap();
    for (_, block, _) in &golden {
        let mut claim = producer.claim(payload.len()).unwrap();
        claim.set_meta_bytes(block).unwrap();
        claim.publish().unwrap();
    }
    let said = place.run(place.program("golden"), &["golden", &golden.len().to_string()]);
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), golden.len());
    for ((name, block, expected), said) in golden.iter().zip(&said) {
        let hex: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(said["block"], json!(hex), "{name}");
        if let Some(error) = expected.get("error") {
            assert_eq!(said["status"], "SHMFLOW_INVALID_METADATA", "{name}");
            let text = said["error"].as_str().unwrap();
            assert!(text.ends_with(error.as_str().unwrap()), "{name}: {text}");
            assert_eq!(
                (&said["pts"], &said["caps"], &said["width"]),
                (&Value::Null, &Value::Null, &json!(0))
            );
            continue;
        }
        assert_eq!(said["status"], "SHMFLOW_OK", "{name}");
        for key in ["flags_number", "clock_number", "caps"] {
            assert_eq!(said[key], expected[key], "{name}: {key}");
        }
        for key in ["capture_ns", "pts", "dts", "duration", "latency_ns"] {
            assert_eq!(said[key], time(&expected[key]), "{name}: {key}");
        }
        video(name, said, expected, payload.len());
    }
}

fn video(name: &str, said: &Value, expected: &Value, len: usize) {
    let video = &expected["video"];
    if video.is_null() {
        assert_eq!((&said["format"], &said["planes"]), (&Value::Null, &json!([])), "{name}");
        return;
    }
    for key in ["format", "width", "height"] {
        assert_eq!(said[key], video[key], "{name}: {key}");
    }
    assert_eq!(json!([said["fps_n"], said["fps_d"]]), video["fps"], "{name}");
    let number = |value: &Value| value.as_u64().unwrap();
    let (width, height) = (number(&video["width"]), number(&video["height"]));
    let crop = &expected["crop"];
    let visible = if crop.is_null() || name == "extremes" {
        json!([0, 0, width, height])
    } else {
        json!([crop["x"], crop["y"], crop["width"], crop["height"]])
    };
    assert_eq!(said["crop"], visible, "{name}");
    let planes = video["planes"].as_array().unwrap();
    assert_eq!(said["planes"].as_array().unwrap().len(), planes.len(), "{name}");
    for (said, plane) in said["planes"].as_array().unwrap().iter().zip(planes) {
        match said["status"].as_str().unwrap() {
            "SHMFLOW_OK" => {
                assert_eq!(
                    (&said["offset"], &said["stride"]),
                    (&plane["offset"], &plane["stride"]),
                    "{name}"
                );
                assert_eq!(said["at"], plane["offset"], "{name}");
                assert!(number(&said["at"]) + number(&said["row_bytes"]) <= len as u64, "{name}");
                assert!(number(&said["rows"]) > 0, "{name}");
            }
            "SHMFLOW_UNKNOWN_FORMAT" => {
                assert_eq!(
                    (&said["offset"], &said["stride"]),
                    (&plane["offset"], &plane["stride"]),
                    "{name}"
                );
                assert_eq!(said["at"], json!(-1), "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}
