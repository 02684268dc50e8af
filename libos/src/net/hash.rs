//! The hash by which connections are found.
//!
//! Who sends segments chooses ports, and with forged ones addresses, and must not be able to choose many that meet in
//! one place of the table. So the hash is keyed with random numbers of this boot. (The default hasher of the table
//! takes its key from addresses of memory, which in an image are the same at each boot.) A multiplication of 128 bits
//! whose halves are folded together spreads every bit of its input over the result.

use core::hash::{BuildHasher, Hash, Hasher};

/// The fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Two secret numbers.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    start: u64,
    factor: u64,
}

/// The hash of what was written so far.
#[derive(Clone, Copy)]
pub(crate) struct Keyed {
    state: u64,
    factor: u64,
}

impl Keys {
    /// Makes keys of two random numbers.
    pub(crate) const fn new(first: u64, second: u64) -> Self {
        // A small factor would spread little.
        Self { start: first, factor: second | 0x8000_0000_0000_0001 }
    }
}

impl BuildHasher for Keys {
    type Hasher = Keyed;

    #[inline]
    fn build_hasher(&self) -> Keyed {
        Keyed { state: self.start, factor: self.factor }
    }

    #[inline]
    #[expect(clippy::manual_hash_one, reason = "it is that one, inlined")]
    fn hash_one<T: Hash>(&self, value: T) -> u64 {
        let mut hasher = self.build_hasher();
        value.hash(&mut hasher);
        hasher.finish()
    }
}

impl Hasher for Keyed {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        // The rotation keeps what is written twice from undoing itself.
        self.state = fold(self.state ^ number, self.factor).rotate_left(23);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        // Rows of numbers come out of one multiplication as rows.
        fold(self.state, SPREAD)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
const fn fold(number: u64, factor: u64) -> u64 {
    let product = number as u128 * factor as u128;
    product as u64 ^ (product >> 64) as u64
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::frame::{Key, Tuple};
    use alloc::vec;
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr};

    fn tuple(host: u32, port: u16) -> Tuple {
        Tuple {
            local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            remote: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + host)),
            local_port: 80,
            remote_port: port,
        }
    }

    /// The fullest of 4096 places, by the low bits and by the high ones, which the table uses both.
    fn fullest(keys: Keys, tuples: impl Iterator<Item = Tuple>) -> [u32; 2] {
        let mut places = [vec![0_u32; 4096], vec![0; 4096]];
        for tuple in tuples {
            let hash = keys.hash_one(Key::from(tuple));
            places[0][usize::try_from(hash & 4095).unwrap()] += 1;
            places[1][usize::try_from(hash >> 52).unwrap()] += 1;
        }
        places.map(|places| places.into_iter().max().unwrap_or(0))
    }

    #[test]
    fn neighbouring_connections_lie_apart() {
        let factors = [0x9e37_79b9_7f4a_7c15, 0xfedc_ba98_7654_3210, 0x5851_f42d_4c95_7f2d];
        for keys in factors.map(|factor| Keys::new(0x0123_4567_89ab_cdef, factor)) {
            let ports = fullest(keys, (0..40_000).map(|port| tuple(7, port)));
            let hosts = fullest(keys, (0..40_000).map(|host| tuple(host, 40_000)));
            // Ten each on average; thrown at random, hardly ever more than thirty.
            for most in ports.into_iter().chain(hosts) {
                assert!(most < 40, "{most} in one place");
            }
        }
    }

    #[test]
    fn what_meets_with_one_key_lies_apart_with_another() {
        let (one, other) = (Keys::new(3, 0x9e37_79b9_7f4a_7c15), Keys::new(4, 0xd1b5_4a32_d192_ed03));
        let place = |keys: Keys, tuple: Tuple| keys.hash_one(Key::from(tuple)) & 1023;
        let chosen = (0..60_000).map(|port| tuple(9, port)).filter(|tuple| place(one, *tuple) == 5);
        let chosen: Vec<_> = chosen.collect();
        assert!(chosen.len() > 20);
        let meeting = chosen.iter().filter(|tuple| place(other, **tuple) == place(other, chosen[0])).count();
        assert!(meeting < chosen.len() / 4, "{meeting} of {}", chosen.len());
    }
}
