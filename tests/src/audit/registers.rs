//! The CPU's registers, as QEMU's monitor prints them, and the rules for them.

use abi::{PhysAddr, VirtAddr};

use super::saved::SavedCpu;
use super::violation::{Rule, Violation};

/// Why the registers cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistersError {
    /// The monitor shows no such register.
    #[error("`info registers` shows no {0}; this QEMU prints registers in another way")]
    NotShown(&'static str),
    /// The saved state has no such register.
    #[error("the saved state of the CPU has no {0}; this QEMU saves machines in another way")]
    NotSaved(&'static str),
    /// Monitor and saved state do not agree.
    #[error("the saved state has another {0} than `info registers`; this QEMU saves machines in another way")]
    NotTheSame(&'static str),
}

/// Where a descriptor table or a segment lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DescriptorTable {
    /// First byte.
    pub base: VirtAddr,
    /// Offset of the last byte.
    pub limit: u32,
}

/// Registers of one CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Registers {
    /// Control register 0.
    pub cr0: u64,
    /// Control register 3.
    pub cr3: u64,
    /// Control register 4.
    pub cr4: u64,
    /// Extended features.
    pub efer: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: VirtAddr,
    /// The task state segment.
    pub task: DescriptorTable,
    /// The interrupt descriptor table.
    pub interrupts: DescriptorTable,
    /// Extended states that are enabled.
    pub xcr0: u64,
    /// Where SYSCALL enters.
    pub call_entry: VirtAddr,
    /// Flags that SYSCALL clears.
    pub call_mask: u64,
}

impl Registers {
    /// Reads what the monitor command `info registers` prints, and what it leaves out from the saved state.
    ///
    /// # Errors
    ///
    /// A register is missing, or the two do not agree.
    pub fn parse(text: &str, saved: &SavedCpu) -> Result<Self, RegistersError> {
        let saved_register = |name| saved.get(name).ok_or(RegistersError::NotSaved(name));
        let registers = Self {
            cr0: number(text, "CR0")?,
            cr3: number(text, "CR3")?,
            cr4: number(text, "CR4")?,
            efer: number(text, "EFER")?,
            rflags: number(text, "RFL")?,
            rsp: VirtAddr(number(text, "RSP")?),
            task: table(text, "TR =", 1)?,
            interrupts: table(text, "IDT=", 0)?,
            xcr0: saved_register("env.xcr0")?,
            call_entry: VirtAddr(saved_register("env.lstar")?),
            call_mask: saved_register("env.fmask")?,
        };
        for (name, shown) in
            [("env.cr[3]", registers.cr3), ("env.cr[4]", registers.cr4), ("env.efer", registers.efer)]
        {
            if saved_register(name)? != shown {
                return Err(RegistersError::NotTheSame(name));
            }
        }
        Ok(registers)
    }

    /// Returns where the root page table lies. The low bits of CR3 are flags (SDM 3A, table 4-12).
    #[must_use]
    pub const fn page_table_root(&self) -> PhysAddr {
        PhysAddr(self.cr3 & 0x000f_ffff_ffff_f000)
    }
}

/// A bit of a register and whether it is promised to be set or clear.
pub(super) struct Promise {
    name: &'static str,
    pub(super) bit: u32,
    is_set: bool,
}

const fn set(name: &'static str, bit: u32) -> Promise {
    Promise { name, bit, is_set: true }
}

const fn clear(name: &'static str, bit: u32) -> Promise {
    Promise { name, bit, is_set: false }
}

/// SDM 3A 2.5.
pub(super) const CR0: [Promise; 5] =
    [set("CR0.PE", 0), clear("CR0.EM", 2), set("CR0.NE", 5), set("CR0.WP", 16), set("CR0.PG", 31)];
