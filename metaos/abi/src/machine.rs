//! What the services need from below, as a trait: implemented over the nucleus's `syscall` gate and, for a guest
//! that runs as a Linux process, over the host's system calls.

use crate::access::Access;
use crate::address::{BusAddr, VirtAddr};
use crate::boot::BootInfo;
use crate::control::CrashKind;
use crate::error::Error;
use crate::info::InfoPage;

/// What a driver asks of a virtio device without registers (virtio 1.2, 2). Addresses are bus addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceRequest {
    /// The device status.
    Status,
    /// Sets the device status; 0 resets the device.
    SetStatus(u8),
    /// The features that it offers.
    Features,
    /// Says which features the driver uses.
    AcceptFeatures(u64),
    /// The largest size of a queue; 0: there is no such queue.
    QueueLimit(u16),
    /// Hands a queue over.
    EnableQueue {
        /// Its number.
        queue: u16,
        /// Its entries.
        size: u16,
        /// Where its descriptors are.
        descriptors: BusAddr,
        /// Where its available ring is.
        available: BusAddr,
        /// Where its used ring is.
        used: BusAddr,
    },
    /// Tells of new entries in a queue.
    Notify(u16),
    /// Lets the device work: what has come in is put into the buffers that wait for it.
    Attend,
    /// The byte of its configuration at this offset.
    Configuration(u16),
}

/// The machine below a guest. None of these calls is on the packet path.
///
/// All lengths are in bytes and, like the addresses, multiples of the page size unless said otherwise.
pub trait Machine: Sync {
    /// Returns the information page, which the machine updates while the guest runs.
    fn info(&self) -> &'static InfoPage;

    /// Returns what the machine told the guest at its start.
    fn boot(&self) -> &'static BootInfo;

    /// Returns the command line, as handed over by the loader.
    fn command_line(&self) -> &'static [u8];

    /// Maps zeroed anonymous memory at `[start, start + length)`.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is mapped then.
    fn map(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error>;

    /// Changes the access of anonymous memory.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is changed then.
    fn protect(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error>;

    /// Unmaps anonymous or DMA memory.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is unmapped then.
    fn unmap(&self, start: VirtAddr, length: usize) -> Result<(), Error>;

    /// Maps zeroed memory that devices may use: contiguous, pinned, never executable.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is mapped then.
    fn map_dma(&self, start: VirtAddr, length: usize, alignment: usize) -> Result<BusAddr, Error>;

    /// Maps window `window` of device `device` (indices into [`BootInfo::devices`]) at `start`.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is mapped then.
    fn map_window(&self, device: usize, window: usize, start: VirtAddr) -> Result<(), Error>;

    /// Sleeps until the clock reaches `deadline_ns` or any event beyond `events_seen` has happened; see
    /// [`crate::Call::Wait`]. No wake-up is lost: read the total first, look for work, then wait.
    fn wait(&self, deadline_ns: u64, events_seen: u64);

    /// Registers the entry and the stack of upcalls.
    ///
    /// # Errors
    ///
    /// [`Error::BadUpcall`] if either does not lie in memory of the right kind.
    fn register_upcall(&self, entry: VirtAddr, stack_top: VirtAddr) -> Result<(), Error>;

    /// Leaves the active upcall and resumes the context in the CPU block.
    fn return_from_upcall(&self) -> !;

    /// Sets the interval of the preemption tick in nanoseconds; 0 switches it off.
    fn set_tick(&self, interval_ns: u64);

    /// Takes typed bytes without waiting and returns how many.
    fn console_read(&self, buffer: &mut [u8]) -> usize;

    /// Writes bytes to the console.
    fn console_write(&self, bytes: &[u8]);

    /// Puts a request to device `device` (an index into [`BootInfo::devices`]) of [`crate::boot::transport::REQUESTS`] and
    /// returns its answer; 0 where there is none.
    fn device(&self, _device: usize, _request: DeviceRequest) -> u64 {
        0
    }

    /// Fills `seed` with random bytes fit for keys, and tells whether it could.
    fn random(&self, _seed: &mut [u8; 32]) -> bool {
        false
    }

    /// Sets FS base, where the CPU does not let ring 3 do it.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`]; [`Error::Unsupported`] where the machine has no such call.
    fn set_thread_pointer(&self, _address: VirtAddr) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Ends the machine with a report that carries `text`.
    fn crash(&self, kind: CrashKind, text: &str) -> !;

    /// Ends the machine.
    fn exit(&self, status: u8) -> !;
}
