//! The network device: virtio-net (virtio 1.2, 5.1) with one receive and one transmit queue.
//!
//! Frames are read and written in place, in buffers that are mapped once. Nothing allocates or calls the machine on
//! the packet path; doorbells are rung once a batch by [`Net::flush`]. The rhythm of the one who drives it:
//!
//! ```text
//! loop {
//!     attend                      acknowledge, and reset a device that broke the rules
//!     while next_frame { ... }    up to a batch
//!     transmit ...
//!     flush                       one doorbell a queue
//!     if nothing to do: read the event total, enable_interrupts; if it says false: wait; disable_interrupts
//! }
//! ```

mod error;
mod header;
mod offloads;
mod plan;
mod receive;
mod ring;
mod transmit;

pub use error::NetError;
pub use header::{Carrier, Checksum, Offload};
pub use offloads::Offloads;
pub use plan::Capabilities;
pub use receive::{Frame, Receiver};
pub use transmit::Transmitter;

use super::device::VirtioDevice;
use super::entropy;
use crate::machine;
use core::mem::ManuallyDrop;
use core::ops::Range;
use plan::Plan;

/// virtio device type of a network card (virtio 1.2, 5).
const KIND_NETWORK: u32 = 1;
const RECEIVE_QUEUE: u16 = 0;
const TRANSMIT_QUEUE: u16 = 1;

/// A network device. Resets it on drop.
#[derive(Debug)]
pub struct Net {
    device: VirtioDevice,
    /// Absent while the device does not work: the rings are made anew, or could not be.
    queues: Option<Queues>,
    /// The device does not even reset.
    is_dead: bool,
    plan: Plan,
    mac: [u8; 6],
    /// Events counted when the interrupt was last acknowledged.
    acknowledged: u64,
    resets: u64,
    /// What was counted up to the last reset.
    past: Statistics,
}

/// What a device has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that were sent; a large one that the device cuts counts once.
    pub frames_out: u64,
    /// Completions that were no frames.
    pub dropped: u64,
    /// How often a doorbell was rung, which costs a way out of the guest.
    pub doorbells: u64,
    /// Interrupts that came.
    pub interrupts: u64,
}

#[derive(Debug)]
struct Queues {
    receiver: Receiver,
    transmitter: Transmitter,
}

impl Statistics {
    /// Those of a device that has done nothing.
    pub const NONE: Self = Self { frames_in: 0, frames_out: 0, dropped: 0, doorbells: 0, interrupts: 0 };
}

impl Net {
    /// Finds and starts the first network device, with those of `offloads` that it has; `None` if the machine has no
    /// device. To be called once.
    ///
    /// # Errors
    ///
    /// See [`NetError`].
    pub fn open(offloads: Offloads) -> Result<Option<Self>, NetError> {
        let Some(mut device) = VirtioDevice::find(KIND_NETWORK)? else { return Ok(None) };
        let memory = machine::current().boot().memory_bytes;
        let queue = device.transport().queue_size_limit(RECEIVE_QUEUE);
        device.begin(|offered| plan::choose(offered, offloads, memory, queue))?;
        let plan = Plan::new(&device, memory)?;
        let mac = match plan::mac(&device)? {
            Some(mac) => mac,
            None => invent_mac()?,
        };
        let past = Statistics::default();
        let mut net =
            Self { device, queues: None, is_dead: false, plan, mac, acknowledged: 0, resets: 0, past };
        net.start()?;
        Ok(Some(net))
    }

    /// Returns the hardware address.
    #[must_use]
    pub const fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Returns the largest payload of a frame, in bytes, without the Ethernet header.
    #[must_use]
    pub const fn mtu(&self) -> usize {
        self.plan.mtu
    }

