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
}
