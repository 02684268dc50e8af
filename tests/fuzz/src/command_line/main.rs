//! Any bytes as kernel command line: split into words, and read by the parts that take words from it.
//!
//! Those parsers are private to their rooms, and the nucleus cannot be linked into a program of the host (it brings its
//! own `memcpy`); so their source files are compiled into this target as they stand.
#![no_main]
#![expect(unused_imports, unreachable_pub, reason = "of the rooms' files only what parses is used here")]

extern crate alloc;

mod discovery;
mod network;
mod words;

#[path = "../../../../metaos/nucleus/src/command_line.rs"]
#[rustfmt::skip]
mod nucleus_options;

use abi::control;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    words::check_line(line);
    words::check_round_trip(line);
    let has_control = words::options(line).any(|word| word.raw() == control::OPTION);
    assert_eq!(nucleus_options::has_control_channel(line), has_control);
    discovery::check(line);
    network::check(line);
});
