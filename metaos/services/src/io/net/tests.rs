//! The network device against a fake that works on the same rings.

use super::header::HEADER_BYTES;
use super::{Checksum, Net, Offload, Queues};
use crate::io::dma::DmaMemory;
use crate::io::virtqueue::Buffer;
use crate::io::virtqueue::fake::Device;
use crate::memory::pointer;
use crate::mock::{self, BUS_OFFSET};
use abi::{BusAddr, VirtAddr};
use alloc::vec::Vec;
use core::ptr::NonNull;

/// The rings as the device finds them: by the bus address of their first part.
struct Wired {
    bus: BusAddr,
    length: usize,
}

// SAFETY: the rings belong to a `Net` that outlives the device's side in every test.
unsafe impl DmaMemory for Wired {
    fn start(&self) -> NonNull<u8> {
        pointer::at(VirtAddr(self.bus.0 - BUS_OFFSET))
    }

    fn length(&self) -> usize {
        self.length
    }

    fn bus(&self) -> BusAddr {
        self.bus
    }
}

struct Wire {
    receive: Device<Wired>,
    transmit: Device<Wired>,
}

impl Wire {
    fn new(net: &Net) -> Self {
        let Queues { receiver, transmitter } = net.queues.as_ref().expect("the device is up");
        let [receive, transmit] = [&receiver.queue.rings, &transmitter.queue.rings].map(|rings| {
            let layout = crate::io::virtqueue::QueueLayout::new(rings.size()).expect("a good size");
            let memory = Wired { bus: rings.addresses().descriptors, length: layout.total_bytes() };
            Device::new(memory, rings.size())
        });
        Self { receive, transmit }
    }

    /// Puts a frame into the next buffer and says that it wrote `written` bytes.
    fn deliver(&mut self, header: u8, frame: &[u8], written: usize) {
        let (head, buffers) = self.receive.take().expect("the driver posts buffers");
        let place = bytes(&buffers[0]);
        place[..HEADER_BYTES].fill(0);
        place[0] = header;
        place[HEADER_BYTES..HEADER_BYTES + frame.len()].copy_from_slice(frame);
        self.receive.finish(u32::from(head), u32::try_from(written).unwrap());
    }

    /// Takes what was sent.
    fn collect(&mut self) -> Option<Vec<u8>> {
        let (head, buffers) = self.transmit.take()?;
        let sent = bytes(&buffers[0]).to_vec();
        self.transmit.finish(u32::from(head), 0);
        Some(sent)
    }
}

fn bytes(buffer: &Buffer) -> &'static mut [u8] {
    let start = pointer::at(VirtAddr(buffer.bus.0 - BUS_OFFSET));
    // SAFETY: the buffer is mapped as long as the `Net` of the test, and the driver does not touch it meanwhile.
    unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), buffer.length as usize) }
}

fn open() -> (Net, Wire) {
    mock::install();
    let net = Net::open().expect("the mock's device is in order").expect("the mock has one");
    let wire = Wire::new(&net);
    (net, wire)
}

#[test]
fn a_device_is_brought_up_with_what_it_offers() {
    let (net, _) = open();
    assert_eq!(net.mac(), [2, 0, 0, 0, 0, 7]);
    assert_eq!(net.mtu(), 1500);
    assert_eq!(net.events(), 8..10);
    assert!(net.capabilities().fills_checksums);
    assert!(!net.capabilities().cuts_segments);
}

#[test]
fn frames_are_lent_in_place_and_their_buffers_come_back() {
    let (mut net, mut wire) = open();
    // Three times around the ring of 256 buffers.
    for round in 0..800_u16 {
        let [low, high] = round.to_le_bytes();
        let frame = [low, high].repeat(30);
        wire.deliver(if round.is_multiple_of(2) { 2 } else { 0 }, &frame, HEADER_BYTES + 60);
        let lent = net.next_frame().expect("a frame came in");
        assert_eq!(*lent, *frame);
        let verdict = if round.is_multiple_of(2) { Checksum::Verified } else { Checksum::Unverified };
        assert_eq!(lent.checksum(), verdict);
        drop(lent);
        assert!(net.next_frame().is_none());
        net.flush();
    }
    assert_eq!(net.resets(), 0);
}

#[test]
fn what_is_sent_reaches_the_device_behind_its_header() {
    let (mut net, mut wire) = open();
    let offload = Offload::Checksum { start: 34, offset: 16 };
    assert_eq!(net.transmit(60, offload, |frame| frame.fill(7)), Some(()));
    assert!(wire.collect().is_none(), "nothing is seen before the flush");
    net.flush();
    let sent = wire.collect().expect("the frame was sent");
    assert_eq!(sent[..HEADER_BYTES], offload.header());
    assert_eq!(sent[HEADER_BYTES..], [7; 60]);
    assert_eq!(net.transmit(1 << 16, Offload::None, |_| ()), None, "longer than a buffer");
}

#[test]
fn a_full_transmitter_says_so_and_goes_on_when_buffers_return() {
    let (mut net, mut wire) = open();
    let mut count = 0;
    while net.can_transmit() {
        count += 1;
        assert!(net.transmit(60, Offload::None, |_| ()).is_some());
    }
    assert_eq!(count, 256);
    assert_eq!(net.transmit(60, Offload::None, |_| ()), None);
    net.flush();
    assert!(!net.enable_interrupts());
    assert_eq!(wire.transmit.used_event(), 0, "an interrupt is asked for when nothing can be sent");
    for _ in 0..256 {
        assert!(wire.collect().is_some());
    }
    assert!(net.enable_interrupts(), "there is room again");
    assert!(!net.enable_interrupts(), "which is work only once");
    net.disable_interrupts();
    assert!(net.can_transmit());
}

#[test]
fn what_is_no_frame_is_dropped_and_its_buffer_used_again() {
    let (mut net, mut wire) = open();
    for _ in 0..300 {
        wire.deliver(0, &[1; 60], HEADER_BYTES + 13);
        wire.deliver(0, &[1; 60], 0);
        wire.deliver(0, &[1; 60], 1 << 20);
        assert!(net.next_frame().is_none());
        net.flush();
    }
    wire.deliver(0, &[9; 60], HEADER_BYTES + 60);
    assert_eq!(net.next_frame().map(|frame| frame[0]), Some(9));
    assert_eq!(net.resets(), 0);
}

#[test]
fn a_device_that_breaks_the_rules_is_reset_and_service_goes_on() {
    let (mut net, mut wire) = open();
    for round in 1..=20 {
        match round % 3 {
            0 => wire.receive.finish(0xdead_beef, 60),
            1 => wire.receive.claim(0x8000),
            _ => wire.transmit.claim(0x4000),
        }
        assert!(net.next_frame().is_none());
        while net.can_transmit() {
            let _sent = net.transmit(60, Offload::None, |_| ());
        }
        assert_eq!(net.attend(), Ok(()));
        assert_eq!(net.resets(), round);
        wire = Wire::new(&net);
        wire.deliver(0, &[5; 60], HEADER_BYTES + 60);
        assert!(net.next_frame().is_some());
        assert!(net.can_transmit());
    }
}
