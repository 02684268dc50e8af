//! Prints a greeting and its arguments.
fn main() {}
