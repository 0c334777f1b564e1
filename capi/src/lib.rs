//! The C interface of shmflow: `libshmflow.so` and `libshmflow.a`.
//!
//! `include/shmflow.h` is generated from this code (comments included) and compared with it by a test; `docs/c.md` is
//! the reference. The rules of every function here:
//!
//! - No panic leaves it: [`fail::guard`] is around each of them.
//! - No pointer is used before `args` has checked it; enumerations arrive as integers.
//! - An error is a status, with a text for display per thread (`fail`).
//!
//! `flow` is the classic interface of three calls, with a header of its own.
#![deny(unsafe_code)]

mod args;
pub mod attached;
pub mod audio;
pub mod claim;
pub mod consumer;
pub mod fail;
pub mod findings;
pub mod flow;
pub mod frame;
pub mod log;
pub mod metadata;
pub mod options;
pub mod planes;
pub mod producer;
pub mod status;
mod text;
pub mod times;
pub mod version;
pub mod wait;