/// SDM 3A 2.5. The protection keys stay off; the time-stamp counter is ring 3's clock, the performance counters are not
/// its business; five-level tables would make the walk meaningless.
pub(super) const CR4: [Promise; 12] = [
    clear("CR4.TSD", 2),
    set("CR4.PAE", 5),
    clear("CR4.PCE", 8),
    set("CR4.OSFXSR", 9),
    set("CR4.UMIP", 11),
    clear("CR4.LA57", 12),
    set("CR4.FSGSBASE", 16),
    set("CR4.OSXSAVE", 18),
    set("CR4.SMEP", 20),
    set("CR4.SMAP", 21),
    clear("CR4.PKE", 22),
    clear("CR4.PKS", 24),
];
/// SDM 3A 2.2.1.
pub(super) const EFER: [Promise; 4] =
    [set("EFER.SCE", 0), set("EFER.LME", 8), set("EFER.LMA", 10), set("EFER.NXE", 11)];
/// SDM 1 3.4.3: with an I/O privilege level of 0 ring 3 asks the I/O map for each port.
pub(super) const FLAGS: [Promise; 2] =
    [clear("RFLAGS.IOPL, low bit", 12), clear("RFLAGS.IOPL, high bit", 13)];
/// SDM 1 13.3. Without bit 9 no XRSTOR in ring 3 changes protection keys.
pub(super) const XCR0: [Promise; 3] = [set("XCR0.x87", 0), set("XCR0.SSE", 1), clear("XCR0.PKRU", 9)];
/// SDM 2B, SYSCALL: the nucleus starts with interrupts off, the string direction up and SMAP in force.
pub(super) const CALL_MASK: [Promise; 7] = [
    set("FMASK.TF", 8),
    set("FMASK.IF", 9),
    set("FMASK.DF", 10),
    set("FMASK.IOPL, low bit", 12),
    set("FMASK.IOPL, high bit", 13),
    set("FMASK.NT", 14),
    set("FMASK.AC", 18),
];

/// Judges the registers of a CPU that has every feature that the nucleus uses.
pub(super) fn violations(registers: &Registers) -> Vec<Violation> {
    let promises = [
        (registers.cr0, CR0.as_slice(), Rule::ControlBitsAreSet),
        (registers.cr4, &CR4, Rule::ControlBitsAreSet),
        (registers.efer, &EFER, Rule::ControlBitsAreSet),
        (registers.rflags, &FLAGS, Rule::PortsAreClosed),
        (registers.xcr0, &XCR0, Rule::ControlBitsAreSet),
        (registers.call_mask, &CALL_MASK, Rule::CallsEnterTheNucleus),
    ];
    promises.into_iter().flat_map(|(value, promises, rule)| broken(value, promises, rule)).collect()
}

fn broken(value: u64, promises: &[Promise], rule: Rule) -> impl Iterator<Item = Violation> {
    let broken = promises.iter().filter(move |promise| (value >> promise.bit & 1 == 1) != promise.is_set);
    broken.map(move |promise| {
        let state = if promise.is_set { "clear" } else { "set" };
        Violation::new(rule, format!("{} is {state}", promise.name))
    })
}

/// Finds `name=value` in hexadecimal, `name` being a whole word.
fn number(text: &str, name: &'static str) -> Result<u64, RegistersError> {
    let words = text.split_whitespace().filter_map(|word| word.split_once('='));
    let value = words.into_iter().find_map(|(word, value)| (word == name).then_some(value));
    value.and_then(hexadecimal).ok_or(RegistersError::NotShown(name))
}

/// Reads base and limit from the line that starts with `name`, after `skipped` other fields.
fn table(text: &str, name: &'static str, skipped: usize) -> Result<DescriptorTable, RegistersError> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or(RegistersError::NotShown(name))?;
    let mut fields = line.split_whitespace().skip(skipped).map(hexadecimal);
    let mut field = || fields.next().flatten().ok_or(RegistersError::NotShown(name));
    let (base, limit) = (VirtAddr(field()?), field()?);
    Ok(DescriptorTable { base, limit: u32::try_from(limit).map_err(|_| RegistersError::NotShown(name))? })
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}
