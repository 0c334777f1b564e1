//! `shmflow plugin` and `shmflow env`: the GStreamer plugin that was installed together with this command.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::outcome::{Failure, Outcome};
use crate::text;

const PLUGIN: &str = "libgstshmflow.so";
/// A plugin of GStreamer itself: where it is, GStreamer looks without being told.
const OF_GSTREAMER: &str = "libgstcoreelements.so";

/// A folder with the plugin.
struct Folder {
    path: PathBuf,
    /// GStreamer looks there by itself.
    known: bool,
}

/// Prints the plugin's folder.
pub(crate) fn plugin(out: &mut dyn Write) -> Result<Outcome, Failure> {
    let Some(folder) = find() else { return Ok(none_found()) };
    out.write_all(folder.path.as_os_str().as_bytes())?;
    out.write_all(b"\n")?;
    Ok(Outcome::Done)
}

/// Prints what a shell has to evaluate so that GStreamer finds the plugin: nothing if it does so already.
pub(crate) fn env(out: &mut dyn Write, terminal: bool) -> Result<Outcome, Failure> {
    let Some(folder) = find() else { return Ok(none_found()) };
    let path = folder.path.as_os_str();
    if folder.known {
        if terminal {
            Failure::note(&format!(
                "nothing to set: GStreamer finds the plugin in {} by itself",
                text::safe(&path.to_string_lossy())
            ));
        }
        return Ok(Outcome::Done);
    }
    if path.as_bytes().contains(&b':') {
        Failure::note(&format!(
            "{} has a colon, which separates folders in GST_PLUGIN_PATH; install shmflow into another folder",
            text::safe(&path.to_string_lossy())
        ));
        return Ok(Outcome::Failed);
    }
    // GStreamer reads only one of the two, this one first.
    let versioned = std::env::var_os("GST_PLUGIN_PATH_1_0");
    let name = if versioned.is_some() { "GST_PLUGIN_PATH_1_0" } else { "GST_PLUGIN_PATH" };
    let before = versioned.or_else(|| std::env::var_os(name)).unwrap_or_default();
    write!(out, "export {name}=")?;
    write_quoted(out, &put_first(path, &before))?;
    writeln!(out)?;
    if terminal {
        Failure::note("to set it in this shell: eval $(shmflow env)");
    }
    Ok(Outcome::Done)
}

fn none_found() -> Outcome {
    Failure::note(
        "no GStreamer plugin was installed with this command. If it is from pip, it was built where GStreamer's headers \
         were missing: install them (on Debian libgstreamer-plugins-base1.0-dev), then reinstall with \
         pip install --force-reinstall --no-cache-dir. Or, in a checkout of the project: make install",
    );
    Outcome::Failed
}

/// The plugin beside this command, or else, as `make install` puts it, among the user's own.
fn find() -> Option<Folder> {
    let command = std::env::current_exe().ok();
    let own = command.as_deref().and_then(Path::parent).and_then(beside);
    own.or_else(|| users_plugins().filter(|folder| folder.join(PLUGIN).is_file()).map(known))
}

fn known(path: PathBuf) -> Folder {
    Folder { path, known: true }
}

/// The plugin of a command in this folder: in the build tree, in a Python package, or below a prefix.
fn beside(bin: &Path) -> Option<Folder> {
    let prefix = bin.parent()?;
    let mut places = vec![bin.to_path_buf(), prefix.to_path_buf()];
    // Which architecture's folder it is differs between distributions.
    for lib in ["lib", "lib64"].map(|name| prefix.join(name)) {
        let mut folders: Vec<_> =
            std::fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        folders.sort();
        places.push(lib);
        places.extend(folders);
    }
    let path = places
        .into_iter()
        .map(|place| place.join("gstreamer-1.0"))
        .find(|path| path.join(PLUGIN).is_file())?;
    let known = path.join(OF_GSTREAMER).is_file();
    Some(Folder { path, known })
}

/// Where GStreamer looks for the plugins of one user.
fn users_plugins() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")))?;
    Some(data.join("gstreamer-1.0/plugins"))
}

/// A list of folders that begins with this one. Done twice, it is the same.
fn put_first(folder: &OsStr, before: &OsStr) -> OsString {
    let others = before
        .as_bytes()
        .split(|byte| *byte == b':')
        .filter(|part| !part.is_empty() && *part != folder.as_bytes());
    let mut list = folder.to_owned();
    for other in others {
        list.push(":");
        list.push(OsStr::from_bytes(other));
    }
    list
}

/// Writes a word that a shell reads as it is.
fn write_quoted(out: &mut dyn Write, word: &OsStr) -> io::Result<()> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%".contains(byte);
    if word.as_bytes().iter().all(plain) {
        return out.write_all(word.as_bytes());
    }
    out.write_all(b"'")?;
    for byte in word.as_bytes() {
        match byte {
            b'\'' => out.write_all(b"'\\''")?,
            byte => out.write_all(&[*byte])?,
        }
    }
    out.write_all(b"'")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test's way to fail")]
mod tests {
    use super::*;

    #[test]
    fn the_folder_comes_first_and_once() {
        for (before, after) in
            [("", "/p"), ("/a", "/p:/a"), ("/a:/b", "/p:/a:/b"), ("/p:/a", "/p:/a"), ("/a:/p:", "/p:/a")]
        {
            assert_eq!(put_first(OsStr::new("/p"), OsStr::new(before)), after, "{before}");
        }
    }

    #[test]
    fn a_shell_reads_the_word_as_it_is() {
        for (word, quoted) in
            [("/usr/lib:/x-1.0", "/usr/lib:/x-1.0"), ("/a b", "'/a b'"), ("/it's", "'/it'\\''s'")]
        {
            let mut out = Vec::new();
            write_quoted(&mut out, OsStr::new(word)).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), quoted);
        }
    }
}
