//! Gives the shared library its name and version for the dynamic linker: programs linked with it ask for
//! `libshmflow.so.0`, whatever file they were linked with.

/// Raised when programs linked with the library before do not run with it any more.
const ABI: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libshmflow.so.{ABI}");
}
