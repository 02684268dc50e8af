//! The console: standard input and output.

use crate::linux::{self, Errno, READABLE, TimeSpec, Watch};
use abi::hosted::descriptor;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What stands for the end of input, as on a terminal.
const END_OF_INPUT: u8 = 4;

/// What is known of the input.
static INPUT: AtomicU8 = AtomicU8::new(SILENT);
/// Nothing has been typed that the guest was not told of.
const SILENT: u8 = 0;
/// The guest was told, and has not read since.
const TOLD: u8 = 1;
/// It has ended.
const ENDED: u8 = 2;

/// Tells whether typed bytes are waited for.
pub(crate) fn is_awaited() -> bool {
    INPUT.load(Relaxed) == SILENT
}

/// Notes that the guest was told of typed bytes.
pub(crate) fn note_told() {
    INPUT.store(TOLD, Relaxed);
}

/// Takes typed bytes without waiting.
pub(crate) fn read(buffer: &mut [u8]) -> usize {
    if INPUT.load(Relaxed) == ENDED || buffer.is_empty() {
        return 0;
    }
    let mut watch = [Watch { descriptor: descriptor::INPUT, wanted: READABLE, happened: 0 }];
    INPUT.store(SILENT, Relaxed);
    if linux::poll(&mut watch, Some(TimeSpec::default())).unwrap_or(0) == 0 {
        return 0;
    }
    match linux::read(descriptor::INPUT, buffer) {
        Ok(count) if count > 0 => count,
        Err(Errno::AGAIN | Errno::INTERRUPTED) => 0,
        Ok(_) | Err(_) => {
            INPUT.store(ENDED, Relaxed);
            buffer[0] = END_OF_INPUT;
            1
        }
    }
}

/// Writes bytes; what nobody reads any more is lost.
pub(crate) fn write(bytes: &[u8]) {
    write_all(descriptor::OUTPUT, bytes);
}

/// Writes all of `bytes`, however long it takes.
pub(crate) fn write_all(descriptor: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match linux::write(descriptor, bytes) {
            Ok(count) => bytes = &bytes[count.min(bytes.len())..],
            Err(Errno::INTERRUPTED) => {}
            Err(Errno::AGAIN) => {
                let mut watch = [Watch { descriptor, wanted: linux::WRITABLE, happened: 0 }];
                let _: Result<usize, Errno> = linux::poll(&mut watch, None);
            }
            Err(_) => return,
        }
    }
}
