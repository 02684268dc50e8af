//! The probe's virtual machine: 64 KiB of memory, one CPU in 64-bit ring 0, a dozen instructions.
//!
//! Holds the runner's unsafe code for KVM: the memory is shared with a CPU that the compiler knows nothing of.

use std::cell::UnsafeCell;

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use vmm_sys_util::errno::Error;

use super::{KvmRefusal, refusal_to_open};

const SIZE: usize = 0x1_0000;
/// Where in the machine's memory things lie.
const LEVEL_4: usize = 0x1000;
const LEVEL_3: usize = 0x2000;
const LEVEL_2: usize = 0x3000;
const CODE: usize = 0x4000;
const DATA: usize = 0x5000;

/// Port on which the code reports.
const PORT: u16 = 0xf4;

/// Doubles four floats at `rbx` into the 16 bytes behind them and reports the first.
const INSTRUCTIONS: [u8; 24] = [
    0x0f, 0x10, 0x03, // movups (%rbx), %xmm0
    0x0f, 0x57, 0xc9, // xorps %xmm1, %xmm1
    0x0f, 0x58, 0xc8, // addps %xmm0, %xmm1
    0x0f, 0x58, 0xc8, // addps %xmm0, %xmm1
    0x0f, 0x29, 0x4b, 0x10, // movaps %xmm1, 16(%rbx)
    0x8b, 0x43, 0x10, // mov 16(%rbx), %eax
    0xe7, 0xf4, // out %eax, $0xf4
    0xf4, // hlt
    0x0f, 0x0b, // ud2
];

/// Bits of the control registers and of EFER (SDM 3A 2.5, 2.2.1).
const CR0_PE_MP_ET_NE_PG: u64 = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 31;
const CR4_PAE_OSFXSR_OSXMMEXCPT: u64 = 1 << 5 | 1 << 9 | 1 << 10;
const EFER_LME_LMA: u64 = 1 << 8 | 1 << 10;
/// Page-table entry: present, writable; and a 2 MiB page (SDM 3A 4.5).
const TABLE: u64 = 0b11;
const LARGE_PAGE: u64 = 1 << 7 | TABLE;

/// Runs the probe once.
pub(super) fn run() -> Result<(), KvmRefusal> {
    let kvm = Kvm::new().map_err(|error| refusal_to_open(error.errno()))?;
    let machine = kvm.create_vm().map_err(failed("make a virtual machine"))?;
    let memory = Memory::prepare();
    memory.attach(&machine)?;
    let mut cpu = machine.create_vcpu(0).map_err(failed("make a virtual CPU"))?;
    let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("tell what its CPU can do"))?;
    cpu.set_cpuid2(&cpuid).map_err(failed("set up a CPU"))?;
    set_registers(&cpu).map_err(failed("enter 64-bit mode"))?;
    let result = judge(cpu.run());
    // The CPU must be gone before the memory it runs on.
    drop((cpu, machine));
    drop(memory);
    result
}

fn judge(exit: Result<VcpuExit<'_>, Error>) -> Result<(), KvmRefusal> {
    match exit {
        Ok(VcpuExit::IoOut(PORT, data)) if data == 2.0_f32.to_le_bytes() => Ok(()),
        Ok(VcpuExit::IoOut(_, data)) => Err(KvmRefusal::Unfit(format!("wrong result {data:x?}"))),
        Ok(VcpuExit::InternalError) => Err(KvmRefusal::Unfit("it gives up at an SSE instruction".to_owned())),
        Ok(exit) => Err(KvmRefusal::Unfit(format!("it stops with {exit:?}"))),
        Err(error) => Err(KvmRefusal::Unfit(error.to_string())),
    }
}

fn set_registers(cpu: &VcpuFd) -> Result<(), Error> {
    let mut special = cpu.get_sregs()?;
    special.cr0 = CR0_PE_MP_ET_NE_PG;
    special.cr3 = LEVEL_4 as u64;
    special.cr4 = CR4_PAE_OSFXSR_OSXMMEXCPT;
    special.efer = EFER_LME_LMA;
    special.cs = segment(1, 0xb, 1, 0);
    for data in [&mut special.ds, &mut special.es, &mut special.ss, &mut special.fs, &mut special.gs] {
        *data = segment(2, 0x3, 0, 1);
    }
    cpu.set_sregs(&special)?;
    let mut registers = cpu.get_regs()?;
    registers.rip = CODE as u64;
    registers.rbx = DATA as u64;
    registers.rsp = SIZE as u64;
    registers.rflags = 2;
    cpu.set_regs(&registers)
}

/// A flat segment of ring 0 (SDM 3A 3.4.5).
fn segment(index: u16, kind: u8, l: u8, db: u8) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector: index << 3,
        type_: kind,
        present: 1,
        dpl: 0,
        db,
        s: 1,
        l,
        g: 1,
        ..Default::default()
    }
}

fn failed(operation: &'static str) -> impl Fn(Error) -> KvmRefusal {
    move |error| KvmRefusal::Failed { operation, cause: error.to_string() }
}

/// The machine's memory. Only the machine touches it once it is attached.
#[repr(align(4096))]
struct Memory(UnsafeCell<[u8; SIZE]>);

impl Memory {
    fn prepare() -> Box<Self> {
        let mut bytes = [0; SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(LEVEL_4, &(LEVEL_3 as u64 | TABLE).to_le_bytes());
        put(LEVEL_3, &(LEVEL_2 as u64 | TABLE).to_le_bytes());
        put(LEVEL_2, &LARGE_PAGE.to_le_bytes());
        put(CODE, &INSTRUCTIONS);
        put(DATA, &[1.0_f32.to_le_bytes(); 4].concat());
        Box::new(Self(UnsafeCell::new(bytes)))
    }

    fn attach(&self, machine: &VmFd) -> Result<(), KvmRefusal> {
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: SIZE as u64,
            userspace_addr: self.0.get() as u64,
        };
        // SAFETY: the region is page-aligned (`repr(align)`), lies wholly in this allocation, and stays there until
        // the machine and its CPU are gone (`run` drops them first); nobody in this process reads or writes it
        // meanwhile, and the cell tells the compiler that somebody else may.
        unsafe { machine.set_user_memory_region(region) }.map_err(failed("map memory"))
    }
}
