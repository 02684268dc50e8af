//! Every fixed address of the system.
//!
//! Lower half: one guest, its own page tables. Upper half: the nucleus, supervisor pages only.
//! Hosted guests use the same lower half; these are ordinary user addresses on Linux.

use crate::address::{PAGE_SIZE, VirtAddr};

const PAGE: u64 = PAGE_SIZE as u64;

/// Below this nothing is ever mapped, so that a null pointer with an offset faults.
pub const LOWEST: VirtAddr = VirtAddr(0x1_0000);
/// A Linux program that is not position-independent lies from here on.
pub const LINUX_PROGRAM: VirtAddr = VirtAddr(0x40_0000);
/// First address that belongs to our own code; below lie only a user's programs. A timer tick switches threads
/// only if it interrupted an address below.
pub const GUEST_IMAGE: VirtAddr = VirtAddr(0x6000_0000_0000);
/// End of the guest image.
pub const GUEST_IMAGE_END: VirtAddr = VirtAddr(0x6200_0000_0000);
/// Service state: virtqueue rings and other DMA memory of the services.
pub const SERVICE_STATE: VirtAddr = VirtAddr(0x6200_0000_0000);
/// Packet buffers, read and written in place.
pub const PACKET_POOL: VirtAddr = VirtAddr(0x6300_0000_0000);
/// The [`crate::InfoPage`], read-only to ring 3.
pub const INFO_PAGE: VirtAddr = VirtAddr(0x6400_0000_0000);
/// The [`crate::BootInfo`] and, after it, the command line; read-only to ring 3.
pub const BOOT_INFO: VirtAddr = VirtAddr(0x6400_0000_0000 + PAGE);
/// Bytes reserved for boot information and command line.
pub const BOOT_INFO_SIZE: usize = 7 * PAGE_SIZE;
/// The [`crate::upcall::CpuBlock`] of CPU 0; the next CPU's follows at [`CPU_BLOCK_SIZE`]. GS base of ring 3.
pub const CPU_BLOCKS: VirtAddr = VirtAddr(0x6400_0010_0000);
/// Distance of two CPU blocks, in bytes.
pub const CPU_BLOCK_SIZE: usize = 2 * PAGE_SIZE;
/// Device windows, where the services ask for them to be mapped.
pub const DEVICE_WINDOWS: VirtAddr = VirtAddr(0x6500_0000_0000);
/// Heap of the guest.
pub const HEAP: VirtAddr = VirtAddr(0x7000_0000_0000);
/// End of the heap's range.
pub const HEAP_END: VirtAddr = VirtAddr(0x7100_0000_0000);
/// Stacks, each below a guard page; the first is that of the main thread.
pub const STACKS: VirtAddr = VirtAddr(0x7100_0000_0000);
/// End of the stacks' range.
pub const STACKS_END: VirtAddr = VirtAddr(0x7200_0000_0000);
/// Anonymous memory for the library OS and programs (`mmap`).
pub const MMAP_AREA: VirtAddr = VirtAddr(0x7200_0000_0000);
/// End of what ring 3 may map; the last page of the lower half stays unmapped (SDM 3A 6.15, SYSRET errata).
pub const USER_END: VirtAddr = VirtAddr(0x7fff_ffff_f000);

/// Lowest mapped byte of the main thread's stack; the page below is its guard.
pub const MAIN_STACK: VirtAddr = VirtAddr(STACKS.0 + PAGE);
/// Size of the main thread's stack, in bytes.
pub const MAIN_STACK_SIZE: usize = 32 * PAGE_SIZE;

/// Start of the nucleus image; the last 2 GiB of the address space, where RIP-relative and sign-extended
/// 32-bit addresses both reach.
pub const NUCLEUS: VirtAddr = VirtAddr(0xffff_ffff_8000_0000);
/// End of the nucleus image: one page table maps it.
pub const NUCLEUS_END: VirtAddr = VirtAddr(0xffff_ffff_8020_0000);

/// Where the loader puts an image that a VMM boots directly.
pub const LOAD_DIRECT: u64 = 0x10_0000;
/// Where the loader puts an image that GRUB boots: clear of its modules and of UEFI's tables.
pub const LOAD_GRUB: u64 = 0x100_0000;
