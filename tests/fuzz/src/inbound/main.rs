//! Any frames, between the program's own operations, for a whole stack with connections in every state; and after them
//! a client that wants to be served.
//!
//! The stack is private to the library OS, so its source files are compiled into this target as they stand, with the
//! wire and the hand-played peers of its own tests.
#![no_main]
#![expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "of the room's files only the stack is used here"
)]

extern crate alloc;

mod case;
#[path = "../used_ring/input.rs"]
mod input;
mod packets;

#[path = "../../../../libos/src"]
#[rustfmt::skip]
mod libos {
    pub(crate) mod env;
    pub(crate) mod gate;
    pub(crate) mod io;
    pub(crate) mod poll;
    pub(crate) mod process;
    pub(crate) mod readiness;
    pub(crate) mod slots;
    pub(crate) mod sync;
    pub(crate) mod task;
    pub(crate) mod thread;
    pub(crate) mod time;
    pub(crate) mod timers;

    /// Its lower half, which knows neither threads nor a device of its own.
    pub(crate) mod net {
        pub(crate) mod autoconf;
        pub(crate) mod checksum;
        pub(crate) mod config;
        pub(crate) mod connection;
        pub(crate) mod datagram;
        pub(crate) mod deadlines;
        pub(crate) mod device;
        pub(crate) mod dhcp;
        pub(crate) mod dns;
        pub(crate) mod error;
        pub(crate) mod frame;
        pub(crate) mod hash;
        pub(crate) mod icmpv6;
        pub(crate) mod link;
        pub(crate) mod listener;
        pub(crate) mod pool;
        pub(crate) mod ports;
        pub(crate) mod reassembly;
        pub(crate) mod shard;
        pub(crate) mod stack;
        pub(crate) mod trouble;
        pub(crate) mod tuning;

        pub(crate) mod tests {
            pub(crate) mod offloads;
            pub(crate) mod peer;
            pub(crate) mod segment;
            pub(crate) mod wire;
        }
    }
}

// The files name each other from the root of their crate.
use libfuzzer_sys::fuzz_target;
use libos::{env, gate, io, net, poll, process, readiness, slots, sync, task, thread, time, timers};

fuzz_target!(|bytes: &[u8]| {
    case::run(input::Input::new(bytes));
});
