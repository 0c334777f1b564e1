//! The classic interface: `init_flow`, `write_data`, `read_data`, as older programs of this kind call them, over the ring.
//!
//! They cannot report an error. What goes wrong is said in one line on the standard error output, at most once a second,
//! and the program goes on: a reader finds nothing new, a writer's image is lost.

mod complain;
pub mod export;
mod reader;
mod state;
mod writer;

/// Bytes before the data of what `read_data` gives: the total size, and the id.
const HEAD: usize = 8;
