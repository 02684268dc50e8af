//! The routines against the obvious ones, for all small sizes and random large ones, in every overlap.

use super::compare::{bcmp, memcmp};
use super::copy::{memcpy, memmove};
use super::fill::memset;
use super::length::strlen;

const ROOM: usize = 2048;

/// xorshift64 (Marsaglia 2003): the same numbers at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..ROOM).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    /// Small sizes all in turn, then any.
    fn size(&mut self, round: usize) -> usize {
        if round < 400 { round } else { self.below(900) }
    }
}

#[test]
fn moving_is_right_in_every_overlap() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..20_000 {
        let size = random.size(round % 1_000);
        let (from, to) = (random.below(ROOM - size), random.below(ROOM - size));
        // Near overlaps are where it goes wrong.
        let to = if round % 2 == 0 { (from + to % 130).min(ROOM - size) } else { to };
        let mut actual = random.bytes();
        let mut expected = actual.clone();
        expected.copy_within(from..from + size, to);
        let start = actual.as_mut_ptr();
        // SAFETY: both ranges lie in the vector.
        let result = unsafe { memmove(start.add(to), start.add(from), size) };
        assert_eq!(result.addr(), start.addr() + to);
        assert!(actual == expected, "{size} bytes from {from} to {to}");
    }
}

#[test]
fn copying_touches_nothing_else() {
    let mut random = Random(1);
    for round in 0..3_000 {
        let size = random.size(round);
        let (from, to) = (random.below(ROOM - size), random.below(ROOM - size));
        let source = random.bytes();
        let mut actual = random.bytes();
        let mut expected = actual.clone();
        expected[to..to + size].copy_from_slice(&source[from..from + size]);
        // SAFETY: both ranges lie in their vectors.
        unsafe { memcpy(actual.as_mut_ptr().add(to), source.as_ptr().add(from), size) };
        assert!(actual == expected, "{size} bytes");
    }
}

#[test]
fn filling_touches_nothing_else() {
    let mut random = Random(2);
    for round in 0..3_000 {
        let size = random.size(round);
        let to = random.below(ROOM - size);
        let value = u8::try_from(random.below(256)).unwrap();
        let mut actual = random.bytes();
        let mut expected = actual.clone();
        expected[to..to + size].fill(value);
        // SAFETY: the range lies in the vector. The upper bits of the value are ignored (C17 7.24.6.1).
        let result = unsafe { memset(actual.as_mut_ptr().add(to), i32::from(value) | 0x7700, size) };
        assert_eq!(result.addr(), actual.as_ptr().addr() + to);
        assert!(actual == expected, "{size} bytes of {value}");
    }
}

#[test]
fn comparing_finds_the_first_difference() {
    let mut random = Random(3);
    for round in 0..10_000 {
        let size = random.size(round % 1_000);
        let first = random.bytes();
        let mut second = first.clone();
        for _ in 0..random.below(4) {
            let place = random.below(size + 1).min(ROOM - 1);
            second[place] = u8::try_from(random.below(256)).unwrap();
        }
        let expected = first[..size].cmp(&second[..size]);
        // SAFETY: both vectors are longer.
        let actual = unsafe { memcmp(first.as_ptr(), second.as_ptr(), size) };
        assert_eq!(actual.cmp(&0), expected, "{size} bytes");
        // SAFETY: as above.
        let differs = unsafe { bcmp(first.as_ptr(), second.as_ptr(), size) };
        assert_eq!(differs != 0, expected.is_ne());
    }
}

#[test]
fn a_text_is_as_long_as_its_zero_says() {
    for text in [&b"\0"[..], b"a\0", b"four\0more\0"] {
        let expected = text.iter().position(|byte| *byte == 0).unwrap();
        // SAFETY: the text ends with a zero.
        assert_eq!(unsafe { strlen(text.as_ptr()) }, expected);
    }
}
