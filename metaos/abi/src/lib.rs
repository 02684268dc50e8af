//! What crosses between the rooms of the meta-OS: address types, access rights, call numbers, boot
//! information, ELF notes, control records and errors.
//!
//! Every room names the same things by these types, so a change of contract is a change in this crate and
//! nowhere else. It holds no unsafe code and touches neither hardware nor memory: plain data and pure functions.
//!
//! Structures that cross the protection boundary are `repr(C)`, made of integers only, and carry no padding,
//! so that any bit pattern is a valid value and the receiver can check it field by field.
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod address;
pub mod boot;
pub mod call;
pub mod cmdline;
pub mod control;
pub mod error;
pub mod hosted;
pub mod image;
pub mod info;
pub mod layout;
pub mod linux;
pub mod machine;
pub mod note;
pub mod upcall;

pub use access::Access;
pub use address::{BusAddr, PAGE_SIZE, PhysAddr, VirtAddr};
pub use boot::BootInfo;
pub use call::Call;
pub use error::Error;
pub use info::InfoPage;
pub use machine::{DeviceRequest, Machine};

/// Version of everything in this crate. Nucleus and guest carry it in their ELF notes; the linker refuses to
/// join two that differ.
pub const VERSION: u32 = 1;
