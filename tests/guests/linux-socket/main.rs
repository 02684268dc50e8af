//! Asks Linux, by the gate, for a socket of IPv4.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("make a socket");
    from_gate(number::SOCKET, [2, 1, 0, 0, 0, 0]);
    not_caught()
}
