//! Where a guest starts: in ring 3 above the nucleus, or as a Linux process.

use crate::gate::Gate;
use crate::upcall;
use abi::control::CrashKind;
use abi::{BootInfo, Machine, VirtAddr};
use core::arch::naked_asm;
use hosted::Hosted;
use services::crash::Text;
use services::exit::{ExitCode, exit};
use services::machine;

static GATE: Gate = Gate;
static HOSTED: Hosted = Hosted;

unsafe extern "C" {
    /// The program's `main`, made by [`crate::main!`].
    // SAFETY: the macro defines it with this signature, as a safe function.
    safe fn metaos_main() -> u8;
}

/// Entry of the guest above the nucleus, named in its ELF note.
///
/// In: `rdi` the boot information; `rsp` as just after a call, though nobody called. Does not return. Unwinding ends
/// here: there is no return address.
///
/// # Safety
///
/// For the machine below alone, once, on the main thread's stack.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn _metaos_start() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "xor ebp, ebp",
        "sub rsp, 8",
        "call {start}",
        "ud2",
        ".cfi_endproc",
        start = sym start,
    )
}

/// Entry of the guest as a Linux process, named in its ELF header.
///
/// In: `rsp` at the number of arguments (System V ABI, AMD64 supplement, 3.4.1). Does not return.
///
/// # Safety
///
/// For the kernel alone, once.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn _metaos_linux_start() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "xor ebp, ebp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {prepare}",
        // The main thread has a stack where every machine has it.
        "mov rsp, rax",
        "call {start}",
        "ud2",
        ".cfi_endproc",
        prepare = sym hosted::start,
        start = sym start_hosted,
    )
}

extern "C" fn start(boot: &'static BootInfo) -> ! {
    machine::install(&GATE);
    if boot.version != abi::VERSION {
        GATE.crash(CrashKind::Panic, "nucleus and guest are of different versions; build the image anew");
    }
    run()
}

extern "C" fn start_hosted() -> ! {
    machine::install(&HOSTED);
    run()
}

fn run() -> ! {
    if let Err(error) = services::upcall::install(upcall_entry()) {
        let mut text = Text::new();
        text.push(format_args!("{error}"));
        machine::current().crash(CrashKind::OutOfMemory, text.as_str());
    }
    exit(ExitCode::from(metaos_main()))
}

fn upcall_entry() -> VirtAddr {
    VirtAddr((upcall::upcall_entry as *const ()).expose_provenance() as u64)
}
