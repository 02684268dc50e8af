//! The way between a program and the library OS, and all that touches a program's memory: the only unsafe code of the
//! Linux door.
//!
//! While a program runs, two words of the CPU's block serve its calls: `scratch[1]` is where the stack of the library
//! OS's thread behind it goes on, and `scratch[0]` holds the program's stack pointer for the two instructions in which
//! there is no other place for it. Nothing is written to the program's stack: it may be tiny, and a red zone may lie
//! below its pointer.
//!
//! What is kept over a call is what Linux keeps: all general registers but `rax`, `rcx` and `r11`, and the x87 and SSE
//! state, by FXSAVE. The upper parts of AVX registers stay where they are, because nothing of ours is VEX-coded and
//! instructions that are not leave them alone (SDM 1, 14.1.3).

use super::dispatch;
use super::user::UserSlice;
pub use abi::linux::ProgramNote;
use abi::linux::ProgramTable;
use abi::upcall::{CpuBlock, Registers};
use abi::{Error, VirtAddr, layout};
use core::arch::{asm, naked_asm};
use core::ptr;
use services::machine;

/// Flags with which our own code runs: interrupts on, and the bit that reads as one.
const PLAIN_FLAGS: u64 = 0x202;
/// Flags that a program keeps over a call: CF, PF, AF, ZF, SF, DF, OF, AC, ID.
const PROGRAM_FLAGS: u64 = 0x24_0cd5;
/// Offsets in the CPU's block.
const PROGRAM_STACK: usize = 64;
const OWN_STACK: usize = 72;
/// MXCSR at a program's start (SDM 1, 10.2.3).
const MXCSR: u32 = 0x1f80;

/// Makes a program's `main` of [`super::run`], with room for the table that the linker fills in.
#[macro_export]
macro_rules! linux_door {
    () => {
        #[used]
        #[unsafe(link_section = ".note.metaos.program")]
        static PROGRAM: $crate::linux::gate::ProgramNote = $crate::linux::gate::ProgramNote::unlinked();

        fn main() -> ::core::convert::Infallible {
            $crate::linux::run(&PROGRAM)
        }
    };
}

/// Reads what the linker has written.
pub(super) fn read_table(note: &'static ProgramNote) -> ProgramTable {
    // SAFETY: the note is there and nobody writes it while the guest runs; the linker has changed it in the file, which
    // the compiler must not know. The field need not be aligned to more than the note is.
    unsafe { ptr::read_volatile(&raw const (*ptr::from_ref(note)).table) }
}

/// Handles the upcall of a program's `syscall`: lets it go on at [`metaos_linux_entry`] with the registers as SYSCALL leaves them.
pub(super) fn resume_at_entry(block: &'static CpuBlock) {
    let program = block.load_registers();
    if program.rip >= layout::GUEST_IMAGE.0 {
        services::io::console::flush_in_crash();
        machine::current().crash(abi::control::CrashKind::ForeignSyscall, "");
    }
    let resumed = Registers {
        rip: (metaos_linux_entry as *const ()).expose_provenance() as u64,
        rcx: program.rip,
        r11: program.rflags & PROGRAM_FLAGS | PLAIN_FLAGS,
        rflags: PLAIN_FLAGS,
        ..program
    };
    block.store_registers(&resumed);
}

/// Enters a program at `address` with this stack pointer. The running thread's stack, from here on, serves its calls.
pub(super) fn enter(address: u64, stack_pointer: u64) -> ! {
    // SAFETY: both are the program's own, whose memory is apart from ours; what lies on the stack of this thread above
    // the pointer stays, because nobody returns to it.
    unsafe { enter_program(address, stack_pointer, MXCSR) }
}

/// Sets FS base, which is the program's.
pub(super) fn set_thread_pointer(address: u64) -> Result<(), Error> {
    const HAS_FSGSBASE: u32 = 1;
    const EXTENDED_FEATURES: u32 = 7;

    if address >= layout::USER_END.0 {
        return Err(Error::BadAddress);
    }
    if core::arch::x86_64::__cpuid_count(EXTENDED_FEATURES, 0).ebx & HAS_FSGSBASE == 0 {
        return machine::current().set_thread_pointer(VirtAddr(address));
    }
    // SAFETY: the CPU has the instruction, and every machine lets ring 3 use it where the CPU has it; our own code does
    // not use FS; the address is canonical.
    unsafe { asm!("wrfsbase {}", in(reg) address, options(nomem, nostack, preserves_flags)) };
    Ok(())
}

