//! The real-time clock of a PC (MC146818 and its successors): what it shows at boot.
//!
//! Read once and handed over as it is: which day that was is ring 3's to find out, should it ask, and the time-stamp
//! counter goes on from there.

use crate::privileged::{port_read, port_write};

const INDEX_PORT: u16 = 0x70;
const DATA_PORT: u16 = 0x71;
/// Second, minute, hour, day, month, year; the century, which is not of the chip but of ACPI's habit; status B, which
/// tells their form. In the order of [`abi::InfoPage::real_time_clock`].
const REGISTERS: [u8; 8] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x32, 0x0b];
const STATUS_A: u8 = 0x0a;
/// An update is near or under way, and registers are unsteady.
const UPDATING: u8 = 0x80;
/// What every register shows where there is no clock.
const ABSENT: u8 = 0xff;
/// Most tries. An update lasts 2 ms at most; a port read takes at least a tenth of a microsecond.
const MAX_TRIES: u32 = 2000;

/// Reads the clock; all ones if there is none that comes to rest.
pub(crate) fn read() -> u64 {
    // An update may start right after the check, so a reading counts once it came out twice.
    let mut last = None;
    for _ in 0..MAX_TRIES {
        let status = register(STATUS_A);
        let is_steady = status & UPDATING == 0 || status == ABSENT;
        let shown = is_steady.then(|| u64::from_le_bytes(REGISTERS.map(register)));
        if shown.is_some() && shown == last {
            break;
        }
        last = shown;
    }
    last.unwrap_or(u64::MAX)
}

fn register(index: u8) -> u8 {
    port_write(INDEX_PORT, index);
    port_read(DATA_PORT)
}
