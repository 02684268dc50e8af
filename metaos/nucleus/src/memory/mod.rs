//! Physical memory and the one address space.

pub(crate) mod entry;
mod frames;
mod ranges;
mod setup;
mod tables;
mod window;

pub(crate) use ranges::{UserRange, check_access};

/// Memory: the free frames and the tables that map the others.
pub(crate) struct Memory {
    /// Free frames.
    pub(crate) frames: frames::Frames,
    /// Page tables.
    pub(crate) tables: tables::Tables,
    /// What the temporary window shows.
    shown: entry::Entry,
    /// End of what the CPU can address.
    physical_end: u64,
}
