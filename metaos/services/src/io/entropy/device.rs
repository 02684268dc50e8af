//! Random bytes from a virtio-rng device (virtio 1.2, 5.4).

use crate::io::device::{DeviceError, DeviceQueue, VirtioDevice};
use crate::io::dma::BufferPool;
use crate::io::virtqueue::{Buffer, Direction, QueueError};
use crate::{clock, machine};
use core::mem::ManuallyDrop;

/// virtio device type of an entropy source (virtio 1.2, 5).
const KIND_ENTROPY: u32 = 4;
const REQUEST_QUEUE: u16 = 0;
const QUEUE_SIZE: u16 = 4;
const BUFFER_BYTES: usize = 64;
const SEED_BYTES: u32 = 32;
/// How long the device may take. A host that is short of random bytes makes its guests wait; a start must not hang.
const PATIENCE_NS: u64 = 200_000_000;
/// How long to sleep between two looks if no interrupt comes.
const NAP_NS: u64 = 1_000_000;
/// Bounds the wait even if the clock stands still.
const LOOKS: u32 = 10_000;

/// Returns 32 random bytes, or `None` if there is no device or it does not answer as it should. The device is reset
/// afterwards; it is opened once.
pub(super) fn random() -> Option<[u8; 32]> {
    let mut device = VirtioDevice::find(KIND_ENTROPY).ok()??;
    ask(&mut device).ok()?
}

fn ask(device: &mut VirtioDevice) -> Result<Option<[u8; 32]>, DeviceError> {
    device.begin(|_| 0)?;
    let mut queue = device.queue(REQUEST_QUEUE, QUEUE_SIZE, "entropy rings")?;
    let mut pool = BufferPool::new(1, BUFFER_BYTES, "entropy buffer")?;
    queue
        .rings
        .add(&[Buffer { bus: pool.bus(0), length: SEED_BYTES, direction: Direction::FromDevice }], 0)?;
    device.start();
    queue.publish();
    let answer = wait(&mut queue);
    if let Err(error) = device.stop() {
        // It may still write: its memory is lost rather than given to somebody else.
        let _lost = ManuallyDrop::new((queue, pool));
        return Err(error);
    }
    let bytes = pool.span(0, BUFFER_BYTES).first_chunk().copied();
    Ok(bytes.filter(|_| answer == Ok(Some(SEED_BYTES))))
}

/// Waits for the answer and returns its length; `None` if it did not come in time.
fn wait(queue: &mut DeviceQueue) -> Result<Option<u32>, QueueError> {
    let deadline = clock::now_ns().saturating_add(PATIENCE_NS);
    for _ in 0..LOOKS {
        let seen = machine::info().events_seen();
        if queue.rings.enable_interrupts()? {
            return Ok(queue.rings.pop()?.map(|completion| completion.written));
        }
        let now = clock::now_ns();
        if now > deadline {
            break;
        }
        machine::current().wait(now.saturating_add(NAP_NS), seen);
    }
    Ok(None)
}
