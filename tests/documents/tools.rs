//! What the scripts in `tools/` choose.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

fn newest_wheel(folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/newest-wheel.sh");
    Command::new("sh").arg(script).arg(folder).arg("x86_64").output().unwrap()
}

#[test]
fn of_several_wheels_the_newest_for_all_interpreters_is_used() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wheels-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let none = newest_wheel(&folder);
    assert!(!none.status.success());
    assert!(String::from_utf8_lossy(&none.stderr).contains("make wheel"), "{none:?}");
    // The oldest first.
    for (age, name) in (0..).zip([
        "shmflow-0.1.0-cp313-cp313t-manylinux_2_34_x86_64.whl",
        "shmflow-0.1.0-cp311-abi3-manylinux_2_34_aarch64.whl",
        "shmflow-0.2.0-cp311-abi3-manylinux_2_34_x86_64.whl",
        "shmflow-0.10.0-cp311-abi3-manylinux_2_34_x86_64.whl",
        "shmflow-0.1.0-cp310-cp310-manylinux_2_34_x86_64.whl",
    ]) {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + age)).unwrap();
    }
    let found = newest_wheel(&folder);
    let said = String::from_utf8(found.stdout).unwrap();
    assert!(said.trim_end().ends_with("/shmflow-0.10.0-cp311-abi3-manylinux_2_34_x86_64.whl"), "{said}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn of_a_tool_whose_newest_needs_a_newer_compiler_an_older_one_is_installed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tool-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let cargo = folder.join("cargo");
    let said = "error: cannot install package `cargo-c 0.10.26+cargo-0.100.0`, it requires rustc 1.97 or newer\n\
                `cargo-c 0.10.24+cargo-0.98.0` supports rustc 1.95\n";
    // One that has no tool, cannot install the newest, and can any that is named.
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in\n\
         'cinstall --version') exit 101 ;;\n\
         'install --locked cargo-c') printf '%s' '{said}' >&2; exit 101 ;;\n\
         *) echo \"cargo $*\" ;;\n\
         esac\n"
    );
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/cargo-tool.sh");
    let installed = |word| {
        Command::new("sh").arg(&installer).args(["cargo-c", word]).env("CARGO", &cargo).output().unwrap()
    };
    let older = installed("cinstall");
    let told = String::from_utf8_lossy(&older.stdout).into_owned();
    assert!(older.status.success(), "{older:?}");
    assert!(told.ends_with("cargo install --locked cargo-c --version 0.10.24\n"), "{told}");
    // Another is there already.
    let there = installed("deny");
    assert!(there.status.success() && there.stdout.is_empty(), "{there:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
