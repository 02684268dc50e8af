//! Maps a device window and reads past its end.
#![no_std]
#![no_main]

use abi::{VirtAddr, layout};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught, say};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    let start = layout::DEVICE_WINDOWS;
    let Some(device) = machine::current().boot().devices().first() else {
        say(format_args!("there is no device"));
        return ExitCode::FAILURE;
    };
    if let Err(error) = machine::current().map_window(0, 0, start) {
        say(format_args!("the window is not mapped: {error}"));
        return ExitCode::FAILURE;
    }
    crime::read_at(start);
    attempting("read past the end of a device window");
    crime::read_at(VirtAddr(start.0 + device.windows[0].length));
    not_caught()
}
