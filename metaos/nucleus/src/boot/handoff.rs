//! What the loader hands over, copied to memory of our own.

use crate::report;
use abi::{BootInfo, PhysAddr, layout::BOOT_INFO_SIZE};
use core::{ops::Range, slice::Iter};
use heapless::Vec;

/// Most bytes of command line: what fits behind the boot information.
pub(super) const MAX_COMMAND_LINE: usize = BOOT_INFO_SIZE - size_of::<BootInfo>();
/// Most entries that are read of a list of the loader's; firmware gives a dozen or two, UEFI a few dozen.
pub(super) const MAX_ENTRIES: usize = 256;

/// Ranges of physical addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(Vec<Range<u64>, { MAX_ENTRIES + 32 }>);

impl Ranges {
    /// Adds a range unless it is empty. Ends the machine if there are too many: none of them may be forgotten.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        if range.start < range.end && self.0.push(range).is_err() {
            report::refuse("too many ranges of memory: load fewer modules");
        }
    }

    /// Returns the ranges.
    pub(crate) fn iter(&self) -> Iter<'_, Range<u64>> {
        self.0.iter()
    }
}

/// What the loader handed over.
pub(crate) struct Handoff {
    /// Usable memory.
    pub(crate) free: Ranges,
    /// All memory, usable or not, as device discovery takes it.
    pub(crate) ram: Ranges,
    /// Memory that must not be overwritten: modules (initial RAM disks), what is still read later.
    pub(crate) reserved: Ranges,
    /// The ACPI root pointer.
    pub(crate) rsdp: Option<PhysAddr>,
    /// The command line; what was too long is cut.
    pub(crate) command_line: Vec<u8, MAX_COMMAND_LINE>,
}

impl Handoff {
    /// Returns an empty hand-over.
    pub(super) const fn new() -> Self {
        const NONE: Ranges = Ranges(Vec::new());
        Self { free: NONE, ram: NONE, reserved: NONE, rsdp: None, command_line: Vec::new() }
    }
}
