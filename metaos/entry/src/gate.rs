//! The gate: the one `syscall` instruction of a guest, and the nucleus as a machine on top of it.
//!
//! The machine below tells its own calls from those of a Linux program by their return address, which is why there may
//! be only one, named in the ELF note; the linker refuses a guest that has another. Where the guest runs as a Linux
//! process, the hosted machine makes its calls here.

use abi::control::CrashKind;
use abi::{Access, BootInfo, BusAddr, Call, Error, InfoPage, Machine, VirtAddr, layout};
use core::arch::naked_asm;

/// The machine below, behind the gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate;

core::arch::global_asm!(
    // abi::note::GuestNote. Name and descriptor are padded to 4 bytes; the name's size counts its zero.
    ".pushsection .note.metaos, \"a\", @note",
    ".balign 4",
    ".long 7, 24, {kind}",
    ".asciz \"metaos\"",
    ".balign 4",
    ".long {version}, 0",
    ".quad {start}",
    ".quad metaos_gate_syscall",
    ".popsection",
    kind = const abi::note::TYPE_GUEST,
    version = const abi::VERSION,
    start = sym crate::start::_metaos_start,
);

/// Calls what is below: a Machine call on the nucleus, a system call on Linux.
///
/// In: the arguments in the registers of the System V calling convention, of which the fourth moves to `r10`, and the
/// number on the stack. Out: `rax`. Lost: `rcx`, `r10`, `r11`. The stack is not touched.
///
/// # Safety
///
/// What the call does to memory must be sound: see [`Call`].
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn metaos_gate(
    first: u64,
    second: u64,
    third: u64,
    fourth: u64,
    fifth: u64,
    sixth: u64,
    number: u64,
) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "mov r10, rcx",
        "mov rax, [rsp + 8]",
        ".globl metaos_gate_syscall",
        "metaos_gate_syscall:",
        "syscall",
        "ret",
        ".cfi_endproc",
    )
}

fn call(number: Call, arguments: [u64; 3]) -> Result<u64, Error> {
    let [first, second, third] = arguments;
    // SAFETY: the methods of `Gate` alone come here. Each says, by the contract of `Machine`, what memory the call
    // changes; the machine checks every argument and never touches memory that the guest has not handed to it.
    Error::decode(unsafe { metaos_gate(first, second, third, 0, 0, 0, number as u64) })
}

/// Makes a call that does not come back.
fn leave(number: Call, arguments: [u64; 3]) -> ! {
    loop {
        let _: Result<u64, Error> = call(number, arguments);
    }
}

fn done(outcome: Result<u64, Error>) -> Result<(), Error> {
    outcome.map(|_| ())
}

/// Splits a slice into what a call takes: address and bytes.
fn parts(bytes: &[u8]) -> (u64, u64) {
    (bytes.as_ptr().expose_provenance() as u64, bytes.len() as u64)
}

impl Machine for Gate {
    fn info(&self) -> &'static InfoPage {
        // SAFETY: the machine maps the page there before the guest starts and never unmaps it; it is page-aligned and
        // made of atomic integers, for which any bytes are valid.
        unsafe { &*at(layout::INFO_PAGE) }
    }

    fn boot(&self) -> &'static BootInfo {
        // SAFETY: as for the information page; it is made of integers, and nobody writes it once the guest runs.
        unsafe { &*at(layout::BOOT_INFO) }
    }

    fn command_line(&self) -> &'static [u8] {
        let room = layout::BOOT_INFO_SIZE - size_of::<BootInfo>();
        let length = (self.boot().command_line_length as usize).min(room);
        let start = at::<u8>(VirtAddr(layout::BOOT_INFO.0 + size_of::<BootInfo>() as u64));
        // SAFETY: the command line follows the boot information in the same pages, whose end `room` respects.
        unsafe { core::slice::from_raw_parts(start, length) }
    }

    fn map(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        done(call(Call::Map, [start.0, length as u64, u64::from(access.bits())]))
    }

    fn protect(&self, start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
        done(call(Call::Protect, [start.0, length as u64, u64::from(access.bits())]))
    }

    fn unmap(&self, start: VirtAddr, length: usize) -> Result<(), Error> {
        done(call(Call::Unmap, [start.0, length as u64, 0]))
    }

    fn map_dma(&self, start: VirtAddr, length: usize, alignment: usize) -> Result<BusAddr, Error> {
        call(Call::MapDma, [start.0, length as u64, alignment as u64]).map(BusAddr)
    }

    fn map_window(&self, device: usize, window: usize, start: VirtAddr) -> Result<(), Error> {
        done(call(Call::MapWindow, [device as u64, window as u64, start.0]))
    }

    fn wait(&self, deadline_ns: u64, events_seen: u64) {
        // It only sleeps; a machine that refused would be one that wakes at once.
        let _: Result<u64, Error> = call(Call::Wait, [deadline_ns, events_seen, 0]);
    }

    fn register_upcall(&self, entry: VirtAddr, stack_top: VirtAddr) -> Result<(), Error> {
        done(call(Call::RegisterUpcall, [entry.0, stack_top.0, 0]))
    }

    fn return_from_upcall(&self) -> ! {
        let _: Result<u64, Error> = call(Call::ReturnFromUpcall, [0; 3]);
        self.crash(CrashKind::BadContext, "no upcall to return from")
    }

    fn set_tick(&self, interval_ns: u64) {
        // Refused only where there is no tick, and then there is none.
        let _: Result<u64, Error> = call(Call::SetTick, [interval_ns, 0, 0]);
    }

    fn console_read(&self, buffer: &mut [u8]) -> usize {
        let (start, length) = parts(buffer);
        let count = call(Call::ConsoleRead, [start, length, 0]).unwrap_or(0);
        usize::try_from(count).unwrap_or(0).min(buffer.len())
    }

    fn console_write(&self, bytes: &[u8]) {
        let (start, length) = parts(bytes);
        // Refused only for memory that a slice cannot be in; there is nowhere to say so.
        let _: Result<u64, Error> = call(Call::ConsoleWrite, [start, length, 0]);
    }

    fn set_thread_pointer(&self, address: VirtAddr) -> Result<(), Error> {
        done(call(Call::SetThreadPointer, [address.0, 0, 0]))
    }

    fn crash(&self, kind: CrashKind, text: &str) -> ! {
        let (start, length) = parts(text.as_bytes());
        leave(Call::Crash, [u64::from(kind as u32), start, length])
    }

    fn exit(&self, status: u8) -> ! {
        leave(Call::Exit, [u64::from(status), 0, 0])
    }
}

fn at<T>(address: VirtAddr) -> *const T {
    let number = usize::try_from(address.0).expect("a pointer has 64 bits");
    core::ptr::with_exposed_provenance(number)
}
