//! The areas of the address space in which ranges are handed out.

use super::state::STATE_HEAP_END;
use abi::layout;
use abi::{PAGE_SIZE, VirtAddr};

/// A part of [`abi::layout`] in which ranges are handed out. The heaps are not among them: they only grow, at their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Area {
    /// Rings and other state of the services.
    ServiceState,
    /// Packet buffers.
    PacketPool,
    /// Device windows.
    DeviceWindows,
    /// Stacks, above that of the main thread.
    Stacks,
    /// Anonymous memory of the library OS and of programs.
    Anonymous,
}

impl Area {
    pub(super) const ALL: [Self; 5] =
        [Self::ServiceState, Self::PacketPool, Self::DeviceWindows, Self::Stacks, Self::Anonymous];

    /// Returns the first address.
    #[must_use]
    pub const fn start(self) -> VirtAddr {
        match self {
            Self::ServiceState => STATE_HEAP_END,
            Self::PacketPool => layout::PACKET_POOL,
            Self::DeviceWindows => layout::DEVICE_WINDOWS,
            Self::Stacks => MAIN_STACK_END,
            Self::Anonymous => layout::MMAP_AREA,
        }
    }

    /// Returns the address after the last one.
    #[must_use]
    pub const fn end(self) -> VirtAddr {
        match self {
            Self::ServiceState => layout::PACKET_POOL,
            Self::PacketPool => layout::INFO_PAGE,
            Self::DeviceWindows => layout::HEAP,
            Self::Stacks => layout::STACKS_END,
            Self::Anonymous => layout::USER_END,
        }
    }
}

/// The machine maps the main thread's stack; what it hands out begins above.
pub(super) const MAIN_STACK_END: VirtAddr = VirtAddr(layout::MAIN_STACK.0 + layout::MAIN_STACK_SIZE as u64);

const _: () = assert!(layout::STACKS.0 + PAGE_SIZE as u64 == layout::MAIN_STACK.0);
