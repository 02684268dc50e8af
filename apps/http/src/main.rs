//! Serves HTTP/1.1.
fn main() {}
