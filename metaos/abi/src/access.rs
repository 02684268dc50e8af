//! What a program may do with a page.

use bitflags::bitflags;

bitflags! {
    /// Rights of ring 3 on a page, as bits that cross the call boundary.
    ///
    /// The empty set maps nothing that ring 3 can touch (a guard).
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
    #[repr(transparent)]
    pub struct Access: u32 {
        /// Loads are allowed.
        const READ = 1;
        /// Stores are allowed.
        const WRITE = 2;
        /// Instruction fetches are allowed.
        const EXECUTE = 4;
    }
}

impl Access {
    /// Read and write: data, heap, stacks.
    pub const READ_WRITE: Self = Self::READ.union(Self::WRITE);
    /// Read and execute: program text.
    pub const READ_EXECUTE: Self = Self::READ.union(Self::EXECUTE);

    /// Tells whether the set breaks the rule that no page is writable and executable.
    #[must_use]
    pub const fn is_writable_and_executable(self) -> bool {
        self.contains(Self::WRITE.union(Self::EXECUTE))
    }
}
