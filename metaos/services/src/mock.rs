//! A machine for the tests: maps real pages at the real addresses of the layout, which on Linux are ordinary user
//! addresses.

use crate::io::volatile::Registers;
use crate::machine;
use abi::boot::{Device, MAX_DEVICES, MAX_WINDOWS, Region, Window, transport};
use abi::control::CrashKind;
use abi::{Access, BootInfo, BusAddr, Error, InfoPage, Machine, VirtAddr};
use core::sync::atomic::AtomicU64;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::vec::Vec;

/// When the machine was started, in seconds since 1970: 2023-11-14T22:13:20Z.
pub(crate) const BOOTED_AT_S: u64 = 1_700_000_000;
/// The same on the real-time clock, in BCD and by 24 hours.
const REAL_TIME_CLOCK: u64 = 0x0220_2311_1422_1320;
/// How far the bus addresses of the mock lie from the virtual ones, so that mixing them up shows.
pub(crate) const BUS_OFFSET: u64 = 0x1000_0000_0000;

pub(crate) struct Mock {
    /// What went to the console.
    pub(crate) console: Mutex<Vec<u8>>,
    /// Where the windows of which device were mapped last.
    pub(crate) windows: Mutex<BTreeMap<usize, VirtAddr>>,
}

/// The mock has no memory for more at once.
const LARGEST_MAP: usize = 32 << 20;
/// Bytes of every device window.
pub(crate) const WINDOW_BYTES: u64 = 0x4000;

static MOCK: Mock = Mock { console: Mutex::new(Vec::new()), windows: Mutex::new(BTreeMap::new()) };

static INFO: InfoPage = InfoPage {
    version: AtomicU64::new(abi::VERSION as u64),
    tsc_base: AtomicU64::new(0),
    ns_base: AtomicU64::new(0),
    tsc_multiplier: AtomicU64::new(1 << 31),
    wall_ns: AtomicU64::new(0),
    real_time_clock: AtomicU64::new(REAL_TIME_CLOCK),
    events_total: AtomicU64::new(0),
    events: [const { AtomicU64::new(0) }; abi::info::EVENTS],
};

/// A virtio PCI device with its four register blocks in one window, a page each.
pub(crate) fn pci_device(kind: u32) -> Device {
    let mut windows = [Window { physical: 0, length: 0, shared: 0 }; MAX_WINDOWS];
    windows[0].length = WINDOW_BYTES;
    let block = |offset| Region { window: 0, offset, length: 0x1000 };
    Device {
        transport: transport::VIRTIO_PCI,
        kind,
        notify_multiplier: 4,
        first_event: 8,
        event_count: 2,
        window_count: 1,
        windows,
        regions: [block(0), block(0x1000), block(0x2000), block(0x3000)],
    }
}

static BOOT: LazyLock<BootInfo> = LazyLock::new(|| BootInfo {
    version: abi::VERSION,
    cpus: 1,
    memory_bytes: 64 << 20,
    command_line_length: 0,
    device_count: 1,
    devices: [pci_device(1); MAX_DEVICES],
});

/// Installs the mock machine and returns it.
pub(crate) fn install() -> &'static Mock {
    machine::install(&MOCK);
    &MOCK
}

impl Machine for Mock {
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
        if access.is_writable_and_executable() {
            return Err(Error::WritableAndExecutable);
        }
        if length > LARGEST_MAP {
            return Err(Error::OutOfMemory);
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: new pages at addresses that are not mapped: nothing else can be using them.
        let place = unsafe { libc::mmap(pointer(start), length, protection(access), flags, -1, 0) };
        if place == pointer(start) { Ok(()) } else { Err(Error::AlreadyMapped) }
    }

    fn protect(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        // SAFETY: the tests protect only what they mapped here.
        match unsafe { libc::mprotect(pointer(start), length, protection(access)) } {
            0 => Ok(()),
            _ => Err(Error::NotMapped),
        }
    }

    fn unmap(&self, start: VirtAddr, length: usize) -> Result<(), Error> {
        // SAFETY: the owners unmap what they own and use it no more.
        match unsafe { libc::munmap(pointer(start), length) } {
            0 => Ok(()),
            _ => Err(Error::NotMapped),
        }
    }

    fn map_dma(&self, start: VirtAddr, length: usize, _: usize) -> Result<BusAddr, Error> {
        self.map(start, length, Access::READ_WRITE)?;
        Ok(BusAddr(start.0 + BUS_OFFSET))
    }

    fn map_window(&self, device: usize, _: usize, start: VirtAddr) -> Result<(), Error> {
        let length = usize::try_from(WINDOW_BYTES).unwrap();
        self.map(start, length, Access::READ_WRITE)?;
        self.windows.lock().unwrap().insert(device, start);
        // SAFETY: the window has just been mapped.
        let registers = unsafe { Registers::new(crate::memory::pointer::at(start), length) };
        power_on(registers);
        Ok(())
    }

    fn wait(&self, _: u64, _: u64) {}

    fn register_upcall(&self, _: VirtAddr, _: VirtAddr) -> Result<(), Error> {
        Ok(())
    }

    fn return_from_upcall(&self) -> ! {
        panic!("returned from the upcall")
    }

    fn set_tick(&self, _: u64) {}

    fn console_read(&self, buffer: &mut [u8]) -> usize {
        buffer[0] = b'k';
        1
    }

    fn console_write(&self, bytes: &[u8]) {
        self.console.lock().unwrap().extend_from_slice(bytes);
    }

    fn crash(&self, kind: CrashKind, text: &str) -> ! {
        panic!("{kind:?}: {text}")
    }

    fn exit(&self, status: u8) -> ! {
        panic!("exit {status}")
    }
}

/// Sets the registers that a device would answer with (virtio 1.2, 4.1.4.3): the same features in both halves, of which
/// bit 0 is checksums in the low one and virtio 1 in the high one; the others are a network card's address, offloads
/// and merged buffers, and indices for events. The rest of a device is the test's affair.
fn power_on(registers: Registers) {
    registers.write_u32(4, 1 << 29 | 1 << 15 | 1 << 12 | 1 << 11 | 1 << 8 | 1 << 7 | 1 << 5 | 1 << 1 | 1);
    registers.write_u16(18, 2);
    registers.write_u16(24, 256);
    for (offset, byte) in (0x3000..).zip([2, 0, 0, 0, 0, 7]) {
        registers.write_u8(offset, byte);
    }
}

fn pointer(address: VirtAddr) -> *mut libc::c_void {
    crate::memory::pointer::at(address).as_ptr().cast()
}

fn protection(access: Access) -> libc::c_int {
    let bit = |right, value| if access.contains(right) { value } else { 0 };
    bit(Access::READ, libc::PROT_READ)
        | bit(Access::WRITE, libc::PROT_WRITE)
        | bit(Access::EXECUTE, libc::PROT_EXEC)
}
