//! The end of the machine, and the legacy interrupt controllers that nobody uses.

use crate::privileged::{halt, port_write_u8};

/// Port of QEMU's `isa-debug-exit` as the runner sets it up.
const DEBUG_EXIT: u16 = 0xf4;

/// Ends the machine: QEMU leaves; anything else stops for ever.
pub fn off() -> ! {
    port_write_u8(DEBUG_EXIT, 0);
    halt()
}

/// Moves the interrupts of the 8259 controllers out of the exceptions' vectors and masks them all.
pub fn silence_legacy_interrupts() {
    const STEPS: [(u16, u8); 10] = [
        (0x20, 0x11), // initialise, four words
        (0xa0, 0x11),
        (0x21, 0x20), // vectors 0x20 to 0x2f
        (0xa1, 0x28),
        (0x21, 0x04), // cascade on line 2
        (0xa1, 0x02),
        (0x21, 0x01), // 8086 mode
        (0xa1, 0x01),
        (0x21, 0xff), // mask
        (0xa1, 0xff),
    ];
    for (port, value) in STEPS {
        port_write_u8(port, value);
    }
}
