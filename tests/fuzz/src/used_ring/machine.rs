//! The machine below the services: maps pages of this process at the addresses that they ask for, which on Linux are
//! ordinary user addresses. It has one network device, whose registers are plain memory.

use crate::memory::Memory;
use abi::boot::{Device, MAX_DEVICES, MAX_WINDOWS, Region, Window, transport};
use abi::control::CrashKind;
use abi::{Access, BootInfo, BusAddr, Error, InfoPage, Machine, VirtAddr, layout};
use std::sync::atomic::AtomicU64;
use std::sync::{LazyLock, Mutex};

/// How far bus addresses lie from virtual ones, so that mixing them up shows.
const BUS_OFFSET: u64 = 0x1000_0000_0000;
/// So little that a device gets few buffers, and a case is soon over.
const MEMORY_BYTES: u64 = 1 << 20;
const WINDOW_BYTES: usize = 0x4000;
const DEVICE_CONFIGURATION: usize = 0x3000;
/// Largest queue of the device.
const QUEUE_LIMIT: u16 = 256;

/// This process as a machine.
pub(crate) struct Process {
    /// DMA memory, in the order in which it was mapped.
    dma: Mutex<Vec<Memory>>,
    registers: Mutex<Option<Memory>>,
}

static PROCESS: Process = Process { dma: Mutex::new(Vec::new()), registers: Mutex::new(None) };

static INFO: InfoPage = InfoPage {
    version: AtomicU64::new(abi::VERSION as u64),
    tsc_base: AtomicU64::new(0),
    ns_base: AtomicU64::new(0),
    tsc_multiplier: AtomicU64::new(1 << 31),
    wall_ns: AtomicU64::new(0),
    real_time_clock: AtomicU64::new(u64::MAX),
    events_total: AtomicU64::new(0),
    events: [const { AtomicU64::new(0) }; abi::info::EVENTS],
};

static BOOT: LazyLock<BootInfo> = LazyLock::new(|| BootInfo {
    version: abi::VERSION,
    cpus: 1,
    memory_bytes: MEMORY_BYTES,
    command_line_length: 0,
    device_count: 1,
    devices: [network_device(); MAX_DEVICES],
});

/// Installs the machine for the services, and returns it.
pub(crate) fn install() -> &'static Process {
    services::machine::install(&PROCESS);
    &PROCESS
}

impl Process {
    /// Returns the rings of the network device: receive, transmit.
    pub(crate) fn rings(&self) -> [Memory; 2] {
        let dma = self.dma.lock().expect("no other thread");
        let rings: Vec<Memory> = dma.iter().filter(|memory| !is_packet(memory)).copied().collect();
        rings.try_into().expect("the device has two queues")
    }

    /// Returns where the device finds `length` bytes of packet memory; `None`: it is not given that address.
    pub(crate) fn packet(&self, bus: BusAddr, length: usize) -> Option<(Memory, usize)> {
        let start = usize::try_from(bus.0.checked_sub(BUS_OFFSET)?).ok()?;
        let dma = self.dma.lock().expect("no other thread");
        let memory =
            dma.iter().filter(|memory| is_packet(memory)).find(|memory| memory.contains(start, length))?;
        Some((*memory, start - memory.address()))
    }

    /// Tells whether a slice lies in packet memory.
    pub(crate) fn is_packet(&self, bytes: &[u8]) -> bool {
        self.packet(BusAddr(bytes.as_ptr() as u64 + BUS_OFFSET), bytes.len()).is_some()
    }

    /// Sets the registers to what they are after a reset (virtio 1.2, 4.1.4.3): the same features in both halves, of
    /// which bit 0 is checksums in the low one and virtio 1 in the high one, and bit 5 the hardware address.
    pub(crate) fn power_on(&self) {
        if let Some(registers) = *self.registers.lock().expect("no other thread") {
            registers.write(4, 1_u32 << 29 | 1 << 5 | 1);
            registers.write(18, 2_u16);
            registers.write(24, QUEUE_LIMIT);
            registers.write(DEVICE_CONFIGURATION, [2_u8, 0, 0, 0, 0, 7]);
        }
    }
}

