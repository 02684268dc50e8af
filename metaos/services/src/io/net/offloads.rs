//! What the device may do for the driver, as far as the one who opens it wants that.
//!
//! Each can be left out, to compare, and for hosts whose implementation is broken.

bitflags::bitflags! {
    /// A set of offloads.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Offloads: u8 {
        /// The device fills in transport checksums, and says which frames have a good one.
        const CHECKSUMS = 1 << 0;
        /// The device cuts large TCP segments into frames. Needs `CHECKSUMS`.
        const SEGMENTATION = 1 << 1;
        /// The device hands over what belongs together as one large TCP segment. Needs `CHECKSUMS`.
        const LARGE_RECEIVE = 1 << 2;
        /// Doorbells and interrupts are asked for from an index on, and not with every entry.
        const EVENT_INDEX = 1 << 3;
    }
}
