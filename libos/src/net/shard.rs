//! One device and its tables: the whole packet path, without threads and without a clock.

use super::device::{Device, Receiver};
use super::pool::BufferPlan;
use super::stack::Stack;
use smoltcp::time::Instant;

/// Most frames that are taken in before what they caused is sent.
const BATCH: usize = 64;

/// One device and its tables.
#[derive(Debug)]
pub(crate) struct Shard<D> {
    device: D,
    stack: Stack,
}

/// What a poll came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Polled {
    /// Frames came in; there may be more.
    Frames,
    /// Nothing came in.
    Nothing,
}

impl<D: Device> Shard<D> {
    /// Starts a shard without an address. `seed` must differ from boot to boot and be hard to guess.
    pub(crate) fn new(device: D, plan: BufferPlan, seed: u64, now: Instant) -> Self {
        let stack = Stack::new(device.capabilities(), plan, seed, now);
        Self { device, stack }
    }

    /// Returns the tables.
    pub(crate) fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// Returns the device, to look at.
    pub(crate) fn card(&self) -> &D {
        &self.device
    }

    /// Returns the device.
    pub(crate) fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// Returns the tables and the way out, for what is sent at once; `None` if the device is given up.
    pub(crate) fn sending(&mut self) -> Option<(&mut Stack, &mut D::Transmitter)> {
        Some((&mut self.stack, self.device.parts()?.1))
    }

    /// Sends what is due, rings the bell once, and takes in one batch of frames.
    pub(crate) fn poll(&mut self, now: Instant) -> Polled {
        let Self { device, stack } = self;
        device.attend();
        let Some((_, transmitter)) = device.parts() else { return Polled::Nothing };
        stack.send_due(now, transmitter);
        device.flush();
        let Some((receiver, transmitter)) = device.parts() else { return Polled::Nothing };
        let mut polled = Polled::Nothing;
        for _ in 0..BATCH {
            let taken = receiver.receive(|frame, verdict| stack.deliver(now, frame, verdict, transmitter));
            let local = stack.deliver_local(now, transmitter);
            if taken.is_none() && !local {
                break;
            }
            polled = Polled::Frames;
        }
        polled
    }

    /// Returns when [`Self::poll`] wants to run again if no frame comes before.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.stack.deadline(now)
    }
}
