//! Processes that are killed or frozen, and files that are removed: nobody else may notice more than that.

mod frozen;
mod hostile;
mod killed;
mod removed;
