//! The network device: its two queues, its buffers, and the reset after which it serves again.

use crate::input::Input;
use crate::machine::{self, Process};
use crate::memory::Memory;
use crate::rings::Rings;
use abi::BusAddr;
use services::io::net::{Net, Offload, Offloads};
use services::io::virtqueue::{Notification, Virtqueue};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Sizes of the queues on a machine with so little memory.
const RECEIVE_SHIFT: usize = 5;
const TRANSMIT_SHIFT: usize = 5;
/// Entries that stay free: as many as the longest frame takes, but one.
const TRANSMIT_SPARE: u16 = 2;
const HEADER_BYTES: usize = 12;
const LEAST_FRAME: usize = 14;
const FRAME_BYTES: u8 = 60;

/// The device and both sides' view of its rings.
struct Case {
    machine: &'static Process,
    net: Net,
    receive: Rings,
    transmit: Rings,
    /// Buffers that the device has taken from the receive queue.
    taken: u16,
}

thread_local! {
    // A device is opened once; each input starts by making it reset.
    static CASE: RefCell<Option<Case>> = const { RefCell::new(None) };
}

/// Plays one input.
pub(crate) fn run(mut input: Input<'_>) -> Option<()> {
    CASE.with_borrow_mut(|slot| {
        let case = slot.get_or_insert_with(Case::open);
        case.begin();
        while let Some(operation) = input.u8() {
            case.operate(operation, &mut input)?;
        }
        Some(())
    })
}

impl Case {
    fn open() -> Self {
        let machine = machine::install();
        let net = Net::open(Offloads::all()).expect("the device is in order").expect("the machine has one");
        let [receive, transmit] = rings(machine);
        Self { machine, net, receive, transmit, taken: 0 }
    }

    /// Makes the device break the rules, so that it starts afresh.
    fn begin(&mut self) {
        let resets = self.net.resets();
        // Two indices so far apart: after whatever the last input has left, one of them at least is impossible.
        for _ in 0..2 {
            self.receive.set_used_index(self.receive.used_index().wrapping_add(0x4000));
            for _ in 0..self.receive.size() {
                let _ = self.net.next_frame();
            }
            self.attend();
            if self.net.resets() > resets {
                return;
            }
        }
        panic!("what broke the rules is reset");
    }

    fn operate(&mut self, operation: u8, input: &mut Input<'_>) -> Option<()> {
        match operation % 16 {
            0 => self.next_frame(),
            1 => self.send(usize::from(input.u16()?) % 2100),
            2 => self.net.flush(),
            3 => self.attend(),
            4 => drop(self.net.enable_interrupts()),
            5 => self.net.disable_interrupts(),
            6 => drop(self.net.can_transmit()),
            7 => self.deliver(u32::from(input.u16()?), input.u8()?),
            8 => self.receive.finish(u32::from(input.u8()? % 40), u32::from(input.u16()?)),
            9 => self.transmit.finish(u32::from(input.u8()? % 68), u32::from(input.u8()?)),
            10 => self.receive.finish(input.u32()?, input.u32()?),
            11 => self.receive.set_used_index(input.u16()?),
            12 => self.transmit.set_used_index(input.u16()?),
            13 => self.transmit.set_available_event(input.u16()?),
            14 => scribble(&self.receive, input)?,
            _ => scribble(&self.transmit, input)?,
        }
        Some(())
    }

    fn next_frame(&mut self) {
        if let Some(mut frame) = self.net.next_frame() {
            assert!(
                frame.len() >= LEAST_FRAME && self.machine.is_packet(&frame),
                "a frame lies in its buffer"
            );
            frame.reverse();
        }
    }

    fn send(&mut self, length: usize) {
        let machine = self.machine;
        let _sent: Option<()> = self.net.transmit(length, |bytes| {
            assert!(bytes.len() == length && machine.is_packet(bytes), "a frame lies in its buffer");
            (bytes.fill(0x5a), Offload::None)
        });
    }

    /// Attends to the device; if it was reset, shows that it serves again.
    fn attend(&mut self) {
        let resets = self.net.resets();
        self.machine.power_on();
        assert_eq!(self.net.attend(), Ok(()));
        if self.net.resets() != resets {
            [self.receive, self.transmit] = rings(self.machine);
            self.taken = 0;
            self.serve_receive();
            self.serve_transmit();
        }
    }

