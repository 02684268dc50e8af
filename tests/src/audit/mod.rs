//! The audit from outside: stops a booted machine, reads its registers and memory, and judges its live page tables.
//!
//! The guest and the nucleus have no say in it: QEMU stops the machine and copies its memory ([`Qmp`], [`Snapshot`]);
//! the walk ([`walk()`]) and the rules are pure functions over that copy. So a planted violation (a changed bit in the
//! copy) goes exactly the way a real one would, and the tests show that each rule finds its own.

mod crimes;
mod descriptors;
mod frames;
mod pages;
mod qmp;
mod ram;
mod registers;
mod rules;
mod saved;
mod snapshot;
#[cfg(test)]
mod tests;
mod violation;
mod walk;

pub use crimes::{CRIMES, Crime};
pub use qmp::{Qmp, QmpError};
pub use ram::{PhysicalMemory, Ram};
pub use registers::{DescriptorTable, Registers, RegistersError};
pub use rules::violations;
pub use saved::SavedCpu;
pub use snapshot::{Snapshot, SnapshotError};
pub use violation::{Rule, Violation};
pub use walk::{Mapping, Rights, Table, Walk, WalkError, walk};

/// What an audit saw.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What the page tables map.
    pub walk: Walk,
    /// Every rule that is broken, and where.
    pub violations: Vec<Violation>,
}

/// Judges a stopped machine.
///
/// # Errors
///
/// The page tables cannot be walked.
pub fn audit(snapshot: &Snapshot) -> Result<Audit, WalkError> {
    let walk = walk(snapshot.registers.page_table_root(), &snapshot.ram)?;
    let mut violations = violations(&walk.mappings, &walk.tables);
    violations.extend(registers::violations(&snapshot.registers));
    violations.extend(descriptors::violations(snapshot, &walk));
    Ok(Audit { walk, violations })
}
