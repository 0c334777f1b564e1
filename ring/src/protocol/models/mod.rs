//! The protocol under loom: every interleaving within the bounds, with deaths and stops at every step.
