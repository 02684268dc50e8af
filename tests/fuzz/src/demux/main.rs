//! Any frame for the demultiplexer, beside a reading of the same frame by the wire formats of smoltcp: wherever the stack
//! behind would find a segment or datagram, the demultiplexer must have found its connection or port.
//!
//! The files are private to the library OS and compiled into this target as they stand.
#![no_main]
#![expect(dead_code, reason = "of the room's files only what is asked is used here")]

#[path = "../../../../libos/src/net"]
#[rustfmt::skip]
mod net {
    pub(crate) mod checksum;
    pub(crate) mod device;
    pub(crate) mod frame;
}
mod reading;

use libfuzzer_sys::fuzz_target;

extern crate alloc;

fuzz_target!(|bytes: &[u8]| {
    reading::check(bytes);
    // Most inputs are no frames: the same bytes once more, where a frame would carry them.
    for start in
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8][..], &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45]]
    {
        reading::check(&[start, bytes].concat());
    }
});
