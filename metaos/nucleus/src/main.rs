//! The ring-0 part of the meta-OS.
fn main() {}
