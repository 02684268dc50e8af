//! What discovery needs from below: physical memory and ports, as two traits.
//!
//! The nucleus implements them over its one temporary window and the port instructions; the tests implement them
//! over a made-up machine. So nothing in this folder touches hardware by itself, and none of it is unsafe.

use abi::PhysAddr;

/// Access to physical memory and device registers, each call one access of the width in its name.
///
/// 32-bit accesses are always aligned to 4 bytes, so no access crosses a page. Any address may come: what the CPU
/// cannot address reads as all ones, and a write there is dropped. Most calls hit the page of the call before.
pub trait Physical {
    /// Reads 32 bits.
    fn read_u32(&mut self, at: PhysAddr) -> u32;
    /// Writes a byte.
    fn write_u8(&mut self, at: PhysAddr, value: u8);
    /// Writes 32 bits.
    fn write_u32(&mut self, at: PhysAddr, value: u32);
}

/// Access to the I/O ports.
pub trait Ports {
    /// Reads a byte.
    fn read_u8(&mut self, port: u16) -> u8;
    /// Reads 32 bits.
    fn read_u32(&mut self, port: u16) -> u32;
    /// Writes a byte.
    fn write_u8(&mut self, port: u16, value: u8);
    /// Writes 32 bits.
    fn write_u32(&mut self, port: u16, value: u32);
}
