//! The classic interface: `init_flow`, `write_data`, `read_data`, as older programs of this kind call them, over the ring.
//!
//! They cannot return an error. They print it in one line on the standard error output, at most once a second, and the
//! program continues: a reader finds nothing new, a writer's image is lost.

mod complain;
pub mod export;
mod reader;
mod state;
mod writer;

/// Bytes that `read_data` writes before the data: the total size, and the id.
const HEAD: usize = 8;
