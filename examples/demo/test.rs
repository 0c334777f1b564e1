//! `make demo`, shortened: it must end well, with every frame that arrived identical to what was sent.

use std::path::Path;
use std::process::Command;

#[test]
fn the_demo_runs_without_a_display() -> Result<(), Box<dyn std::error::Error>> {
    let demo = Path::new(env!("CARGO_BIN_EXE_shmflow-demo"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{}", std::process::id()));
    let prefix = format!("demo-test-{}", std::process::id());
    let output = Command::new(demo)
        .args(["--seconds", "6", "--prefix", &prefix, "--out"])
        .arg(&out)
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complaints}", output.status);
    // Cargo builds the command beside the demo where it builds the whole workspace.
    let listed = if demo.with_file_name("shmflow").exists() {
        format!("{prefix}/full")
    } else {
        "make build".to_owned()
    };
    let wanted = [
        "topic ",
        "identical pixel for pixel",
        "latency",
        "encoder",
        "contact sheet",
        "screen",
        "info TOPIC",
        "serve  ",
        &listed,
    ];
    for wanted in wanted {
        assert!(said.contains(wanted), "no `{wanted}` in:\n{said}\n{complaints}");
    }
    for picture in ["contact-sheet.png", "window.png"] {
        let bytes = std::fs::read(out.join(picture))?;
        assert!(bytes.starts_with(b"\x89PNG") && bytes.ends_with(b"IEND\xaeB`\x82"), "{picture} is damaged");
        assert!(bytes.len() > 5000, "{picture} is empty: {} bytes", bytes.len());
    }
    std::fs::remove_dir_all(&out)?;
    Ok(())
}
