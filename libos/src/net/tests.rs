//! Two stacks that talk over a wire of the test's own, on a clock of the test's own.

mod bad_wire;
mod datagrams;
mod handshakes;
mod names;
mod neighbors;
mod services;
mod sim;
mod streams;
mod troubles;
pub(super) mod wire;
