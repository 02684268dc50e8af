//! Answers TCP and UDP with what it got.
fn main() {}
