//! What an audit complains about.

use std::fmt;

/// A promise about a machine's protection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Rule {
    /// No page is writable and executable.
    NothingIsWritableAndExecutable,
    /// No frame that serves as a page table is mapped for ring 3.
    TablesAreOutOfReach,
    /// No frame that serves as a page table is executable in any view.
    TablesAreNotExecutable,
    /// No frame that is executable in one view is writable in another.
    TextHasNoWritableAlias,
    /// No frame that is read-only for ring 3 is writable for it elsewhere; none that is read-only for the nucleus is
    /// writable anywhere.
    ReadOnlyDataHasNoWritableAlias,
    /// The upper half has the user bit nowhere, at no level.
    UpperHalfIsForTheNucleus,
    /// What is mapped in the lower half is the guest's.
    LowerHalfIsForTheGuest,
    /// The nucleus and ring 3 share the pages made for it and no other.
    NothingElseIsShared,
    /// No interrupt controller is mapped for ring 3.
    ControllersAreOutOfReach,
    /// A null pointer, also with an offset, faults.
    NothingIsMappedAtNull,
    /// The last page of the lower half is not mapped.
    EdgeIsNotMapped,
    /// Below each stack lies a page that is not mapped.
    StacksHaveGuards,
    /// The control registers are as promised.
    ControlBitsAreSet,
    /// Ring 3 may use no I/O port.
    PortsAreClosed,
    /// Every interrupt gate leads to nucleus text on a stack of its own, and none is open to ring 3.
    GatesAreSafe,
    /// SYSCALL leads to nucleus text, with the flags that ring 3 chose cleared.
    CallsEnterTheNucleus,
}

/// A broken promise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// Where and how.
    pub place: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, place: impl Into<String>) -> Self {
        Self { rule, place: place.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.place)
    }
}
