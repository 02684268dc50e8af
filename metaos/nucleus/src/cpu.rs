//! The CPU's protection: descriptor tables, interrupt stacks, control bits.

use crate::{layout, privileged, trap};
use core::arch::x86_64::{__cpuid, __cpuid_count};
use spin::Once;
use x86_64::registers::control::{Cr0Flags, Cr4Flags};
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::{VirtAddr, structures::tss::TaskStateSegment};

/// Selector of the nucleus's code segment.
pub(crate) const KERNEL_CODE: u16 = 0x08;
/// Selector of ring 3's data segment.
pub(crate) const USER_DATA: u16 = 0x18 | 3;
/// Selector of ring 3's code segment.
pub(crate) const USER_CODE: u16 = 0x20 | 3;
const TASK: u16 = 0x28;
/// SYSRET takes data from this base plus 8 and code from it plus 16 (SDM 3A 5.8.8).
const SYSRET_BASE: u16 = 0x10 | 3;
/// Extended state of protection keys (XCR0).
const PKRU: u64 = 1 << 9;

/// Which stack an entry to ring 0 uses (`layout::stack_top`). The first is that of Machine calls; interrupt-stack
/// table entry `n` is the stack of number `n`.
#[repr(u64)]
pub(crate) enum Stack {
    /// Machine calls and all of boot after the final tables.
    Call = 0,
    /// Device interrupts and the timer; never nested.
    Interrupt = 1,
    /// Exceptions of ring 3, and those of the nucleus itself, which end the machine.
    Exception = 2,
    /// Non-maskable interrupt.
    NonMaskable = 3,
    /// Double fault.
    DoubleFault = 4,
    /// Machine check.
    MachineCheck = 5,
}

static TSS: Once<TaskStateSegment> = Once::new();
static TABLES: Once<(GlobalDescriptorTable, [[u64; 2]; 256])> = Once::new();

/// Turns on every protection that the CPU offers: write protection in ring 0, SMEP, SMAP, UMIP; leaves the time-stamp
/// counter readable; enables all extended states but PKRU, so that no XRSTOR in ring 3 changes keys.
pub(crate) fn enable_protection() {
    let (basic, structured) = (__cpuid(1), __cpuid_count(7, 0));
    let mut cr4 = Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    for (flag, register, bit) in [
        (Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, structured.ebx, 7),
        (Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, structured.ebx, 20),
        (Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, structured.ecx, 2),
        (Cr4Flags::FSGSBASE, structured.ebx, 0),
        (Cr4Flags::OSXSAVE, basic.ecx, 26),
    ] {
        cr4.set(flag, register & (1 << bit) != 0);
    }
    let states = cr4.contains(Cr4Flags::OSXSAVE).then(|| __cpuid_count(0xd, 0));
    let states = states.map(|leaf| (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)) & !PKRU);
    // SAFETY: each bit was asked of CPUID; no user page is mapped yet, so SMEP and SMAP forbid nothing in use, and the
    // early tables map everything writable. All states that the CPU has together are a legal combination, and PKRU
    // depends on no other.
    unsafe { privileged::enable_features(Cr0Flags::WRITE_PROTECT | Cr0Flags::NUMERIC_ERROR, cr4, states) }
}

/// Loads descriptor tables, task state and the SYSCALL entry. The stacks must be mapped.
pub(crate) fn load_tables() {
    let tss = TSS.call_once(task_state);
    let (gdt, idt) = TABLES.call_once(|| (descriptors(tss), trap::descriptor_table()));
    // SAFETY: the early table has the same code and data segments in the same places; the gates lead to the stubs, which
    // keep the convention of a trap entry, on mapped stacks.
    unsafe { privileged::load_descriptor_tables(gdt, idt, SegmentSelector(TASK)) };
    // SAFETY: the entry switches to the call stack before it uses one; the bases belong to the table just loaded.
    unsafe { privileged::enable_syscall(trap::syscall_entry_address(), KERNEL_CODE, SYSRET_BASE) };
}

/// Returns the end of what physical addresses reach (SDM 3A 4.1.4): more would set reserved bits of an entry.
pub(crate) fn physical_end() -> u64 {
    let is_told = __cpuid(0x8000_0000).eax >= 0x8000_0008;
    let bits = if is_told { __cpuid(0x8000_0008).eax as u8 } else { 36 };
    1 << bits.clamp(32, 52)
}

fn task_state() -> TaskStateSegment {
    // `new` puts the I/O map's base beyond the segment's limit, so ring 3 can use no port (SDM 1, 19.5.2).
    let mut tss = TaskStateSegment::new();
    for index in 1..layout::STACK_COUNT {
        tss.interrupt_stack_table[index as usize - 1] = VirtAddr::new_truncate(layout::stack_top(index));
    }
    tss.privilege_stack_table[0] = VirtAddr::new_truncate(layout::stack_top(Stack::Exception as u64));
    tss
}

/// Makes the descriptor table, in the order of the selectors above; the first two as in the early one (`boot::entry`).
fn descriptors(tss: &'static TaskStateSegment) -> GlobalDescriptorTable {
    let mut gdt = GlobalDescriptorTable::new();
    gdt.append(Descriptor::kernel_code_segment());
    gdt.append(Descriptor::kernel_data_segment());
    gdt.append(Descriptor::user_data_segment());
    gdt.append(Descriptor::user_code_segment());
    gdt.append(Descriptor::tss_segment(tss));
    gdt
}