    /// Returns what the device does for the driver.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.plan.capabilities
    }

    /// Returns the events to wait for; empty if the device has no interrupt and must be polled.
    #[must_use]
    pub fn events(&self) -> Range<usize> {
        self.device.events()
    }

    /// Returns what was counted.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut sum = Statistics { interrupts: self.event_count(), ..self.past };
        if let Some(Queues { receiver, transmitter }) = &self.queues {
            sum.frames_in += receiver.frames();
            sum.frames_out += transmitter.frames();
            sum.dropped += receiver.dropped();
            sum.doorbells += receiver.queue.doorbells() + transmitter.queue.doorbells();
        }
        sum
    }

    /// Returns how often the device was reset because it broke the rules.
    #[must_use]
    pub const fn resets(&self) -> u64 {
        self.resets
    }

    /// Returns both directions at once, as a network stack wants them that answers while it reads.
    ///
    /// # Errors
    ///
    /// [`NetError::Dead`] if the device does not work now; [`attend`](Self::attend) tries to bring it up.
    pub fn split(&mut self) -> Result<(&mut Receiver, &mut Transmitter), NetError> {
        let queues = self.queues.as_mut().ok_or(NetError::Dead)?;
        Ok((&mut queues.receiver, &mut queues.transmitter))
    }

    /// Returns the next frame that came in. It gives its buffer back on drop.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        self.queues.as_mut()?.receiver.next_frame()
    }

    /// Tells whether a frame can be sent now.
    pub fn can_transmit(&mut self) -> bool {
        self.queues.as_mut().is_some_and(|queues| queues.transmitter.can_transmit())
    }

    /// Sends a frame of `length` bytes that `fill` writes in place; see [`Transmitter::transmit`].
    pub fn transmit<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Offload)) -> Option<R> {
        self.queues.as_mut()?.transmitter.transmit(length, fill).ok()
    }

    /// Shows the device what was sent and given back since the last time, with at most one doorbell a queue.
    pub fn flush(&mut self) {
        if let Some(queues) = &mut self.queues {
            queues.receiver.flush();
            queues.transmitter.flush();
        }
    }

    /// Begins a round of work: acknowledges a pending interrupt, and resets the device if it broke the rules (frames
    /// under way are lost then). Costs a few instructions when neither is due.
    ///
    /// # Errors
    ///
    /// [`NetError`] if the device could not be brought up again; the next call tries once more, unless it did not
    /// even reset.
    pub fn attend(&mut self) -> Result<(), NetError> {
        if self.device.transport().wants_acknowledgement() {
            let events = self.event_count();
            if events != self.acknowledged {
                self.acknowledged = events;
                self.device.transport().acknowledge_interrupt();
            }
        }
        self.device.transport().attend();
        match &self.queues {
            Some(queues) if !queues.receiver.is_broken() && !queues.transmitter.is_broken() => Ok(()),
            _ if self.is_dead => Err(NetError::Dead),
            _ => self.restart(),
        }
    }

    /// Asks for interrupts, and tells whether there is work already, for which none will come. If not, and the event
    /// total is still the one read *before* this call, waiting is safe.
    pub fn enable_interrupts(&mut self) -> bool {
        self.queues.as_mut().is_some_and(|queues| {
            let has_frames = queues.receiver.enable_interrupts();
            queues.transmitter.enable_interrupts_if_full() || has_frames
        })
    }

    /// Asks for no interrupts while there is work.
    pub fn disable_interrupts(&mut self) {
        if let Some(queues) = &mut self.queues {
            queues.receiver.suppress_interrupts();
            queues.transmitter.suppress_interrupts();
        }
    }

    fn event_count(&self) -> u64 {
        let info = machine::info();
        self.device.events().fold(0, |sum, event| sum.wrapping_add(info.event(event)))
    }

    /// Makes the rings, gives the device its buffers and lets it work. Its features are agreed on.
    fn start(&mut self) -> Result<(), NetError> {
        let plan = &self.plan;
        let receive_rings = self.device.queue(
            RECEIVE_QUEUE,
            plan.receive_buffers.next_power_of_two(),
            "network receive rings",
        )?;
        let transmit_rings = self.device.queue(
            TRANSMIT_QUEUE,
            plan.transmit_entries.next_power_of_two(),
            "network transmit rings",
        )?;
        let receiver = Receiver::new(receive_rings, plan)?;
        let transmitter = Transmitter::new(transmit_rings, plan)?;
        self.queues = Some(Queues { receiver, transmitter });
        self.device.start();
        self.flush();
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn restart(&mut self) -> Result<(), NetError> {
        self.resets += 1;
        self.stop()?;
        let features = self.device.features();
        self.device.begin(|_| features)?;
        if self.device.features() != features {
            // What was told to those above holds no more.
            self.is_dead = true;
            return Err(NetError::Dead);
        }
        self.start()
    }

    /// Resets the device and frees its memory. If it does not reset, it may still write there: the memory is lost.
    fn stop(&mut self) -> Result<(), NetError> {
        self.past = self.statistics();
        let queues = self.queues.take();
        if let Err(error) = self.device.stop() {
            let _lost = ManuallyDrop::new(queues);
            self.is_dead = true;
            return Err(error.into());
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // A failure has leaked the memory, which is all that can be done about it.
        let _: Result<(), NetError> = self.stop();
    }
}

/// Makes an address up for a device that has none: locally administered, unicast (IEEE 802, 8.4).
fn invent_mac() -> Result<[u8; 6], NetError> {
    let mut mac = [0; 6];
    entropy::fill(&mut mac).map_err(NetError::NoAddress)?;
    mac[0] = mac[0] & !1 | 2;
    Ok(mac)
}

#[cfg(test)]
mod tests;
