//! A short name, held in place.

use core::fmt;

const CAPACITY: usize = 31;

/// Name of a range, cut to 31 bytes at a character boundary. Held in place, because it is read while crashing, when
/// nothing may be allocated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; CAPACITY],
    length: u8,
}

impl Name {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or("")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        let mut name = Self { bytes: [0; CAPACITY], length: 0 };
        for character in text.chars() {
            let start = usize::from(name.length);
            let Some(place) = name.bytes.get_mut(start..start + character.len_utf8()) else { break };
            character.encode_utf8(place);
            name.length += u8::try_from(character.len_utf8()).expect("UTF-8 takes at most four bytes");
        }
        name
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(Name::from("worker-1").as_str(), "worker-1");
        let long = Name::from("0123456789012345678901234567890123456789");
        assert_eq!(long.as_str().len(), CAPACITY);
        let wide = Name::from("ßßßßßßßßßßßßßßßßßß");
        assert_eq!(wide.as_str().chars().count(), 15);
    }
}
