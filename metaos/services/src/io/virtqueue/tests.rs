//! The queue against a device that keeps the rules.

mod hostile;
mod plain;

use super::fake::Device;
use super::{
    AVAILABLE_NO_INTERRUPT, Buffer, Completion, Direction, Notification, QueueError, USED_NO_NOTIFY,
    Virtqueue, passes,
};
use abi::BusAddr;
use alloc::vec::Vec;
use plain::Plain;

fn queue(size: u16, notification: Notification) -> (Virtqueue<Plain>, Device<Plain>) {
    let memory = Plain::new(size);
    let device = Device::new(memory.clone(), size);
    (Virtqueue::new(memory, size, notification).expect("the memory is large enough"), device)
}

const fn incoming(bus: u64, length: u32) -> Buffer {
    Buffer { bus: BusAddr(bus), length, direction: Direction::FromDevice }
}

const fn outgoing(bus: u64, length: u32) -> Buffer {
    Buffer { bus: BusAddr(bus), length, direction: Direction::ToDevice }
}

#[test]
fn chains_reach_the_device_as_they_were_added() {
    let (mut queue, mut device) = queue(8, Notification::EventIndex);
    let chain = [outgoing(0xffff_1234_5678, 12), outgoing(0x2000, 60), incoming(0x3000, 1)];
    queue.add(&chain, 5).unwrap();
    queue.add(&chain[1..2], 6).unwrap();
    assert!(device.take().is_none(), "nothing is seen before it is published");
    assert!(queue.publish());
    assert!(!queue.publish(), "there is nothing new");
    let (first, buffers) = device.take().unwrap();
    assert_eq!(buffers, chain);
    let (second, buffers) = device.take().unwrap();
    assert_eq!(buffers, chain[1..2]);
    assert_eq!((queue.free(), queue.in_flight()), (4, 2));
    device.finish(u32::from(second), 0);
    device.finish(u32::from(first), 1);
    assert_eq!(queue.pop(), Ok(Some(Completion { token: 6, written: 0 })));
    assert_eq!(queue.pop(), Ok(Some(Completion { token: 5, written: 1 })));
    assert_eq!(queue.pop(), Ok(None));
    assert_eq!((queue.free(), queue.in_flight()), (8, 0));
}

#[test]
fn a_full_queue_and_an_empty_chain_are_refused() {
    let (mut queue, _device) = queue(2, Notification::Flag);
    assert_eq!(queue.add(&[], 0), Err(QueueError::EmptyChain));
    assert_eq!(queue.add(&[incoming(0, 1); 3], 0), Err(QueueError::Full));
    queue.add(&[incoming(0, 1); 2], 0).unwrap();
    assert_eq!(queue.add(&[incoming(0, 1)], 0), Err(QueueError::Full));
}

#[test]
fn memory_that_is_too_small_is_refused() {
    let small = Plain::new(8);
    assert_eq!(Virtqueue::new(small, 16, Notification::Flag).err(), Some(QueueError::BadSize));
}

#[test]
fn the_doorbell_is_rung_only_when_the_device_waits() {
    let (mut queue, device) = queue(8, Notification::EventIndex);
    device.shared.store_u16(device.layout.available_event(), 2);
    let mut rung = Vec::new();
    for token in 0..4 {
        queue.add(&[outgoing(0, 1)], token).unwrap();
        rung.push(queue.publish());
    }
    assert_eq!(rung, [false, false, true, false]);

    let (mut queue, device) = self::queue(8, Notification::Flag);
    queue.add(&[outgoing(0, 1)], 0).unwrap();
    assert!(queue.publish());
    device.shared.store_u16(device.layout.used_flags(), USED_NO_NOTIFY);
    queue.add(&[outgoing(0, 1)], 0).unwrap();
    assert!(!queue.publish());
}

#[test]
fn a_batch_of_doorbells_is_one() {
    let (mut queue, mut device) = queue(64, Notification::EventIndex);
    for token in 0..64 {
        queue.add(&[outgoing(0, 1)], token).unwrap();
    }
    assert!(queue.publish());
    assert_eq!(core::iter::from_fn(|| device.take()).count(), 64);
}

#[test]
fn an_event_is_passed_even_across_the_wrap() {
    assert!(passes(5, 6, 5));
    assert!(!passes(5, 5, 5));
    assert!(!passes(6, 6, 5));
    assert!(passes(0xffff, 1, 0xfffe));
    assert!(!passes(1, 1, 0xfffe));
}

#[test]
fn interrupts_are_asked_for_and_pending_work_is_told() {
    let (mut queue, mut device) = queue(8, Notification::EventIndex);
    assert_eq!(device.used_event(), u16::MAX, "a new queue asks for none");
    queue.add(&[incoming(0, 64)], 0).unwrap();
    assert!(queue.publish());
    assert_eq!(queue.enable_interrupts(), Ok(false));
    assert_eq!(device.used_event(), 0);
    let (head, _) = device.take().unwrap();
    device.finish(u32::from(head), 64);
    assert_eq!(queue.enable_interrupts(), Ok(true), "no interrupt comes for what is here already");

    let (mut queue, device) = self::queue(8, Notification::Flag);
    let flags = || device.shared.load_u16(device.layout.available_flags());
    assert_eq!(flags(), AVAILABLE_NO_INTERRUPT);
    assert_eq!(queue.enable_interrupts(), Ok(false));
    assert_eq!(flags(), 0);
}

#[test]
fn indices_wrap_without_a_trace() {
    let (mut queue, mut device) = queue(4, Notification::EventIndex);
    for round in 0..70_000_u32 {
        let token = u16::try_from(round % 65_536).unwrap();
        queue.add(&[incoming(0x1000, 100)], token).unwrap();
        let _rung = queue.publish();
        let (head, _) = device.take().unwrap();
        device.finish(u32::from(head), 60);
        assert_eq!(queue.pop(), Ok(Some(Completion { token, written: 60 })));
    }
}
