//! What the machine is told: the words of [`abi::hosted::OPTIONS`], and the command line that the guest reads.

use crate::process::Process;
use abi::cmdline::{Words, quote};
use abi::hosted::{
    CONTROL_OPTION, DEFAULT_MEMORY, MEMORY_OPTION, MTU_OPTION, NETWORK_OPTION, OPTIONS, SEED_OPTION, network,
};

/// What is at the other end of the network's descriptor; see [`network`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Network {
    None,
    Stream,
    Tap,
    Packets,
    PlainPackets,
    Lockstep,
}

/// What the machine is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Options {
    pub(crate) has_control: bool,
    pub(crate) network: Network,
    /// Largest payload of a frame, if it is not the usual one.
    pub(crate) mtu: Option<u16>,
    /// Memory that the guest may have, in bytes.
    pub(crate) memory: u64,
    /// The run repeats bit for bit.
    pub(crate) seed: Option<u64>,
}

/// Why the options make no machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OptionsError {
    /// A word of the machine's own is not understood.
    BadWord,
    /// Everything together is longer than there is room.
    TooLong,
}

impl Options {
    /// Reads the words.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, OptionsError> {
        let mut options = Self {
            has_control: false,
            network: Network::None,
            mtu: None,
            memory: DEFAULT_MEMORY,
            seed: None,
        };
        for word in Words::new(line).map(abi::cmdline::Word::raw) {
            if word == CONTROL_OPTION {
                options.has_control = true;
            } else if let Some(name) = word.strip_prefix(NETWORK_OPTION) {
                options.network = Network::named(name).ok_or(OptionsError::BadWord)?;
            } else if let Some(bytes) = word.strip_prefix(MEMORY_OPTION) {
                options.memory = number(bytes).ok_or(OptionsError::BadWord)?;
            } else if let Some(bytes) = word.strip_prefix(SEED_OPTION) {
                options.seed = Some(number(bytes).ok_or(OptionsError::BadWord)?);
            } else if let Some(bytes) = word.strip_prefix(MTU_OPTION) {
                options.mtu =
                    Some(number(bytes).and_then(|mtu| mtu.try_into().ok()).ok_or(OptionsError::BadWord)?);
            }
        }
        Ok(options)
    }
}

impl Network {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            network::STREAM => Some(Self::Stream),
            network::TAP => Some(Self::Tap),
            network::PACKETS => Some(Self::Packets),
            network::PLAIN_PACKETS => Some(Self::PlainPackets),
            network::LOCKSTEP => Some(Self::Lockstep),
            _ => None,
        }
    }
}

/// Returns the words of the environment that are for the machine and the library OS.
pub(crate) fn words(process: Process) -> &'static [u8] {
    process.environment().find_map(machine_words).unwrap_or(b"")
}

/// Writes the command line of the guest into `room` and returns its length: the words, the rest of the environment, and
/// the arguments.
pub(crate) fn write_command_line(process: Process, room: &mut [u8]) -> Result<usize, OptionsError> {
    let mut line = Line { room, length: 0 };
    words(process).iter().for_each(|byte| line.push(*byte));
    for variable in process.environment().filter(|variable| machine_words(variable).is_none()) {
        b" env.".iter().for_each(|byte| line.push(*byte));
        quote(variable, |byte| line.push(byte));
    }
    b" --".iter().for_each(|byte| line.push(*byte));
    for argument in process.arguments() {
        line.push(b' ');
        quote(argument, |byte| line.push(byte));
    }
    if line.length <= line.room.len() { Ok(line.length) } else { Err(OptionsError::TooLong) }
}

fn machine_words(variable: &[u8]) -> Option<&[u8]> {
    variable.strip_prefix(OPTIONS)?.strip_prefix(b"=")
}

fn number(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// A line that counts what does not fit.
struct Line<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Line<'_> {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.room.get_mut(self.length) {
            *place = byte;
        }
        self.length += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_machine_are_read_and_others_left_to_the_guest() {
        let line =
            b"net.ip=10.0.0.2/24 metaos.control=fd3 metaos.network=tap metaos.memory=1048576 metaos.mtu=9000 metaos.seed=7";
        let options = Options {
            has_control: true,
            network: Network::Tap,
            mtu: Some(9000),
            memory: 1 << 20,
            seed: Some(7),
        };
        assert_eq!(Options::parse(line), Ok(options));
        let nothing = Options {
            has_control: false,
            network: Network::None,
            mtu: None,
            memory: DEFAULT_MEMORY,
            seed: None,
        };
        assert_eq!(Options::parse(b"net.ip=10.0.0.2/24"), Ok(nothing));
    }

    #[test]
    fn a_word_that_means_nothing_is_refused() {
        for line in [&b"metaos.network=carrier-pigeon"[..], b"metaos.memory=much", b"metaos.mtu=70000"] {
            assert_eq!(Options::parse(line), Err(OptionsError::BadWord));
        }
    }

    #[test]
    fn the_command_line_holds_words_environment_and_arguments() {
        let strings =
            [c"a b", c"--", c"METAOS=net.x=1", c"LANG=C", c"A=b c"].map(|string| string.as_ptr() as usize);
        let [program, argument, words, language, other] = strings;
        let stack = [2, program, argument, 0, words, language, other, 0];
        // SAFETY: the array is laid out as the kernel's.
        let process = unsafe { Process::new(stack.as_ptr()) };
        let mut room = [0; 100];
        let length = write_command_line(process, &mut room).expect("it fits");
        assert_eq!(&room[..length], br#"net.x=1 env.LANG=C env."A=b c" -- "a b" "--""#);
        assert_eq!(write_command_line(process, &mut room[..length - 1]), Err(OptionsError::TooLong));
    }
}
