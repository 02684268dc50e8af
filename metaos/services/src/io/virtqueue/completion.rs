//! What comes back from a device.

/// A chain that the device has finished with. Both fields have been checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Completion {
    /// What was given with the chain.
    pub token: u16,
    /// Bytes the device says it wrote, at most what the chain's writable buffers hold.
    pub written: u32,
}
