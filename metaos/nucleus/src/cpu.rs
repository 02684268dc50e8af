//! The CPU's protection: descriptor tables, interrupt stacks, control bits.

use crate::{layout, privileged, trap};
use core::arch::x86_64::{__cpuid, __cpuid_count};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0Flags, Cr4Flags};
use x86_64::registers::rflags::RFlags;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

/// Selector of ring 3's data segment.
pub const USER_DATA: u16 = 0x18 | 3;
/// Selector of ring 3's code segment.
pub const USER_CODE: u16 = 0x20 | 3;
const KERNEL_CODE: u16 = 0x08;
/// SYSRET takes data from this base plus 8 and code from it plus 16 (SDM 3A 5.8.8).
const SYSRET_BASE: u16 = 0x10 | 3;

/// Which stack an entry to ring 0 uses (`layout::stack_top`). The first is that of Machine calls; interrupt-stack
/// table entry `n` is the stack of number `n`.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Stack {
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

/// What this CPU can do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// Supervisor-mode access prevention.
    pub smap: bool,
    /// FS and GS base from ring 3.
    pub fsgsbase: bool,
    /// x2APIC mode.
    pub x2apic: bool,
    /// Deadline mode of the timer.
    pub tsc_deadline: bool,
    /// Width of physical addresses.
    pub address_bits: u8,
}

static TSS: Once<TaskStateSegment> = Once::new();
static GDT: Once<GlobalDescriptorTable> = Once::new();
static IDT: Once<InterruptDescriptorTable> = Once::new();

/// Turns on every protection that the CPU offers: write protection in ring 0, SMEP, SMAP, UMIP; leaves the time-stamp
/// counter readable; enables all extended states but PKRU (bit 9), so that no XRSTOR in ring 3 changes keys.
#[must_use]
pub fn enable_protection() -> Features {
    let (basic, structured) = (__cpuid(1), __cpuid_count(7, 0));
    let offers = |register: u32, bit: u32| register & (1 << bit) != 0;
    let features = Features {
        smap: offers(structured.ebx, 20),
        fsgsbase: offers(structured.ebx, 0),
        x2apic: offers(basic.ecx, 21),
        tsc_deadline: offers(basic.ecx, 24),
        address_bits: address_bits(),
    };
    let mut cr4 = Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, offers(structured.ebx, 7));
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, features.smap);
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, offers(structured.ecx, 2));
    cr4.set(Cr4Flags::FSGSBASE, features.fsgsbase);
    cr4.set(Cr4Flags::OSXSAVE, offers(basic.ecx, 26));
    // SAFETY: each bit was asked of CPUID; no user page is mapped yet, so SMEP and SMAP forbid nothing in use, and
    // the early tables map everything writable.
    unsafe {
        privileged::enable_control_bits(Cr0Flags::WRITE_PROTECT | Cr0Flags::NUMERIC_ERROR, cr4);
        if offers(basic.ecx, 26) {
            let states = __cpuid_count(0xd, 0);
            let mask = u64::from(states.edx) << 32 | u64::from(states.eax);
            // SAFETY: all states that the CPU has together are a legal combination, and PKRU depends on no other.
            privileged::enable_extended_states(mask & !(1 << 9));
        }
    }
    features
}

/// Loads descriptor tables, task state and the SYSCALL entry. The stacks must be mapped.
pub fn load_tables() {
    let tss = TSS.call_once(task_state);
    let gdt = GDT.call_once(|| descriptors(tss));
    let idt = IDT.call_once(trap::descriptor_table);
    let (code, data, task) = (selector(KERNEL_CODE), selector(0x10), selector(0x28));
    // SAFETY: the three tables are statics; the selectors are those of `descriptors`, in its order.
    unsafe { privileged::load_descriptor_tables(gdt, idt, code, data, task) };
    let mask = RFlags::TRAP_FLAG
        | RFlags::INTERRUPT_FLAG
        | RFlags::DIRECTION_FLAG
        | RFlags::IOPL_LOW
        | RFlags::IOPL_HIGH
        | RFlags::NESTED_TASK
        | RFlags::ALIGNMENT_CHECK;
    // SAFETY: the entry switches to the call stack before it uses one; the bases belong to the table just loaded.
    unsafe { privileged::enable_syscall(trap::syscall_entry_address(), KERNEL_CODE, SYSRET_BASE, mask) };
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

fn descriptors(tss: &'static TaskStateSegment) -> GlobalDescriptorTable {
    let mut gdt = GlobalDescriptorTable::new();
    gdt.append(Descriptor::kernel_code_segment());
    gdt.append(Descriptor::kernel_data_segment());
    gdt.append(Descriptor::user_data_segment());
    gdt.append(Descriptor::user_code_segment());
    gdt.append(Descriptor::tss_segment(tss));
    gdt
}

fn selector(bits: u16) -> x86_64::structures::gdt::SegmentSelector {
    x86_64::structures::gdt::SegmentSelector(bits)
}

fn address_bits() -> u8 {
    let highest = __cpuid(0x8000_0000).eax;
    if highest >= 0x8000_0008 { __cpuid(0x8000_0008).eax as u8 } else { 36 }
}
