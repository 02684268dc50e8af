//! The date that the real-time clock of a PC shows (MC146818 and its successors).
//!
//! The machine hands the registers over as they are. The clock is taken to run in UTC.

/// Status B: numbers are binary, not BCD.
const BINARY: u8 = 0x04;
/// Status B: hours count to 24.
const FULL_DAY: u8 = 0x02;
/// Hours, if they count to 12.
const AFTERNOON: u8 = 0x80;

/// Returns the seconds since 1970-01-01T00:00:00Z that `registers` show (see [`abi::InfoPage::real_time_clock`]); `None`
/// if there is no clock or it shows nonsense.
pub(super) fn seconds(registers: u64) -> Option<u64> {
    let [mut time @ .., status_b] = registers.to_le_bytes();
    let counts_to_24 = status_b & FULL_DAY != 0;
    let is_afternoon = !counts_to_24 && time[2] & AFTERNOON != 0;
    time[2] &= if is_afternoon { !AFTERNOON } else { u8::MAX };
    if status_b & BINARY == 0 {
        time = time.map(from_bcd);
    }
    let limits = [0..60, 0..60, 0..if counts_to_24 { 24 } else { 13 }, 1..32, 1..13, 0..100];
    let is_sane = limits.iter().zip(&time).all(|(limit, value)| limit.contains(value));
    let [second, minute, hour, day, month, year, century] = time.map(u64::from);
    let hour = if counts_to_24 { hour } else { hour % 12 + 12 * u64::from(is_afternoon) };
    // A chip without a century shows anything there.
    let century = if (20..=21).contains(&century) { century } else { 20 };
    let second_of_day = (hour * 60 + minute) * 60 + second;
    is_sane.then(|| days(century * 100 + year, month, day) * 86_400 + second_of_day)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clock shows: second, minute, hour, day, month, year, century, status B.
    fn clock(registers: [u8; 8]) -> Option<u64> {
        seconds(u64::from_le_bytes(registers))
    }

    #[test]
    fn the_clock_is_read_in_all_its_forms() {
        // 2024-02-29T23:59:58Z.
        let expected = Some(1_709_251_198);
        assert_eq!(clock([0x58, 0x59, 0x23, 0x29, 0x02, 0x24, 0x20, 0x02]), expected);
        assert_eq!(clock([58, 59, 23, 29, 2, 24, 20, 0x06]), expected);
        assert_eq!(clock([0x58, 0x59, 0x91, 0x29, 0x02, 0x24, 0x20, 0x00]), expected);
        assert_eq!(clock([58, 59, 11 | 0x80, 29, 2, 24, 0xff, 0x04]), expected);
        // Midnight and noon of 2000-01-01 by twelve hours.
        assert_eq!(clock([0, 0, 0x12, 1, 1, 0, 0x20, 0x00]), Some(946_684_800));
        assert_eq!(clock([0, 0, 0x92, 1, 1, 0, 0x20, 0x00]), Some(946_728_000));
    }

    #[test]
    fn a_clock_that_shows_nonsense_or_is_not_there_is_not_believed() {
        assert_eq!(seconds(u64::MAX), None);
        for shown in [
            [0x60, 0, 0, 1, 1, 0, 0x20, 0x02],
            [0, 0, 0x24, 1, 1, 0, 0x20, 0x02],
            [0, 0, 0, 0, 1, 0, 0x20, 0x02],
            [0, 0, 0, 1, 0x13, 0, 0x20, 0x02],
            [0, 0, 0, 1, 1, 0xa0, 0x20, 0x02],
            [0x5a, 0, 0, 1, 1, 0, 0x20, 0x02],
        ] {
            assert_eq!(clock(shown), None, "{shown:x?}");
        }
    }
}