fn is_packet(memory: &Memory) -> bool {
    memory.address() as u64 >= layout::PACKET_POOL.0
}

/// A virtio PCI device with its four register blocks in one window, a page each.
fn network_device() -> Device {
    let mut windows = [Window { physical: 0, length: 0, shared: 0 }; MAX_WINDOWS];
    windows[0].length = WINDOW_BYTES as u64;
    let block = |offset| Region { window: 0, offset, length: 0x1000 };
    Device {
        transport: transport::VIRTIO_PCI,
        kind: 1,
        notify_multiplier: 4,
        first_event: 8,
        event_count: 2,
        window_count: 1,
        windows,
        regions: [block(0), block(0x1000), block(0x2000), block(0x3000)],
    }
}

fn address(start: VirtAddr) -> usize {
    usize::try_from(start.0).expect("addresses have 64 bits")
}

fn protection(access: Access) -> libc::c_int {
    let bit = |right, value| if access.contains(right) { value } else { 0 };
    bit(Access::READ, libc::PROT_READ) | bit(Access::WRITE, libc::PROT_WRITE)
}

impl Machine for Process {
    fn info(&self) -> &'static InfoPage {
        &INFO
    }

    fn boot(&self) -> &'static BootInfo {
        &BOOT
    }

    fn command_line(&self) -> &'static [u8] {
        b""
    }

    fn map(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let place = address(start) as *mut libc::c_void;
        // SAFETY: new pages at addresses that are not mapped: nothing else can be using them.
        let mapped = unsafe { libc::mmap(place, length, protection(access), flags, -1, 0) };
        if mapped == place { Ok(()) } else { Err(Error::AlreadyMapped) }
    }

    fn protect(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        // SAFETY: the services protect what they mapped here.
        match unsafe { libc::mprotect(address(start) as *mut libc::c_void, length, protection(access)) } {
            0 => Ok(()),
            _ => Err(Error::NotMapped),
        }
    }

    fn unmap(&self, start: VirtAddr, length: usize) -> Result<(), Error> {
        let range = address(start)..address(start) + length;
        self.dma.lock().expect("no other thread").retain(|memory| !range.contains(&memory.address()));
        // SAFETY: the owners unmap what they own and use it no more.
        match unsafe { libc::munmap(range.start as *mut libc::c_void, length) } {
            0 => Ok(()),
            _ => Err(Error::NotMapped),
        }
    }

    fn map_dma(&self, start: VirtAddr, length: usize, _: usize) -> Result<BusAddr, Error> {
        self.map(start, length, Access::READ_WRITE)?;
        let bus = BusAddr(start.0 + BUS_OFFSET);
        // SAFETY: these pages are DMA memory until they are unmapped, which takes them off the list.
        let memory = unsafe { Memory::existing(address(start), length, bus) };
        self.dma.lock().expect("no other thread").push(memory);
        Ok(bus)
    }

    fn map_window(&self, _: usize, _: usize, start: VirtAddr) -> Result<(), Error> {
        self.map(start, WINDOW_BYTES, Access::READ_WRITE)?;
        // SAFETY: a window stays mapped for good.
        let registers = unsafe { Memory::existing(address(start), WINDOW_BYTES, BusAddr(0)) };
        *self.registers.lock().expect("no other thread") = Some(registers);
        self.power_on();
        Ok(())
    }

    fn wait(&self, _: u64, _: u64) {}

    fn register_upcall(&self, _: VirtAddr, _: VirtAddr) -> Result<(), Error> {
        Ok(())
    }

    fn return_from_upcall(&self) -> ! {
        panic!("no upcall is active")
    }

    fn set_tick(&self, _: u64) {}

    fn console_read(&self, _: &mut [u8]) -> usize {
        0
    }

    fn console_write(&self, _: &[u8]) {}

    fn crash(&self, kind: CrashKind, text: &str) -> ! {
        panic!("{kind:?}: {text}")
    }

    fn exit(&self, status: u8) -> ! {
        panic!("exit {status}")
    }
}