/// Reads what lies at `offset` of a range that may be read, as much as there is.
pub(super) fn copy_from(range: &UserSlice, offset: usize, into: &mut [u8]) {
    let count = into.len().min(range.length().saturating_sub(offset));
    let from = ptr::with_exposed_provenance::<u8>(range.start() + offset);
    // SAFETY: a `UserSlice` is made by the table of the program's memory alone, for a range that may be read, and is
    // used before anything changes the table; the program's memory is apart from ours; nothing runs at the same time.
    unsafe { ptr::copy_nonoverlapping(from, into.as_mut_ptr(), count) };
}

/// Writes `bytes` at `offset` of a range that may be written, as many as fit.
pub(super) fn copy_to(range: &UserSlice, offset: usize, bytes: &[u8]) {
    let count = bytes.len().min(range.length().saturating_sub(offset));
    let to = ptr::with_exposed_provenance_mut::<u8>(range.start() + offset);
    // SAFETY: as for reading; the range may be written.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) };
}

/// Zeroes a range that may be written.
pub(super) fn clear(range: &UserSlice) {
    let to = ptr::with_exposed_provenance_mut::<u8>(range.start());
    // SAFETY: as for writing.
    unsafe { ptr::write_bytes(to, 0, range.length()) };
}

/// Enters a program: `address` (rdi), `stack_pointer` (rsi), `control` (edx) of SSE.
///
/// # Safety
///
/// Nobody returns to what lies on the stack.
#[unsafe(naked)]
unsafe extern "C" fn enter_program(address: u64, stack_pointer: u64, control: u32) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "and rsp, -16",
        "mov gs:[{own_stack}], rsp",
        "push rdx; ldmxcsr [rsp]; fninit",
        "mov rcx, rdi; mov rsp, rsi",
        // Registers of a new program are zero; rdx would be a function to call at its end (System V ABI, AMD64
        // supplement, 3.4.1).
        "xor eax, eax; xor edx, edx; xor ebx, ebx; xor esi, esi; xor edi, edi; xor ebp, ebp",
        "xor r8d, r8d; xor r9d, r9d; xor r10d, r10d; xor r11d, r11d",
        "xor r12d, r12d; xor r13d, r13d; xor r14d, r14d; xor r15d, r15d",
        "jmp rcx",
        ".cfi_endproc",
        own_stack = const OWN_STACK,
    )
}

/// Serves a call of a program; the linker finds it by its name. In: registers as SYSCALL leaves them (SDM 2B): `rax` the number, `rcx` where the program
/// goes on, `r11` its flags, all others the program's own. Out: the same but `rax`.
///
/// ```text
/// own stack -> | rflags rip r15 .. r8 rsp rbp rdi rsi rbx rcx rdx rax (abi::upcall::Registers) | FXSAVE 512 |
/// ```
///
/// # Safety
///
/// For programs alone.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn metaos_linux_entry() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov gs:[{program_stack}], rsp",
        "mov rsp, gs:[{own_stack}]",
        "push r11; push rcx",
        "push r15; push r14; push r13; push r12; push r11; push r10; push r9; push r8",
        "push qword ptr gs:[{program_stack}]",
        "push rbp; push rdi; push rsi; push rbx; push rcx; push rdx; push rax",
        "mov rdi, rsp",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "xor ebp, ebp",
        "call {serve}",
        "fxrstor64 [rsp]",
        // Others may have run meanwhile: from here on this thread's stack serves again.
        "lea rax, [rsp + 512 + {registers}]",
        "mov gs:[{own_stack}], rax",
        "lea rsp, [rsp + 512]",
        "pop rax; pop rdx; lea rsp, [rsp + 8]; pop rbx; pop rsi; pop rdi; pop rbp; lea rsp, [rsp + 8]",
        "pop r8; pop r9; pop r10; lea rsp, [rsp + 8]; pop r12; pop r13; pop r14; pop r15",
        "pop rcx; mov r11, [rsp]; popfq",
        // What lies below the pointer is still there: nothing is written to this stack from outside.
        "mov rsp, [rsp - {registers} + 56]",
        "jmp rcx",
        ".cfi_endproc",
        program_stack = const PROGRAM_STACK,
        own_stack = const OWN_STACK,
        registers = const size_of::<Registers>(),
        serve = sym serve,
    )
}

extern "C" fn serve(registers: &mut Registers) {
    let r = &*registers;
    let arguments = [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
    registers.rax = dispatch::dispatch(r.rax, arguments, r.rip).cast_unsigned() as u64;
}

const _: () = assert!(
    core::mem::offset_of!(CpuBlock, scratch) == PROGRAM_STACK && PROGRAM_STACK + 8 == OWN_STACK,
    "the words are the block's scratch slots"
);
const _: () = assert!(core::mem::offset_of!(Registers, rsp) == 56, "the offset is that of the stack pointer");
