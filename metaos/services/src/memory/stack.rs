//! Stacks, each with a guard page below.

use super::area::Area;
use super::error::Error;
use super::mapping::Mapping;
use super::name::Name;
use abi::{Access, VirtAddr};

/// Smallest stack that is handed out, in bytes: a formatted panic message needs some 4 KiB.
pub const MINIMUM_BYTES: usize = 16 << 10;

/// Owner of one thread's stack. Running off its lower end faults in the guard page and is reported as the overflow
/// of this thread.
#[derive(Debug)]
pub struct Stack {
    mapping: Mapping,
    name: Name,
}

impl Stack {
    /// Maps a stack of at least `bytes` (and [`MINIMUM_BYTES`]) for the thread called `name`.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn new(bytes: usize, name: &str) -> Result<Self, Error> {
        let mapping = Mapping::new(Area::Stacks, bytes.max(MINIMUM_BYTES), Access::READ_WRITE, name)?;
        Ok(Self { mapping, name: Name::from(name) })
    }

    /// Returns the address after the last byte, 16-byte aligned: where the stack pointer starts.
    #[must_use]
    pub const fn top(&self) -> VirtAddr {
        VirtAddr(self.mapping.start().0 + self.mapping.length() as u64)
    }

    /// Returns the lowest address.
    #[must_use]
    pub const fn bottom(&self) -> VirtAddr {
        self.mapping.start()
    }

    /// Returns the bytes, without the guard.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.mapping.length()
    }

    /// Returns the name of the thread, cut to what a report holds.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}
