//! The real-time clock of a PC (MC146818 and its successors): the date at boot.
//!
//! Read once; after that the time-stamp counter goes on from it. The clock is taken to run in UTC.

use super::bus::Ports;

const INDEX_PORT: u16 = 0x70;
const DATA_PORT: u16 = 0x71;
/// Second, minute, hour, day, month, year; and the century, which is not of the chip but of ACPI's habit.
const TIME: [u8; 7] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x32];
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
/// Status A: an update is near or under way, and registers are unsteady.
const UPDATING: u8 = 0x80;
/// Status B: numbers are binary, not BCD.
const BINARY: u8 = 0x04;
/// Status B: hours count to 24.
const FULL_DAY: u8 = 0x02;
/// Hours, if they count to 12.
const AFTERNOON: u8 = 0x80;
/// Most tries. An update lasts 2 ms at most; a port read takes at least a tenth of a microsecond.
const MAX_WAITS: u32 = 40_000;

/// Reads the clock. Returns seconds since 1970-01-01T00:00:00Z; `None` if there is no clock or it shows nonsense.
pub fn read(ports: &mut dyn Ports) -> Option<u64> {
    if register(ports, STATUS_A) == 0xff {
        return None;
    }
    // An update may start right after the check, so a reading counts once it came out twice.
    let mut last = None;
    for _ in 0..MAX_WAITS {
        let is_steady = register(ports, STATUS_A) & UPDATING == 0;
        let shown = is_steady.then(|| TIME.map(|index| register(ports, index)));
        if shown.is_some() && shown == last {
            return seconds(shown?, register(ports, STATUS_B));
        }
        last = shown;
    }
    None
}

fn register(ports: &mut dyn Ports, index: u8) -> u8 {
    ports.write_u8(INDEX_PORT, index);
    ports.read_u8(DATA_PORT)
}

fn seconds(mut registers: [u8; 7], status_b: u8) -> Option<u64> {
    let is_afternoon = status_b & FULL_DAY == 0 && registers[2] & AFTERNOON != 0;
    registers[2] &= if is_afternoon { !AFTERNOON } else { u8::MAX };
    if status_b & BINARY == 0 {
        registers = registers.map(from_bcd);
    }
    let hours = if status_b & FULL_DAY == 0 { 13 } else { 24 };
    let limits = [0..60, 0..60, 0..hours, 1..32, 1..13, 0..100];
    let is_sane = limits.iter().zip(&registers).all(|(limit, value)| limit.contains(value));
    let [second, minute, hour, day, month, year, century] = registers.map(u64::from);
    let hour = if status_b & FULL_DAY == 0 { hour % 12 + 12 * u64::from(is_afternoon) } else { hour };
    // A chip without a century shows anything there.
    let century = if (20..=21).contains(&century) { century } else { 20 };
    let time = (hour * 60 + minute) * 60 + second;
    is_sane.then(|| days(century * 100 + year, month, day) * 86_400 + time)
}

/// Decodes two decimal digits; what is none becomes a number that is refused everywhere.
const fn from_bcd(value: u8) -> u8 {
    let (tens, ones) = (value >> 4, value & 0xf);
    if tens < 10 && ones < 10 { tens * 10 + ones } else { u8::MAX }
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar.
///
/// Years are counted from March, so that the leap day ends one; then the days before a month are a line with a step.
fn days(year: u64, month: u64, day: u64) -> u64 {
    const DAYS_TO_1970: u64 = 719_468;
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970
}
