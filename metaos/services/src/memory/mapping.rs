//! Anonymous memory that unmaps itself.

use super::area::Area;
use super::error::Error;
use super::ranges::Range;
use crate::machine;
use abi::{Access, PAGE_SIZE, VirtAddr};

/// Owner of anonymous memory; unmaps it and gives its addresses back on drop.
#[derive(Debug)]
pub struct Mapping {
    range: Range,
}

impl Mapping {
    /// Maps `length` bytes of zeroed memory, rounded up to whole pages, under a name for reports.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is mapped then.
    pub fn new(area: Area, length: usize, access: Access, name: &str) -> Result<Self, Error> {
        refuse_writable_and_executable(access)?;
        let range = Range::reserve(area, length, PAGE_SIZE, name)?;
        machine::current().map(range.start(), range.length(), access)?;
        Ok(Self { range })
    }

    /// Changes what may be done with the memory.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is changed then.
    pub fn protect(&self, access: Access) -> Result<(), Error> {
        refuse_writable_and_executable(access)?;
        Ok(machine::current().protect(self.range.start(), self.range.length(), access)?)
    }

    /// Returns the first address.
    #[must_use]
    pub const fn start(&self) -> VirtAddr {
        self.range.start()
    }

    /// Returns the bytes, a multiple of the page size.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.range.length()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if machine::current().unmap(self.range.start(), self.range.length()).is_err() {
            self.range.abandon();
        }
    }
}

fn refuse_writable_and_executable(access: Access) -> Result<(), Error> {
    if access.is_writable_and_executable() { Err(Error::WritableAndExecutable) } else { Ok(()) }
}
