//! The machine, as the services know it.

use crate::{chance, console, device, memory, pages, report, signals, switch, wait};
use abi::control::CrashKind;
use abi::{Access, BootInfo, BusAddr, DeviceRequest, Error, InfoPage, Machine, VirtAddr};

/// The machine below a guest that runs as a Linux process.
#[derive(Clone, Copy, Debug)]
pub struct Hosted;

impl Machine for Hosted {
    fn info(&self) -> &'static InfoPage {
        pages::guest_info()
    }

    fn boot(&self) -> &'static BootInfo {
        pages::boot()
    }

    fn command_line(&self) -> &'static [u8] {
        pages::command_line()
    }

    fn map(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        memory::map(start, length, access)
    }

    fn protect(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        memory::protect(start, length, access)
    }

    fn unmap(&self, start: VirtAddr, length: usize) -> Result<(), Error> {
        memory::unmap(start, length)
    }

    fn map_dma(&self, start: VirtAddr, length: usize, _alignment: usize) -> Result<BusAddr, Error> {
        // The device is this process: it sees what the guest sees.
        memory::map(start, length, Access::READ_WRITE).map(|()| BusAddr(start.0))
    }

    fn map_window(&self, _device: usize, _window: usize, _start: VirtAddr) -> Result<(), Error> {
        Err(Error::NoSuchWindow)
    }

    fn wait(&self, deadline_ns: u64, events_seen: u64) {
        wait::wait(deadline_ns, events_seen);
    }

    fn register_upcall(&self, entry: VirtAddr, stack_top: VirtAddr) -> Result<(), Error> {
        signals::register(entry, stack_top)
    }

    fn return_from_upcall(&self) -> ! {
        signals::return_from_upcall()
    }

    fn set_tick(&self, interval_ns: u64) {
        signals::set_tick(interval_ns);
    }

    fn console_read(&self, buffer: &mut [u8]) -> usize {
        console::read(buffer)
    }

    fn console_write(&self, bytes: &[u8]) {
        console::write(bytes);
    }

    fn device(&self, device: usize, request: DeviceRequest) -> u64 {
        if device == 0 { device::request(request) } else { 0 }
    }

    fn random(&self, seed: &mut [u8; 32]) -> bool {
        chance::fill(seed)
    }

    fn crash(&self, kind: CrashKind, text: &str) -> ! {
        report::crash(kind, text, &switch::here())
    }

    fn exit(&self, status: u8) -> ! {
        report::exit(status)
    }
}
