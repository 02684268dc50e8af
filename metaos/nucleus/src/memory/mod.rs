//! Physical memory and the one address space.

pub mod entry;
mod frames;
mod ranges;
mod setup;
mod tables;
mod window;

pub use frames::Frames;
pub use ranges::{UserRange, check_access};
pub use tables::Tables;

/// Memory: the free frames and the tables that map the others.
#[derive(Debug)]
pub struct Memory {
    /// Free frames.
    pub frames: Frames,
    /// Page tables.
    pub tables: Tables,
    /// What the temporary window shows.
    shown: entry::Entry,
    /// Highest physical address of this CPU (SDM 3A 4.1.4): more would set reserved bits of an entry.
    highest_address: u64,
}
