//! The network device against a fake that works on the same rings.

use super::header::HEADER_BYTES;
use super::{Checksum, Net, Offload, Offloads, Queues};
use crate::io::dma::DmaMemory;
use crate::io::virtqueue::Buffer;
use crate::io::virtqueue::fake::Device;
use crate::memory::pointer;
use crate::mock::{self, BUS_OFFSET};
use abi::{BusAddr, PAGE_SIZE, VirtAddr};
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
        place[..HEADER_BYTES].copy_from_slice(&[header, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        place[HEADER_BYTES..HEADER_BYTES + frame.len()].copy_from_slice(frame);
        self.receive.finish(u32::from(head), u32::try_from(written).unwrap());
    }

    /// Puts a frame into as many buffers as it takes, which `order` may move about, and says that these are `claimed`.
    fn deliver_large(&mut self, frame: &[u8], claimed: u16, order: impl FnOnce(&mut [(u16, Buffer)])) {
        let mut whole = [0; HEADER_BYTES].to_vec();
        whole[10..].copy_from_slice(&claimed.to_le_bytes());
        whole.extend_from_slice(frame);
        let pieces: Vec<&[u8]> = whole.chunks(PAGE_SIZE).collect();
        let mut taken: Vec<(u16, Buffer)> = pieces
            .iter()
            .map(|_| self.receive.take().expect("the driver posts buffers"))
            .map(first)
            .collect();
        order(&mut taken);
        for (piece, (head, buffer)) in pieces.iter().zip(taken) {
            bytes(&buffer)[..piece.len()].copy_from_slice(piece);
            self.receive.finish(u32::from(head), u32::try_from(piece.len()).unwrap());
        }
    }

    /// Takes what was sent.
    fn collect(&mut self) -> Option<Vec<u8>> {
        let (head, buffers) = self.transmit.take()?;
        let sent = buffers.iter().flat_map(|buffer| bytes(buffer).iter().copied()).collect();
        self.transmit.finish(u32::from(head), 0);
        Some(sent)
    }
}

fn first((head, buffers): (u16, Vec<Buffer>)) -> (u16, Buffer) {
    assert_eq!(buffers.len(), 1);
    (head, buffers[0])
}

/// Bytes that differ from buffer to buffer.
fn large_frame(length: usize, seed: usize) -> Vec<u8> {
    (seed..seed + length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn parts(frame: &[u8]) -> u16 {
    u16::try_from((HEADER_BYTES + frame.len()).div_ceil(PAGE_SIZE)).unwrap()
}

fn bytes(buffer: &Buffer) -> &'static mut [u8] {
    let start = pointer::at(VirtAddr(buffer.bus.0 - BUS_OFFSET));
    // SAFETY: the buffer is mapped as long as the `Net` of the test, and the driver does not touch it meanwhile.
    unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), buffer.length as usize) }
}

fn open() -> (Net, Wire) {
    open_with(Offloads::all())
}

fn open_with(offloads: Offloads) -> (Net, Wire) {
    mock::install();
    let net = Net::open(offloads).expect("the mock's device is in order").expect("the mock has one");
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
    assert!(net.capabilities().cuts_ipv4 && net.capabilities().joins_segments);
    assert_eq!(net.capabilities().frame_limit, 65_553);
}

#[test]
fn a_device_does_only_what_it_may() {
    let (net, _) = open_with(Offloads::empty());
    let expected = super::Capabilities { frame_limit: 1518, ..super::Capabilities::default() };
    assert_eq!(net.capabilities(), expected);
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
        assert!(net.next_frame().is_none());
        net.flush();
    }
    assert_eq!(net.resets(), 0);
}

#[test]
fn what_is_sent_reaches_the_device_behind_its_header() {
    let (mut net, mut wire) = open();
    let offload = Offload::Checksum { start: 34, offset: 16 };
    assert_eq!(net.transmit(60, |frame| (frame.fill(7), offload)), Some(()));
    assert!(wire.collect().is_none(), "nothing is seen before the flush");
    net.flush();
    let sent = wire.collect().expect("the frame was sent");
    assert_eq!(sent[..HEADER_BYTES], offload.header());
    assert_eq!(sent[HEADER_BYTES..], [7; 60]);
    assert_eq!(net.transmit(1 << 17, |_| ((), Offload::None)), None, "longer than a buffer");
}

#[test]
fn a_full_transmitter_says_so_and_goes_on_when_buffers_return() {
    let (mut net, mut wire) = open();
    let mut count = 0;
    while net.can_transmit() {
        count += 1;
        assert!(net.transmit(60, |_| ((), Offload::None)).is_some());
    }
    // The longest frame takes three entries.
    assert_eq!(count, 254);
    assert_eq!(net.transmit(60, |_| ((), Offload::None)), None);
    net.flush();
    assert!(!net.enable_interrupts());
    assert_eq!(wire.transmit.used_event(), 0, "an interrupt is asked for when nothing can be sent");
    for _ in 0..254 {
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
            let _sent = net.transmit(60, |_| ((), Offload::None));
        }
        assert_eq!(net.attend(), Ok(()));
        assert_eq!(net.resets(), round);
        wire = Wire::new(&net);
        wire.deliver(0, &[5; 60], HEADER_BYTES + 60);
        assert!(net.next_frame().is_some());
        assert!(net.can_transmit());
    }
}

