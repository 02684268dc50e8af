//! What discovery needs from below, as a trait: physical memory and the ports of PCI.
//!
//! The nucleus implements it over its one temporary window and the port instructions; the tests implement it over a
//! made-up machine. So nothing in this folder touches hardware by itself, and none of it is unsafe.

use abi::PhysAddr;

/// Access to physical memory, device registers and ports, each call one access of the width in its name.
///
/// 32-bit accesses are always aligned to 4 bytes, so no access crosses a page. Any address may come: what the CPU
/// cannot address reads as all ones, and a write there is dropped. Most calls hit the page of the call before.
pub trait Hardware {
    /// Reads 32 bits.
    fn read_u32(&mut self, at: PhysAddr) -> u32;
    /// Writes a byte.
    fn write_u8(&mut self, at: PhysAddr, value: u8);
    /// Writes 32 bits.
    fn write_u32(&mut self, at: PhysAddr, value: u32);
    /// Reads 32 bits from an I/O port.
    fn read_port(&mut self, port: u16) -> u32;
    /// Writes 32 bits to an I/O port.
    fn write_port(&mut self, port: u16, value: u32);
}
