//! What a device or the boot information may get wrong.

use super::{Transport, TransportError};
use crate::io::virtqueue::{QueueAddresses, QueueLayout};
use crate::io::volatile::Registers;
use crate::memory::pointer;
use crate::mock::{self, WINDOW_BYTES, pci_device};
use abi::BusAddr;
use abi::boot::{Device, region, transport};

/// Opens `device` as the `index`-th, which each test has for itself, and returns its registers as the device sees them.
fn open(index: usize, device: &Device) -> (Transport, Registers) {
    let machine = mock::install();
    let transport = Transport::open(index, device).expect("the device is in order");
    let start = machine.windows.lock().unwrap()[&index];
    // SAFETY: a window stays mapped.
    let registers = unsafe { Registers::new(pointer::at(start), usize::try_from(WINDOW_BYTES).unwrap()) };
    (transport, registers)
}

fn addresses() -> QueueAddresses {
    QueueAddresses { descriptors: BusAddr(0x1_2345_6000), available: BusAddr(0x2000), used: BusAddr(0x3000) }
}

#[test]
fn a_queue_is_written_to_the_registers_and_its_doorbell_found() {
    let (transport, registers) = open(20, &pci_device(1));
    registers.write_u16(30, 3);
    let doorbell = transport.enable_queue(1, 128, &addresses()).unwrap();
    assert_eq!((registers.read_u16(22), registers.read_u16(24), registers.read_u16(28)), (1, 128, 1));
    assert_eq!((registers.read_u32(32), registers.read_u32(36)), (0x2345_6000, 1));
    assert_eq!(registers.read_u16(26), 1, "queue 1 has vector 1");
    doorbell.ring();
    assert_eq!(registers.read_u16(0x1000 + 12), 1);
}

#[test]
fn queues_share_the_last_vector_and_do_without() {
    let (transport, registers) = open(21, &Device { event_count: 1, ..pci_device(1) });
    transport.enable_queue(1, 16, &addresses()).unwrap();
    assert_eq!(registers.read_u16(26), 0);
    let (transport, registers) = open(22, &Device { event_count: 0, ..pci_device(1) });
    transport.enable_queue(1, 16, &addresses()).unwrap();
    assert_eq!(registers.read_u16(26), 0xffff);
}

#[test]
fn a_doorbell_outside_its_area_is_refused() {
    let (transport, registers) = open(23, &pci_device(1));
    registers.write_u16(30, 0x400);
    assert_eq!(transport.enable_queue(0, 16, &addresses()).err(), Some(TransportError::BadDoorbell));
    registers.write_u16(30, u16::MAX);
    assert_eq!(transport.enable_queue(0, 16, &addresses()).err(), Some(TransportError::BadDoorbell));
}

#[test]
fn a_queue_that_the_device_lacks_is_refused() {
    let (transport, _) = open(24, &pci_device(1));
    assert_eq!(transport.enable_queue(2, 16, &addresses()).err(), Some(TransportError::NoSuchQueue));
    assert_eq!(transport.enable_queue(0, 512, &addresses()).err(), Some(TransportError::NoSuchQueue));
}

#[test]
fn register_blocks_outside_their_window_are_refused() {
    mock::install();
    let refused = |change: fn(&mut Device)| {
        let mut device = pci_device(1);
        change(&mut device);
        Transport::open(25, &device).err()
    };
    let missing = Some(TransportError::MissingRegisters);
    assert_eq!(refused(|device| device.regions[region::COMMON].length = 8), missing);
    assert_eq!(refused(|device| device.regions[region::NOTIFY].length = 0), missing);
    assert_eq!(refused(|device| device.regions[region::NOTIFY].offset = 0x3ffc), missing);
    assert_eq!(refused(|device| device.regions[region::COMMON].length = u64::MAX), missing);
    assert_eq!(refused(|device| device.regions[region::COMMON].window = 1), missing);
    assert_eq!(refused(|device| device.window_count = u32::MAX), None);
    assert_eq!(refused(|device| device.transport = 9), Some(TransportError::UnknownTransport));
    let zeros = refused(|device| device.transport = transport::VIRTIO_MMIO);
    assert_eq!(zeros, Some(TransportError::NotVirtio));
}

#[test]
fn a_reset_is_over_when_the_status_is_zero() {
    let (transport, registers) = open(26, &pci_device(1));
    transport.set_status(7);
    assert_eq!(registers.read_u8(20), 7);
    assert_eq!(transport.reset(), Ok(()));
    assert_eq!(transport.status(), 0);
}

#[test]
fn features_are_read_and_written_in_halves() {
    let (transport, registers) = open(27, &pci_device(1));
    let low = u64::from(registers.read_u32(4));
    assert_eq!(transport.offered_features(), low | low << 32);
    transport.accept_features(1 << 32 | 5);
    assert_eq!((registers.read_u32(8), registers.read_u32(12)), (1, 1));
}

#[test]
fn the_layout_of_a_queue_tells_three_places() {
    let layout = QueueLayout::new(256).unwrap();
    assert_eq!(layout.total_bytes(), 4096 + 576 + 2054);
}
