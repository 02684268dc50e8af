//! Registers upcall entries and stacks that are no text and no stack.
#![no_std]
#![no_main]

use abi::{Call, Error, layout};
use core::sync::atomic::AtomicU64;
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude, crime};

entry::main!(main);

static DATA: AtomicU64 = AtomicU64::new(1);

fn main() -> ExitCode {
    let text = crime::address_of_function(crime::do_nothing).0;
    let data = crime::address_of(&DATA).0;
    let stack = layout::MAIN_STACK.0 + layout::MAIN_STACK_SIZE as u64;
    let cases: [(&str, [u64; 3], Error); 12] = [
        ("enter upcalls in the nucleus", [layout::NUCLEUS.0, stack, 0], Error::BadUpcall),
        ("enter upcalls at null", [0, stack, 0], Error::BadUpcall),
        ("enter upcalls in data", [data, stack, 0], Error::BadUpcall),
        ("enter upcalls on the stack", [stack, stack, 0], Error::BadUpcall),
        ("enter upcalls past the image", [layout::GUEST_IMAGE_END.0 - 1, stack, 0], Error::BadUpcall),
        ("enter upcalls at the last address", [u64::MAX, stack, 0], Error::BadUpcall),
        ("put the upcall stack into the nucleus", [text, layout::NUCLEUS_END.0, 0], Error::BadUpcall),
        ("put the upcall stack at null", [text, 0, 0], Error::BadUpcall),
        ("put the upcall stack on constants", [text, layout::GUEST_IMAGE.0 + 0x1000, 0], Error::BadUpcall),
        ("put the upcall stack into a guard page", [text, layout::MAIN_STACK.0, 0], Error::BadUpcall),
        ("put the upcall stack on an odd address", [text, stack - 8, 0], Error::BadUpcall),
        ("put the upcall stack at the last address", [text, 0u64.wrapping_sub(16), 0], Error::BadUpcall),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::RegisterUpcall, arguments, error))
            .collect(),
    )
}