#[test]
fn a_large_frame_is_one_slice_wherever_its_buffers_lie() {
    let (mut net, mut wire) = open();
    for round in 0..200_usize {
        let frame = large_frame(2000 + (round * 7919) % 63_000, round);
        wire.deliver_large(&frame, parts(&frame), |_| {});
        wire.deliver(0, &[3; 60], HEADER_BYTES + 60);
        assert!(net.next_frame().is_some_and(|lent| *lent == *frame), "round {round}");
        assert!(net.next_frame().is_some_and(|lent| *lent == [3; 60]), "round {round}");
        assert!(net.next_frame().is_none());
        net.flush();
    }
    assert_eq!((net.resets(), net.statistics().frames_in, net.statistics().dropped), (0, 400, 0));
}

#[test]
fn a_device_may_pick_its_buffers_in_any_order() {
    let (mut net, mut wire) = open();
    for round in 0..200_usize {
        let frame = large_frame(2000 + (round * 7919) % 63_000, round);
        wire.deliver_large(&frame, parts(&frame), |taken| {
            taken.rotate_left(round % taken.len());
            if round % 2 == 0 {
                taken.reverse();
            }
        });
        assert!(net.next_frame().is_some_and(|lent| *lent == *frame), "round {round}");
        net.flush();
    }
    assert_eq!((net.resets(), net.statistics().dropped), (0, 0));
}

#[test]
fn without_large_receive_the_number_of_buffers_means_nothing() {
    let (mut net, mut wire) = open_with(Offloads::all() - Offloads::LARGE_RECEIVE);
    let frame = large_frame(1000, 0);
    wire.deliver_large(&frame, 7, |_| {});
    assert!(net.next_frame().is_some_and(|lent| *lent == *frame));
}

#[test]
fn lies_about_the_number_of_buffers_reset_the_device() {
    let (mut net, mut wire) = open();
    let frame = large_frame(9000, 1);
    for (round, claimed) in (1..).zip([0, 4, 17, 18, u16::MAX]) {
        wire.deliver_large(&frame, claimed, |_| {});
        assert!(net.next_frame().is_none(), "{claimed} buffers");
        assert_eq!(net.attend(), Ok(()));
        assert_eq!(net.resets(), round, "{claimed} buffers");
        wire = Wire::new(&net);
        wire.deliver(0, &[5; 60], HEADER_BYTES + 60);
        assert!(net.next_frame().is_some_and(|lent| *lent == [5; 60]), "{claimed} buffers");
    }
}

#[test]
fn a_large_frame_with_a_hole_is_dropped() {
    let (mut net, mut wire) = open();
    for (round, (first, second)) in (1..).zip([(4095, 4096), (4096, 4095), (4096, 5000), (12, 4096)]) {
        for length in [first, second, 100] {
            let (head, buffers) = wire.receive.take().expect("the driver posts buffers");
            bytes(&buffers[0])[..HEADER_BYTES].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
            wire.receive.finish(u32::from(head), length);
        }
        assert!(net.next_frame().is_none());
        net.flush();
        assert_eq!(net.statistics().dropped, round);
    }
    wire.deliver(0, &[5; 60], HEADER_BYTES + 60);
    assert!(net.next_frame().is_some_and(|lent| *lent == [5; 60]));
    assert_eq!(net.resets(), 0);
}

#[test]
fn a_large_frame_is_sent_as_one_chain() {
    let (mut net, mut wire) = open();
    let mut sent = 0;
    for round in 0..100_usize {
        let frame = large_frame(100 + (round * 7919) % 65_000, round);
        while !net.can_transmit() {
            net.flush();
            assert_eq!(wire.collect().map(|bytes| bytes.len()), Some(HEADER_BYTES + lengths(sent)));
            sent += 1;
        }
        let outcome = net.transmit(frame.len(), |place| (place.copy_from_slice(&frame), Offload::None));
        assert_eq!(outcome, Some(()), "round {round}");
    }
    net.flush();
    for round in sent..100 {
        let bytes = wire.collect().expect("all frames are sent");
        assert!(bytes[HEADER_BYTES..] == large_frame(lengths(round), round), "round {round}");
    }
}

fn lengths(round: usize) -> usize {
    100 + (round * 7919) % 65_000
}

#[test]
fn doorbells_are_counted() {
    let (mut net, mut wire) = open();
    let before = net.statistics().doorbells;
    for _ in 0..64 {
        assert_eq!(net.transmit(60, |frame| (frame.fill(1), Offload::None)), Some(()));
    }
    net.flush();
    net.flush();
    assert_eq!(net.statistics().doorbells - before, 1, "one for a batch");
    assert_eq!(net.statistics().frames_out, 64);
    assert!(wire.collect().is_some());
}
