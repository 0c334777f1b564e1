//! Permissions withdrawn while a topic is in use. Root is refused nothing, so as root all of it runs as another user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Scene;
use super::files::PARTS;
use crate::Result;
use crate::bystanders::{Bystanders, GROWING, NEAR, Near, testimony};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::process::Process;
use crate::programs::role;
use crate::visit::{Visit, run};

/// Who has no files: "nobody".
const STRANGER: u32 = 65534;

pub(super) fn withdrawn(scene: &Scene<'_>) -> Result<Outcome> {
    let place = Place::new()?;
    let exe = scene.programs.copy_for_strangers()?;
    let user = nix::unistd::geteuid().is_root().then_some(STRANGER);
    if let Some(user) = user {
        chown(place.path(), Some(user), Some(user))?;
    }
    let as_user = |command: &mut Command| {
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
    };
    let mut outcome = Outcome::default();
    let mut bystanders = Bystanders::start_as(&exe, place.path(), Near::Nothing, 2000, user)?;
    let mut command = role(&exe, "produce", place.path(), GROWING);
    as_user(command.args(["--tag", "3", "--grow", "20", "--bear"]));
    let mut grower = Process::start("a producer that enlarges the ring", &mut command)?;
    grower.wait_for("ready")?;
    let mut told = 0;
    for _ in 0..if scene.settings.quick { 1 } else { 5 } {
        for (paths, mode) in cases(&place)? {
            let before = paths.iter().map(|path| path.metadata()).collect::<std::io::Result<Vec<_>>>()?;
            for path in &paths {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            }
            outcome.tried += 1;
            // A consumer of the topic, a producer of it, and one of a topic that is not there yet.
            for (topic, words) in [(NEAR, &["--receive"][..]), (NEAR, &[]), ("new", &[])] {
                let result = go(&exe, place.path(), topic, words, as_user)?;
                match result {
                    Visit::Crashed(how) => outcome.broke(how),
                    Visit::Told(why) if why.contains("permission denied") => told += 1,
                    Visit::Told(why) => {
                        outcome.broke(format!("mode {mode:04o} of {paths:?}: the sentence is: {why}"))
                    }
                    Visit::Went(_) => {}
                }
            }
            std::thread::sleep(Duration::from_millis(50));
            bystanders.check()?;
            for (path, before) in paths.iter().zip(before) {
                std::fs::set_permissions(path, before.permissions())?;
            }
            match go(&exe, place.path(), NEAR, &[], as_user)? {
                Visit::Went(time) => outcome.recovered_in(time),
                Visit::Told(why) | Visit::Crashed(why) => {
                    outcome.broke(format!("after all was permitted again: {why}"))
                }
            }
        }
    }
    let found = testimony(&mut grower)?;
    let refused = found.get("errors").and_then(Value::as_u64).unwrap_or_default();
    if told == 0 || refused == 0 {
        outcome.broke(format!("{told} newcomers and {refused} growths were refused"));
    }
    outcome.tell(format!(
        "those who had the topic open went on; {told} newcomers were refused, with the file and its mode, and {refused} times a \
         ring was not enlarged"
    ));
    bystanders.finish(&mut outcome)?;
    Ok(outcome)
}

/// What is withdrawn: all of a file, writing to it, and the same of the directory.
fn cases(place: &Place) -> Result<Vec<(Vec<PathBuf>, u32)>> {
    let files = PARTS.iter().map(|part| place.file(NEAR, part)).collect::<Result<Vec<_>>>()?;
    let mut cases: Vec<_> =
        files.iter().flat_map(|file| [(vec![file.clone()], 0), (vec![file.clone()], 0o444)]).collect();
    cases.push((files, 0));
    cases.extend([(vec![place.path().to_path_buf()], 0o555), (vec![place.path().to_path_buf()], 0)]);
    Ok(cases)
}

fn go(exe: &Path, dir: &Path, topic: &str, words: &[&str], change: impl Fn(&mut Command)) -> Result<Visit> {
    let mut command = role(exe, "visit", dir, topic);
    change(command.args(words));
    run("a newcomer", &mut command)
}
