//! What the loader hands over, copied to memory of our own.

use super::memory_map::{MemoryMap, Range};
use abi::layout::BOOT_INFO_SIZE;
use abi::{BootInfo, PhysAddr};

/// Most bytes of command line: what fits behind the boot information.
const MAX_COMMAND_LINE: usize = BOOT_INFO_SIZE - size_of::<BootInfo>();

/// What the loader handed over.
#[derive(Debug)]
pub struct Handoff {
    /// Usable memory.
    pub memory: MemoryMap,
    /// Memory that must not be overwritten: modules (initial RAM disks), what is still read later.
    pub reserved: MemoryMap,
    /// The ACPI root pointer.
    pub rsdp: Option<PhysAddr>,
    command_line: [u8; MAX_COMMAND_LINE],
    command_line_length: usize,
}

impl Handoff {
    /// Returns an empty hand-over.
    pub(super) const fn new() -> Self {
        Self {
            memory: MemoryMap::new(),
            reserved: MemoryMap::new(),
            rsdp: None,
            command_line: [0; MAX_COMMAND_LINE],
            command_line_length: 0,
        }
    }

    /// Returns the command line.
    #[must_use]
    pub fn command_line(&self) -> &[u8] {
        &self.command_line[..self.command_line_length]
    }

    /// Takes the zero-terminated command line at a physical address; what is too long is cut.
    pub(super) fn take_command_line(&mut self, address: u64) {
        self.command_line_length = super::reader::read_string(address, &mut self.command_line);
    }

    /// Keeps `[start, end)` from being used as free memory.
    pub(super) fn reserve(&mut self, start: u64, end: u64) {
        self.reserved.add(Range { start, end });
    }
}
