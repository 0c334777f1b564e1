//! What was built with this program.

use std::path::PathBuf;

use crate::Result;

pub(crate) const PLUGIN: &str = "libgstshmflow.so";

/// The file of this name that lies beside this program, or in `deps`, where `cargo test` puts what it builds: what is
/// beside the program may be older then.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let newest = program.with_file_name("deps").join(name);
    [newest, program.with_file_name(name)]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{name} is not built: make build").into())
}
