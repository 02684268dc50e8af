//! The kernel command line: how words stand in it.
//!
//! Words are separated by white space. Within double quotes white space stands for itself; a backslash takes the
//! next byte literally, inside quotes and outside. What stands before the word `--` is for the machine and the
//! library OS, what stands after it is for the program:
//!
//! ```text
//! metaos.control=com2 net.ip=10.0.2.15/24 env.LANG=C -- serve "/a path" --port 80
//! ```

/// Splits a command line into words. Any bytes are accepted: an open quote ends with the line.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// Starts at the beginning of `line`.
    #[must_use]
    pub const fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let start = self.rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let line = &self.rest[start..];
        let mut is_quoted = false;
        let mut end = 0;
        while let Some(&byte) = line.get(end) {
            match byte {
                b'\\' => end += 1,
                b'"' => is_quoted = !is_quoted,
                _ if byte.is_ascii_whitespace() && !is_quoted => break,
                _ => {}
            }
            end += 1;
        }
        let end = end.min(line.len());
        self.rest = &line[end..];
        Some(Word { raw: &line[..end] })
    }
}

/// One word, still with its quotes and backslashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<'a> {
    raw: &'a [u8],
}

impl<'a> Word<'a> {
    /// Returns the bytes as they stand on the line.
    #[must_use]
    pub const fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// Returns the bytes that the word means.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let mut raw = self.raw.iter().copied();
        core::iter::from_fn(move || {
            loop {
                match raw.next()? {
                    b'"' => {}
                    b'\\' => return raw.next(),
                    byte => return Some(byte),
                }
            }
        })
    }

    /// Tells whether this is the word that ends the options.
    #[must_use]
    pub fn is_separator(self) -> bool {
        self.raw == b"--"
    }
}

/// Calls `emit` with the bytes that stand for `word` on a command line, so that [`Words`] reads it back.
pub fn quote(word: &[u8], mut emit: impl FnMut(u8)) {
    let needs_quotes = word.is_empty()
        || word == b"--"
        || word.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'"');
    if needs_quotes {
        emit(b'"');
    }
    for &byte in word {
        if byte == b'"' || byte == b'\\' {
            emit(b'\\');
        }
        emit(byte);
    }
    if needs_quotes {
        emit(b'"');
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::vec::Vec;

    fn words(line: &[u8]) -> Vec<Vec<u8>> {
        Words::new(line).map(|word| word.bytes().collect()).collect()
    }

    #[test]
    fn quotes_and_backslashes_keep_white_space() {
        assert_eq!(words(br#"  a "b c"  d\ e "f\"g" "" "#), [&b"a"[..], b"b c", b"d e", b"f\"g", b""]);
    }

    #[test]
    fn an_open_quote_and_a_last_backslash_end_with_the_line() {
        assert_eq!(words(br#"a "b c"#), [&b"a"[..], b"b c"]);
        assert_eq!(words(br"a\"), [&b"a"[..]]);
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for word in
            [&b""[..], b"--", b"plain", b"two words", b"q\"uote", b"back\\slash", b"\\", b"tab\t", b"\""]
        {
            let mut line = Vec::new();
            quote(word, |byte| line.push(byte));
            assert_eq!(words(&line), [word]);
            assert!(!Words::new(&line).next().unwrap().is_separator());
        }
    }
}
