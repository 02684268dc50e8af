//! What a user wants to know of a Linux program: how many of its calls are patched, and which calls it can make.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use syscalls::x86_64::Sysno;

use super::{Origin, Plan, Trap, Verdict};

/// Width of the column of names.
const LABEL: usize = 11;
/// Width of a line of names of calls.
const LINE: usize = 100;

/// A plan in figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// What the program was made with.
    pub origin: Origin,
    /// It may be moved as a whole.
    pub is_position_independent: bool,
    /// All `syscall` instructions.
    pub sites: usize,
    /// Those that become jumps.
    pub patched: usize,
    /// Of those, how many take instructions before the `syscall` into their windows.
    pub with_preceding: usize,
    /// Those that stay, by the reason: how many, and the first of them.
    pub trapped: BTreeMap<Trap, (usize, Place)>,
    /// Numbers of calls that are constant at some site.
    pub calls: BTreeSet<u32>,
    /// Sites whose number is known only at run time.
    pub at_run_time: usize,
}

/// An address, and the function there if it has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The address.
    pub address: u64,
    /// The function.
    pub function: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address)?;
        self.function.as_ref().map_or(Ok(()), |function| write!(f, " in {function}"))
    }
}

impl Summary {
    pub(super) fn of(plan: &Plan<'_>) -> Self {
        let mut summary = Self {
            origin: plan.program.origin(),
            is_position_independent: plan.program.is_position_independent(),
            sites: plan.sites.len(),
            patched: 0,
            with_preceding: 0,
            trapped: BTreeMap::new(),
            calls: plan.sites.iter().filter_map(|site| site.number).collect(),
            at_run_time: plan.sites.iter().filter(|site| site.number.is_none()).count(),
        };
        for site in &plan.sites {
            match &site.verdict {
                Verdict::Patched(window) => {
                    summary.patched += 1;
                    summary.with_preceding += usize::from(!window.before.is_empty());
                }
                Verdict::Trapped(trap) => {
                    let first =
                        || Place { address: site.address, function: plan.program.function_at(site.address) };
                    summary.trapped.entry(*trap).or_insert_with(|| (0, first())).0 += 1;
                }
            }
        }
        summary
    }

    /// Returns how many sites stay as they are.
    #[must_use]
    pub fn trapped_sites(&self) -> usize {
        self.sites - self.patched
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_position_independent { "static, position-independent" } else { "static" };
        writeln!(f, "{:LABEL$}Linux program, {}, {kind}", "program", self.origin)?;
        writeln!(
            f,
            "{:LABEL$}{} system call sites: {} patched ({} with preceding instructions), {} trapped",
            "sites",
            self.sites,
            self.patched,
            self.with_preceding,
            self.trapped_sites()
        )?;
        for (trap, (count, first)) in &self.trapped {
            writeln!(f, "{:LABEL$}{count}: {trap}; the first at {first}", "trapped")?;
        }
        write!(f, "{:LABEL$}{} by constant number", "calls", self.calls.len())?;
        match self.at_run_time {
            0 => {}
            1 => f.write_str(", one site has its number at run time")?,
            count => write!(f, ", {count} sites have their numbers at run time")?,
        }
        let mut column = LINE;
        for name in self.calls.iter().map(|number| name(*number)) {
            if column + name.len() >= LINE {
                write!(f, "\n{:LABEL$}", "")?;
                column = 0;
            }
            write!(f, "{name} ")?;
            column += name.len() + 1;
        }
        Ok(())
    }
}

fn name(number: u32) -> String {
    let call = usize::try_from(number).ok().and_then(Sysno::new);
    call.map_or_else(|| format!("{number:#x}?"), |call| call.name().to_owned())
}
