//! Splitting and quoting.

use abi::cmdline::{Word, Words, quote};

/// Returns the words before the separator.
pub(crate) fn options(line: &[u8]) -> impl Iterator<Item = Word<'_>> {
    Words::new(line).take_while(|word| !word.is_separator())
}

/// Checks that the words are pieces of the line, in order, with nothing but white space between them.
pub(crate) fn check_line(line: &[u8]) {
    let mut rest = line;
    for word in Words::new(line) {
        let raw = word.raw();
        rest = rest.trim_ascii_start().strip_prefix(raw).expect("a word stands where the last one ended");
        assert!(!raw.is_empty() && !raw[0].is_ascii_whitespace());
        assert!(word.bytes().count() <= raw.len());
    }
    assert!(rest.trim_ascii().is_empty(), "nothing is lost");
}

/// Checks that words are read back as they were: those of the line, and its pieces between zero bytes.
pub(crate) fn check_round_trip(line: &[u8]) {
    let words: Vec<Vec<u8>> = Words::new(line).map(|word| word.bytes().collect()).collect();
    assert_eq!(read_back(&words), words);
    let pieces: Vec<Vec<u8>> = line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    assert_eq!(read_back(&pieces), pieces);
}

fn read_back(words: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut line = Vec::new();
    for word in words {
        line.push(b' ');
        quote(word, |byte| line.push(byte));
    }
    assert!(Words::new(&line).all(|word| !word.is_separator()), "a quoted word is no separator");
    Words::new(&line).map(|word| word.bytes().collect()).collect()
}
