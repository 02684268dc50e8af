//! The CPU's registers, as ring 3 sees them: what must survive an interrupt, and what it may point elsewhere.

use core::arch::asm;
use core::sync::atomic::AtomicU64;

/// What registers held after interrupts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// What they held before.
    All,
    /// A general register changed.
    GeneralLost,
    /// An SSE register changed.
    SseLost,
    /// The upper half of an AVX register changed.
    WideLost,
    /// The flags or a control word changed.
    ControlLost,
    /// No interrupt came in a long time.
    NoTick,
}

/// Quad words in the sixteen SSE registers.
const SSE_WORDS: usize = 32;
/// Quad words in three AVX registers.
const WIDE_WORDS: usize = 12;
/// MXCSR with rounding towards zero, which nobody else uses.
const MXCSR: u32 = 0x7f80;
/// x87 control word with single precision, which nobody else uses.
const X87_CONTROL: u16 = 0x007f;
/// Turns of the loop in which a tick must come.
const PATIENCE: u64 = 100_000_000;

/// Fills every register, waits until `ticks` ticks have set the mark in the CPU block, and looks what is left.
///
/// No compiled code runs in between, so whatever changed was changed by the machine below.
#[must_use]
pub fn hold_through_ticks(ticks: u64) -> Kept {
    let before: [u64; SSE_WORDS] = core::array::from_fn(|index| 0x0101_0101_0101_0101 * (index as u64 + 1));
    let mut after = [0_u64; SSE_WORDS];
    let (mut mxcsr, mut control) = (MXCSR, X87_CONTROL);
    let (general, left): (u64, u64);
    // SAFETY: the block reads and writes the arrays it is given and the mark at offset 32 of the CPU block, which is
    // there for that; every register that it changes is named, and the control words are put back as the ABI has them.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "ldmxcsr [r12]",
            "fldcw [r13]",
            "movups xmm0, [r14]", "movups xmm1, [r14 + 16]", "movups xmm2, [r14 + 32]", "movups xmm3, [r14 + 48]",
            "movups xmm4, [r14 + 64]", "movups xmm5, [r14 + 80]", "movups xmm6, [r14 + 96]", "movups xmm7, [r14 + 112]",
            "movups xmm8, [r14 + 128]", "movups xmm9, [r14 + 144]", "movups xmm10, [r14 + 160]",
            "movups xmm11, [r14 + 176]", "movups xmm12, [r14 + 192]", "movups xmm13, [r14 + 208]",
            "movups xmm14, [r14 + 224]", "movups xmm15, [r14 + 240]",
            "mov rbx, 3", "mov rbp, 5", "mov rdx, 7", "mov rsi, 11", "mov rdi, 13", "mov r8, 17", "mov r9, 19",
            "mov r10, 23", "mov r11, 29",
            "std",
            // Waits for a mark, clears it, counts it; a tick that does not come ends the wait.
            "2:",
            "mov rax, {patience}",
            "3:",
            "dec rax",
            "jz 4f",
            "cmp qword ptr gs:[32], 0",
            "je 3b",
            "mov qword ptr gs:[32], 0",
            "dec rcx",
            "jnz 2b",
            "4:",
            // The direction flag must still be set; then the weighted sum of the general registers.
            "pushfq",
            "pop rax",
            "cld",
            "and rax, 0x400",
            "add rax, rbx", "shl rax, 1", "add rax, rbp", "shl rax, 1", "add rax, rdx", "shl rax, 1", "add rax, rsi",
            "shl rax, 1", "add rax, rdi", "shl rax, 1", "add rax, r8", "shl rax, 1", "add rax, r9", "shl rax, 1",
            "add rax, r10", "shl rax, 1", "add rax, r11",
            "movups [r15], xmm0", "movups [r15 + 16], xmm1", "movups [r15 + 32], xmm2", "movups [r15 + 48], xmm3",
            "movups [r15 + 64], xmm4", "movups [r15 + 80], xmm5", "movups [r15 + 96], xmm6", "movups [r15 + 112], xmm7",
            "movups [r15 + 128], xmm8", "movups [r15 + 144], xmm9", "movups [r15 + 160], xmm10",
            "movups [r15 + 176], xmm11", "movups [r15 + 192], xmm12", "movups [r15 + 208], xmm13",
            "movups [r15 + 224], xmm14", "movups [r15 + 240], xmm15",
            "stmxcsr [r12]",
            "fnstcw [r13]",
            "fninit",
            "pop rbp",
            "pop rbx",
            patience = const PATIENCE,
            in("r12") &raw mut mxcsr,
            in("r13") &raw mut control,
            in("r14") before.as_ptr(),
            in("r15") after.as_mut_ptr(),
            inout("rcx") ticks => left,
            out("rax") general,
            out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
        asm!("ldmxcsr [{}]", in(reg) &0x1f80_u32, options(nostack));
    }
    let expected =
        [3, 5, 7, 11, 13, 17, 19, 23, 29].into_iter().fold(0x400, |sum, value| (sum + value) << 1) >> 1;
    match () {
        () if left != 0 => Kept::NoTick,
        () if general != expected => Kept::GeneralLost,
        () if before != after => Kept::SseLost,
        () if (mxcsr, control) != (MXCSR, X87_CONTROL) => Kept::ControlLost,
        () => Kept::All,
    }
}

