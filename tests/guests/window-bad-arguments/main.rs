//! Asks for device windows that there are not, and in places that are not for them.
#![no_std]
#![no_main]

use abi::{Call, Error, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

const AREA: u64 = layout::DEVICE_WINDOWS.0;

fn main() -> ExitCode {
    let cases: [(&str, [u64; 3], Error); 9] = [
        ("map a window of a device that there is not", [32, 0, AREA], Error::NoSuchDevice),
        ("map a window of the last device that can be counted", [u64::MAX, 0, AREA], Error::NoSuchDevice),
        ("map a window of the first device, counted past 32 bits", [1 << 32, 0, AREA], Error::NoSuchDevice),
        ("map a window that the device does not have", [0, 6, AREA], Error::NoSuchWindow),
        ("map the last window that can be counted", [0, u64::MAX, AREA], Error::NoSuchWindow),
        ("map a window over the nucleus", [0, 0, layout::NUCLEUS.0], Error::BadAddress),
        ("map a window over null", [0, 0, 0], Error::BadAddress),
        ("map a window over its image", [0, 0, layout::GUEST_IMAGE.0], Error::AlreadyMapped),
        ("map a window at no page", [0, 0, AREA + 8], Error::Misaligned),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::MapWindow, arguments, error))
            .collect(),
    )
}
