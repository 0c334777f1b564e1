//! What users of `shmsink`, `unixfdsink` and `ipcpipelinesink` may expect, by GStreamer's own tests of these elements. The table
//! in `docs/proof.md` has the test for each of their cases: one here, or an older one.

mod ipcpipeline;
mod shm;
mod unixfd;
