//! What the scripts in `tools/` choose.

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
