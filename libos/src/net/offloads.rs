//! Which offloads the network card may use: what the command line says of them.
//!
//! `net.offloads=off` or a list, `net.offloads=-tso,-lro`: for comparison, and for hosts whose implementation is broken.

use core::fmt;
use services::io::net::Offloads;

/// The word's name.
pub(crate) const NAME: &str = "net.offloads";

/// A value that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unknown;

impl Unknown {
    /// Returns what is wrong and what to write instead.
    pub(crate) const fn text(self) -> &'static str {
        "net.offloads is not on, off, or a list of csum, tso, lro, event-idx, each with - to leave it out, or all without to \
         have no others; write for example -tso,-lro"
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Unknown {}

/// Reads the word among `words`, each a name and its value; all offloads if it is not there.
///
/// # Errors
///
/// Its value makes no sense.
pub(crate) fn from_words<'a>(words: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Offloads, Unknown> {
    words.filter(|(name, _)| *name == NAME).try_fold(Offloads::all(), |_, (_, value)| parse(value))
}

fn parse(value: &str) -> Result<Offloads, Unknown> {
    match value {
        "on" => return Ok(Offloads::all()),
        "off" => return Ok(Offloads::empty()),
        _ => {}
    }
    let leaves_out = value.starts_with('-');
    let named = value.split(',').try_fold(Offloads::empty(), |sum, item| {
        let name = item.strip_prefix('-');
        if name.is_some() != leaves_out {
            return Err(Unknown);
        }
        Ok(sum | offload(name.unwrap_or(item))?)
    })?;
    Ok(if leaves_out { Offloads::all() - named } else { named })
}

fn offload(name: &str) -> Result<Offloads, Unknown> {
    match name {
        "csum" => Ok(Offloads::CHECKSUMS),
        "tso" => Ok(Offloads::SEGMENTATION),
        "lro" => Ok(Offloads::LARGE_RECEIVE),
        "event-idx" => Ok(Offloads::EVENT_INDEX),
        _ => Err(Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Result<Offloads, Unknown> {
        from_words([("net.ip", "10.0.0.2/24"), (NAME, value)].into_iter())
    }

    #[test]
    fn all_are_used_unless_said_otherwise() {
        assert_eq!(from_words([("net.ip", "off")].into_iter()), Ok(Offloads::all()));
        assert_eq!(read("on"), Ok(Offloads::all()));
        assert_eq!(read("off"), Ok(Offloads::empty()));
    }

    #[test]
    fn a_list_leaves_some_out_or_names_the_only_ones() {
        assert_eq!(read("-tso"), Ok(Offloads::all() - Offloads::SEGMENTATION));
        assert_eq!(read("-csum,-event-idx"), Ok(Offloads::SEGMENTATION | Offloads::LARGE_RECEIVE));
        assert_eq!(read("csum,lro"), Ok(Offloads::CHECKSUMS | Offloads::LARGE_RECEIVE));
    }

    #[test]
    fn a_word_that_makes_no_sense_is_refused() {
        for value in ["", "-", "yes", "tso,", "-tso,lro", "tso,-lro", "TSO", "--tso", "on,off"] {
            assert_eq!(read(value), Err(Unknown), "{value}");
        }
    }
}
