//! Tells the plugin which commit it was built from, and of which day that is. Without a git repository it is a release of
//! the day that `Cargo.toml` has.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed=src");
    // Grows with every commit and checkout: who develops is not to wait for that each time. What is not there would have
    // this run always.
    let log = ".git/logs/HEAD";
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") && Path::new(log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    gst_plugin_version_helper::info();
}
