//! The lines of a request's head (RFC 9112, 2 to 5): the request line, then fields, each read once and in place.
//!
//! As strict as robust parsers are: a name is made of token characters and ends at its colon, a value has no control
//! characters but tabs, a line that continues another is refused. A lone line feed ends a line, and empty lines before
//! the request are skipped, as RFC 9112, 2.2 allows.

/// What is still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
}

/// The first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestLine<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    /// The minor number of the version; the major one is 1.
    pub(crate) minor: u8,
}

/// A field: its name and its value without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Why there is no line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// More bytes must come.
    Incomplete,
    /// What is here is no HTTP.
    Bad,
    /// It is HTTP of another version.
    Version,
}

/// Whether a byte may stand in a method or a field's name (RFC 9110, 5.6.2).
const TOKEN: [bool; 256] = token();
/// One in each byte of a word.
const ONES: u64 = u64::MAX / 0xff;

impl<'a> Lines<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads the request line.
    pub(crate) fn request_line(&mut self) -> Result<RequestLine<'a>, Stop> {
        while let [b'\r' | b'\n', ..] = self.rest {
            self.end_of_line()?;
        }
        let method = self.until(b' ', |byte| TOKEN[usize::from(byte)])?;
        let target = self.until(b' ', |byte| byte.is_ascii_graphic())?;
        let minor = match self.rest.split_first_chunk::<8>() {
            Some((b"HTTP/1.1", rest)) => {
                self.rest = rest;
                1
            }
            Some((b"HTTP/1.0", rest)) => {
                self.rest = rest;
                0
            }
            None if b"HTTP/1.".starts_with(self.rest) => return Err(Stop::Incomplete),
            _ => return Err(Stop::Version),
        };
        self.end_of_line()?;
        Ok(RequestLine { method, target, minor })
    }

    /// Reads the next field; `None` at the empty line that ends the head.
    pub(crate) fn field(&mut self) -> Result<Option<Field<'a>>, Stop> {
        if let [b'\r' | b'\n', ..] = self.rest {
            return self.end_of_line().map(|()| None);
        }
        let name = self.until(b':', |byte| TOKEN[usize::from(byte)])?;
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let length = end_of_value(self.rest).ok_or(Stop::Incomplete)?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(Stop::Incomplete)?;
        self.rest = rest;
        self.end_of_line()?;
        Ok(Some(Field { name, value: value.trim_ascii_end() }))
    }

    /// Reads bytes that are `allowed`, at least one, up to `end`, and goes on behind that.
    #[inline(always)]
    fn until(&mut self, end: u8, allowed: impl Fn(u8) -> bool) -> Result<&'a [u8], Stop> {
        let length = self.rest.iter().position(|byte| !allowed(*byte)).ok_or(Stop::Incomplete)?;
        match self.rest.split_at_checked(length) {
            Some((bytes @ [_, ..], [found, rest @ ..])) if *found == end => {
                self.rest = rest;
                Ok(bytes)
            }
            _ => Err(Stop::Bad),
        }
    }

    #[inline(always)]
    fn end_of_line(&mut self) -> Result<(), Stop> {
        match self.rest {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => {
                self.rest = rest;
                Ok(())
            }
            [] | [b'\r'] => Err(Stop::Incomplete),
            _ => Err(Stop::Bad),
        }
    }
}

impl Field<'_> {
    /// Tells whether the name is `name`, which is made of small letters and hyphens. Case does not matter; a bit tells
    /// it, and no other token character becomes a letter or a hyphen by that bit.
    pub(crate) fn is<const N: usize>(&self, name: &[u8; N]) -> bool {
        self.name.as_array::<N>().is_some_and(|own| own.map(|byte| byte | 0x20) == *name)
    }
}

/// Finds the first control character that is no tab, eight bytes at a time.
fn end_of_value(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // The lowest mark is exact: a borrow can only put wrong ones above it (Warren, "Hacker's Delight", 6-1).
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let deleted = word ^ (ONES * 0x7f);
        let deleted = deleted.wrapping_sub(ONES) & !deleted;
        let marks = (below_space | deleted) & (ONES * 0x80);
        if marks == 0 {
            rest = behind;
            continue;
        }
        let place = marks.trailing_zeros() as usize / 8;
        if chunk[place] != b'\t' {
            return Some(bytes.len() - rest.len() + place);
        }
        rest = &rest[place + 1..];
    }
    let tail = rest.iter().position(|byte| byte.is_ascii_control() && *byte != b'\t')?;
    Some(bytes.len() - rest.len() + tail)
}

const fn token() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        let is_mark = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        table[byte as usize] = is_mark || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
}
