//! The real-time clock.

use super::mock::{Machine, View};
use crate::devices::rtc;
use core::cell::RefCell;

/// What the clock shows: second, minute, hour, day, month, year, century, status B.
fn clock(shown: [u8; 7], status_b: u8) -> Option<u64> {
    let mut machine = Machine::default();
    machine.clock.extend([0, 2, 4, 7, 8, 9, 0x32].into_iter().zip(shown));
    machine.clock.extend([(0x0a, 0x26), (0x0b, status_b)]);
    rtc::read(&mut View(&RefCell::new(machine)))
}

#[test]
fn the_clock_is_read_in_all_its_forms() {
    // 2024-02-29T23:59:58Z.
    let expected = Some(1_709_251_198);
    assert_eq!(clock([0x58, 0x59, 0x23, 0x29, 0x02, 0x24, 0x20], 0x02), expected);
    assert_eq!(clock([58, 59, 23, 29, 2, 24, 20], 0x06), expected);
    assert_eq!(clock([0x58, 0x59, 0x91, 0x29, 0x02, 0x24, 0x20], 0x00), expected);
    assert_eq!(clock([58, 59, 11 | 0x80, 29, 2, 24, 0xff], 0x04), expected);
    // Midnight and noon of 2000-01-01 by twelve hours.
    assert_eq!(clock([0, 0, 0x12, 1, 1, 0, 0x20], 0x00), Some(946_684_800));
    assert_eq!(clock([0, 0, 0x92, 1, 1, 0, 0x20], 0x00), Some(946_728_000));
}

#[test]
fn a_clock_that_shows_nonsense_or_is_not_there_is_not_believed() {
    assert_eq!(rtc::read(&mut View(&RefCell::new(Machine::default()))), None);
    for shown in [
        [0x60, 0, 0, 1, 1, 0, 0x20],
        [0, 0, 0x24, 1, 1, 0, 0x20],
        [0, 0, 0, 0, 1, 0, 0x20],
        [0, 0, 0, 1, 0x13, 0, 0x20],
        [0, 0, 0, 1, 1, 0xa0, 0x20],
        [0x5a, 0, 0, 1, 1, 0, 0x20],
    ] {
        assert_eq!(clock(shown, 0x02), None, "{shown:x?}");
    }
    let mut updating = Machine::default();
    updating.clock.extend([(0x0a, 0xa6), (0x0b, 2)]);
    assert_eq!(rtc::read(&mut View(&RefCell::new(updating))), None);
}
