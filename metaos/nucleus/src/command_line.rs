//! What the nucleus itself reads from the command line.

use abi::{cmdline::Words, control};

/// Tells whether the runner reads the control channel.
#[must_use]
pub fn has_control_channel(line: &[u8]) -> bool {
    Words::new(line).take_while(|word| !word.is_separator()).any(|word| word.raw() == control::OPTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_channel_is_an_option_before_the_arguments() {
        assert!(has_control_channel(b"net.ip=10.0.0.2/8 metaos.control=com2 -- x"));
        assert!(!has_control_channel(b"-- metaos.control=com2"));
        assert!(!has_control_channel(b""));
    }
}
