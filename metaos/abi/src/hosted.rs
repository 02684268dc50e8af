//! The contract between a guest that runs as a Linux process and whoever starts it.
//!
//! A guest takes its arguments and its environment as every process does. What the machine and the library OS are
//! told stands in one variable, [`OPTIONS`], as words of a command line (see [`crate::cmdline`]); it is not handed
//! on to the program. What a process must be given open, it finds under fixed numbers: the filter that confines it is
//! made when it is linked, and names them. All others are closed before the program starts.

use crate::PAGE_SIZE;

/// Variable of the environment with the words that stand before `--` on the command line of a machine.
pub const OPTIONS: &[u8] = b"METAOS";

/// Word by which the starter announces that it reads the control channel ([`crate::control`]) at
/// [`descriptor::CONTROL`].
pub const CONTROL_OPTION: &[u8] = b"metaos.control=fd3";
/// Start of the word that says what [`descriptor::NETWORK`] is: a [`network`]. Without it there is no network.
pub const NETWORK_OPTION: &[u8] = b"metaos.network=";
/// Start of the word with the memory that the guest may have, in bytes.
pub const MEMORY_OPTION: &[u8] = b"metaos.memory=";
/// Start of the word with the largest payload of a frame, in bytes, if it is not the usual one of Ethernet.
pub const MTU_OPTION: &[u8] = b"metaos.mtu=";
/// Start of the word with the seed of a run that repeats bit for bit: time and chance are made up, and packets come in
/// lockstep ([`network::LOCKSTEP`]) or not at all.
pub const SEED_OPTION: &[u8] = b"metaos.seed=";
/// What the wall clock of such a run shows at its start, in nanoseconds since 1970: 2000-01-01T00:00:00Z.
pub const SEEDED_WALL_NS: u64 = 946_684_800_000_000_000;
/// Memory of a guest that is told nothing else, in bytes.
pub const DEFAULT_MEMORY: u64 = 256 << 20;

/// Numbers of open files.
pub mod descriptor {
    /// Standard input: what is typed on the console.
    pub const INPUT: i32 = 0;
    /// Standard output: the console.
    pub const OUTPUT: i32 = 1;
    /// Standard error: a crash report, if nobody reads the control channel.
    pub const ERROR: i32 = 2;
    /// The control channel: a stream socket.
    pub const CONTROL: i32 = 3;
    /// The network.
    pub const NETWORK: i32 = 4;
    /// Wakes a sleeping process from its own signal handlers; it makes this one itself.
    pub const WAKE: i32 = 5;
    /// First number that is not one of these.
    pub const END: i32 = 6;
}

/// What the network is.
pub mod network {
    /// A stream socket; before each frame stands its length, four bytes, the highest first (as passt and QEMU have it).
    pub const STREAM: &[u8] = b"stream";
    /// A tap device with `IFF_NO_PI | IFF_VNET_HDR`.
    pub const TAP: &[u8] = b"tap";
    /// A socket that keeps messages apart (`SOCK_SEQPACKET`), with another guest at its other end or one that does as
    /// guests do: a message is a virtio network header of [`HEADER`] bytes and a frame, which may be up to
    /// [`LARGEST_FRAME`] bytes long and lack its checksum.
    pub const PACKETS: &[u8] = b"packets";
    /// Like [`PACKETS`]; whoever is at the other end takes neither large frames nor such that lack their checksum. The
    /// header is there and says nothing.
    pub const PLAIN_PACKETS: &[u8] = b"plain-packets";

    /// A socket that keeps messages apart, of a run that repeats bit for bit. The guest sends frames as over
    /// [`PLAIN_PACKETS`] while its time stands still. When it has nothing more to do it sends a message of
    /// [`TIME`] bytes, little-endian: when it wants to be woken, in nanoseconds since its start (all ones: never). The
    /// answer says what time it is then, not later than that, and may carry a header and a frame behind it that come in at
    /// that time.
    pub const LOCKSTEP: &[u8] = b"lockstep";
    /// Bytes of a time.
    pub const TIME: usize = 8;

    /// Bytes of a virtio network header (virtio 1.2, 5.1.6.1).
    pub const HEADER: usize = 12;
    /// Bytes of the longest frame: an IP packet and the Ethernet header.
    pub const LARGEST_FRAME: usize = 65_535 + 14;
}

/// The filter of system calls, which the linker writes into the guest (note [`crate::note::TYPE_FILTER`]).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Filter {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Valid entries in `instructions`; 0: the linker has not been here, and the process is not confined.
    pub length: u32,
    /// A program for seccomp(2).
    pub instructions: [Instruction; MAX_FILTER],
}

/// An instruction of classic BPF: `struct sock_filter`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions to pass over where its condition holds.
    pub jump_true: u8,
    /// Instructions to pass over where it does not.
    pub jump_false: u8,
    /// Its operand.
    pub operand: u32,
}

/// Most instructions of a filter.
pub const MAX_FILTER: usize = 255;

const _: () = assert!(size_of::<Filter>() <= PAGE_SIZE, "the filter is small");