/// Does as [`hold_through_ticks`] with some registers of 256 bits (AVX), which FXSAVE does not save.
#[must_use]
pub fn hold_wide_through_ticks(ticks: u64) -> Kept {
    let before: [u64; WIDE_WORDS] = core::array::from_fn(|index| 0x0101_0101_0101_0101 * (index as u64 + 1));
    let mut after = [0_u64; WIDE_WORDS];
    let left: u64;
    // SAFETY: as in `hold_through_ticks`; the upper halves are cleared at the end, since nobody else uses them.
    unsafe {
        asm!(
            "vmovdqu ymm0, [{before}]", "vmovdqu ymm7, [{before} + 32]", "vmovdqu ymm15, [{before} + 64]",
            "2:",
            "mov rax, {patience}",
            "3:",
            "dec rax",
            "jz 4f",
            "cmp qword ptr gs:[32], 0",
            "je 3b",
            "mov qword ptr gs:[32], 0",
            "dec rcx",
            "jnz 2b",
            "4:",
            "vmovdqu [{after}], ymm0", "vmovdqu [{after} + 32], ymm7", "vmovdqu [{after} + 64], ymm15",
            "vzeroupper",
            patience = const PATIENCE,
            before = in(reg) before.as_ptr(),
            after = in(reg) after.as_mut_ptr(),
            inout("rcx") ticks => left,
            out("rax") _, out("xmm0") _, out("xmm7") _, out("xmm15") _,
            options(nostack),
        );
    }
    match () {
        () if left != 0 => Kept::NoTick,
        () if before != after => Kept::WideLost,
        () => Kept::All,
    }
}

/// Changes SSE registers and control words that a caller need not keep, as compiled code does.
pub fn spoil() {
    // SAFETY: every register that is changed is named; the control words are put back by `fninit` and the second load.
    unsafe {
        asm!(
            "pcmpeqd xmm0, xmm0", "pcmpeqd xmm1, xmm1", "pcmpeqd xmm2, xmm2", "pcmpeqd xmm3, xmm3",
            "pcmpeqd xmm4, xmm4", "pcmpeqd xmm5, xmm5", "pcmpeqd xmm6, xmm6", "pcmpeqd xmm7, xmm7",
            "pcmpeqd xmm8, xmm8", "pcmpeqd xmm9, xmm9", "pcmpeqd xmm10, xmm10", "pcmpeqd xmm11, xmm11",
            "pcmpeqd xmm12, xmm12", "pcmpeqd xmm13, xmm13", "pcmpeqd xmm14, xmm14", "pcmpeqd xmm15, xmm15",
            "fninit",
            "ldmxcsr [{}]",
            in(reg) &0x1f80_u32,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
            out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack),
        );
    }
}

/// Returns MXCSR and puts the floating-point state back as the ABI has it.
#[must_use]
pub fn take_mxcsr() -> u32 {
    let (mut taken, usual) = (0_u32, 0x1f80_u32);
    // SAFETY: stores and loads the control words by the addresses of two locals.
    unsafe {
        asm!(
            "stmxcsr [{taken}]", "fninit", "ldmxcsr [{usual}]",
            taken = in(reg) &raw mut taken, usual = in(reg) &raw const usual, options(nostack),
        );
    }
    taken
}

/// Points GS elsewhere.
pub fn set_gs_base(address: u64) {
    // SAFETY: compiled code reaches nothing through GS; the machine below must not rely on it.
    unsafe { asm!("wrgsbase {}", in(reg) address, options(nostack, nomem)) }
}

/// The mark of a tick that hit our own code has the offset that the assembly relies on.
const _: () =
    assert!(core::mem::offset_of!(abi::upcall::CpuBlock, pending) == 32 && size_of::<AtomicU64>() == 8);
