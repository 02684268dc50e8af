//! The nucleus as a program: the library, the panic handler and the symbols that compiled code expects.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

/// Ends the machine with a report: a panic in ring 0 is a defect of the nucleus, or an image it cannot run.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    metaos_nucleus::panic(info)
}
