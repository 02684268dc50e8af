//! Two stacks that talk over a wire of the test's own, on a clock of the test's own.

mod bad_wire;
mod datagrams;
mod handshakes;
mod masses;
mod names;
mod neighbors;
mod oddities;
mod offloads;
mod peer;
mod segment;
mod services;
mod sim;
mod states;
mod streams;
mod troubles;
pub(super) mod wire;
