//! Address types. A physical, a virtual and a bus address are never mixed up by accident.

use core::fmt;

/// Size of the smallest page, in bytes.
pub const PAGE_SIZE: usize = 4096;
/// Size of a large page (one page-directory entry), in bytes.
pub const LARGE_PAGE_SIZE: usize = 2 << 20;

macro_rules! address_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Returns the address `bytes` further up, or `None` if that leaves the 64-bit space.
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Tells whether the address is a multiple of `alignment` bytes (a power of two).
            #[must_use]
            pub const fn is_aligned(self, alignment: u64) -> bool {
                self.0 & (alignment - 1) == 0
            }

            /// Returns the start of the 4 KiB page that holds the address.
            #[must_use]
            pub const fn page_start(self) -> Self {
                Self(self.0 & !(PAGE_SIZE as u64 - 1))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address_type! {
    /// An address in the machine's physical memory or device space.
    PhysAddr
}
address_type! {
    /// An address as a program sees it.
    VirtAddr
}
address_type! {
    /// An address as a device sees it (equal to the physical address where no IOMMU translates).
    BusAddr
}

/// Rounds `bytes` up to whole pages; `None` if that leaves the 64-bit space.
#[must_use]
pub const fn page_align_up(bytes: u64) -> Option<u64> {
    match bytes.checked_add(PAGE_SIZE as u64 - 1) {
        Some(sum) => Some(sum & !(PAGE_SIZE as u64 - 1)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_does_not_wrap() {
        assert_eq!(VirtAddr(u64::MAX).checked_add(1), None);
        assert_eq!(VirtAddr(1).checked_add(1), Some(VirtAddr(2)));
        assert_eq!(page_align_up(u64::MAX), None);
        assert_eq!(page_align_up(1), Some(4096));
    }

    #[test]
    fn a_page_starts_at_its_multiple() {
        assert_eq!(PhysAddr(0x1fff).page_start(), PhysAddr(0x1000));
        assert!(PhysAddr(0x2000).is_aligned(4096));
        assert!(!PhysAddr(0x2001).is_aligned(4096));
    }
}