    /// Puts a frame into the next buffer, and says that `written` bytes came. A device that has spoilt its own
    /// descriptors finds no buffer.
    fn deliver(&mut self, written: u32, value: u8) {
        if self.receive.available_index() == self.taken {
            return;
        }
        let head = self.receive.available_entry(self.taken);
        self.taken = self.taken.wrapping_add(1);
        if let Some((memory, offset)) = self.buffer(&self.receive, head) {
            memory.write(offset, [value; HEADER_BYTES + FRAME_BYTES as usize]);
        }
        self.receive.finish(u32::from(head), written);
    }

    /// Finds the memory of a buffer that a descriptor names.
    fn buffer(&self, rings: &Rings, head: u16) -> Option<(Memory, usize)> {
        if head >= rings.size() {
            return None;
        }
        let place = 16 * usize::from(head);
        let (bus, length) = (rings.memory.read::<u64>(place), rings.memory.read::<u32>(place + 8));
        let least = HEADER_BYTES + usize::from(FRAME_BYTES);
        let (memory, offset) = self.machine.packet(BusAddr(bus), usize::try_from(length).ok()?)?;
        (usize::try_from(length).ok()? >= least).then_some((memory, offset))
    }

    /// Fills every buffer of new rings, and gets every frame.
    fn serve_receive(&mut self) {
        let count = self.receive.available_index();
        assert_eq!(count, self.receive.size(), "the device gets all buffers");
        let heads: BTreeSet<u16> = (0..count).map(|index| self.receive.available_entry(index)).collect();
        let places: BTreeSet<u64> =
            heads.iter().map(|head| self.receive.memory.read(16 * usize::from(*head))).collect();
        assert_eq!((heads.len(), places.len()), (usize::from(count), usize::from(count)), "each is another");
        for value in (0..).take(usize::from(count)) {
            self.deliver(u32::from(FRAME_BYTES) + 12, value);
        }
        for value in (0..).take(usize::from(count)) {
            let frame = self.net.next_frame().expect("service goes on after a reset");
            assert_eq!(*frame, [value; FRAME_BYTES as usize]);
        }
        assert!(self.net.next_frame().is_none());
        self.net.flush();
        assert_eq!(self.receive.available_index(), 2 * count, "the buffers are back");
    }

    /// Sends until nothing can be sent, and again after the device has taken it.
    fn serve_transmit(&mut self) {
        let size = self.transmit.size() - TRANSMIT_SPARE;
        for _ in 0..size {
            let fill = |bytes: &mut [u8]| (bytes.fill(7), Offload::None);
            assert_eq!(self.net.transmit(usize::from(FRAME_BYTES), fill), Some(()));
        }
        assert!(!self.net.can_transmit());
        self.net.flush();
        assert_eq!(self.transmit.available_index(), size);
        let heads: BTreeSet<u16> = (0..size).map(|index| self.transmit.available_entry(index)).collect();
        assert_eq!(heads.len(), usize::from(size), "each is another");
        for head in heads {
            let (memory, offset) = self.buffer(&self.transmit, head).expect("a buffer lies in packet memory");
            assert_eq!(
                memory.read::<[u8; FRAME_BYTES as usize]>(offset + HEADER_BYTES),
                [7; FRAME_BYTES as usize]
            );
            self.transmit.finish(u32::from(head), 0);
        }
        assert!(self.net.can_transmit());
    }
}

/// Finds the rings of both queues.
fn rings(machine: &Process) -> [Rings; 2] {
    let [receive, transmit] = machine.rings();
    [ring(receive, RECEIVE_SHIFT), ring(transmit, TRANSMIT_SHIFT)]
}

fn ring(memory: Memory, shift: usize) -> Rings {
    let twin = Virtqueue::new(Memory::zeroed(shift), 1 << shift, Notification::Flag).expect("a good size");
    Rings::new(memory, twin.size(), &twin.addresses())
}

/// The device may write where only the driver should.
fn scribble(rings: &Rings, input: &mut Input<'_>) -> Option<()> {
    let offset = usize::from(input.u16()?) % 512;
    rings.memory.write(offset, input.u8()?);
    Some(())
}
