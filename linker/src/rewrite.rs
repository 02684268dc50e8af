//! Turns the system calls of a Linux program into jumps.
//!
//! A static program, stripped or not, calls Linux by the instruction `syscall`, which costs a trap. Each is replaced,
//! together with whole instructions around it, by a jump to a *stub*; the stub hands the call to a dispatcher, runs the
//! instructions that had to make room, and jumps back. Text is patched before it is loaded, so no page is ever writable
//! and executable. A site that cannot be patched keeps its `syscall`, and whoever catches that trap serves it.
//!
//! ```text
//! program ──> unwind, targets ──> sweep ──> window, number ──> stub
//! (parse)     (what may be        (find      (what makes        (bytes at
//!              jumped to)          sites)     room)              given addresses)
//! ```
//!
//! Everything here works on bytes and addresses: where stubs go, and what the dispatcher does, is the caller's affair.

mod number;
mod program;
mod report;
mod stub;
mod sweep;
mod targets;
mod unwind;
mod window;

pub use program::{LinuxProgram, Loaded, Origin};
pub use report::Summary;
pub use window::{Moved, Trap, Window};

use abi::Access;

use crate::error::Refusal;

/// What becomes of each `syscall` of a program.
#[derive(Debug)]
pub struct Plan<'a> {
    program: &'a LinuxProgram<'a>,
    sites: Vec<Site>,
    targets: targets::Targets,
}

/// A `syscall` of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Its address in the file.
    pub address: u64,
    /// The call's number, where it is always the same.
    pub number: Option<u32>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It becomes a jump.
    Patched(Window),
    /// It stays as it is.
    Trapped(Trap),
}

/// Where everything will be at run time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// What is added to the addresses in the file; 0 for a program that has its place.
    pub bias: u64,
    /// Address of the first byte of the stubs, which belong into pages that are readable and executable.
    pub stubs: u64,
}

/// A patched program, at its addresses of run time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patched {
    /// The contents of each executable segment, as long as in the file.
    pub text: Vec<Text>,
    /// Pointers to the dispatcher's entries, and the stubs.
    pub stubs: Vec<u8>,
    /// The patched sites by address, and so are their stubs.
    pub sites: Vec<StubSite>,
}

/// The contents of an executable segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Address of its first byte.
    pub start: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A site and its stub.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StubSite {
    /// Address where the `syscall` stood.
    pub address: u64,
    /// The call's number, where it is always the same.
    pub number: Option<u32>,
    /// Address of the stub.
    pub start: u64,
    /// Where the dispatcher goes back to: what it finds in `rcx`.
    pub back: u64,
    /// End of the stub.
    pub end: u64,
    /// The instructions that run there.
    pub moved: Vec<Entry>,
}

/// An instruction in a stub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it runs.
    pub stub: u64,
    /// Where it stood, which is what a report or a signal handler has to be told.
    pub original: u64,
    /// Its bytes.
    pub length: usize,
}

impl<'a> Plan<'a> {
    /// Finds every `syscall` of `program` and decides what becomes of it.
    #[must_use]
    pub fn of(program: &'a LinuxProgram<'a>) -> Self {
        let (candidates, targets) = sweep::sweep(program);
        let mut free_from = 0;
        let mut sites = Vec::new();
        for candidate in &candidates {
            let verdict = match window::plan(candidate, &targets, program, free_from) {
                Ok(window) => {
                    free_from = window.range.end;
                    Verdict::Patched(window)
                }
                Err(trap) => Verdict::Trapped(trap),
            };
            let number = number::constant(&candidate.before, &candidate.site, &targets);
            sites.push(Site { address: candidate.site.ip(), number, verdict });
        }
        Self { program, sites, targets }
    }

    /// Returns all sites by address.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Tells whether something may jump to `address`, as far as the file shows.
    #[must_use]
    pub fn is_target(&self, address: u64) -> bool {
        self.targets.contains(address)
    }

    /// Returns what a user wants to know of the plan.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }

    /// Writes stubs and patched text for a place in memory.
    ///
    /// `dispatcher` tells the address that a call is to go to, by its number where that is constant, so that a call can
    /// go to its own handler at once. Where it is near, stubs jump there directly; otherwise by a pointer.
    ///
    /// # Errors
    ///
    /// A stub is more than 2 GiB away from the text.
    pub fn emit(
        &self,
        placement: &Placement,
        dispatcher: impl Fn(Option<u32>) -> u64,
    ) -> Result<Patched, Refusal> {
        stub::emit(self, placement, &dispatcher)
    }

    fn executable_bytes(&self, bias: u64) -> Vec<Text> {
        let segments = self.program.segments().filter(|segment| segment.access.contains(Access::EXECUTE));
        segments
            .map(|segment| Text { start: segment.start.wrapping_add(bias), bytes: segment.bytes.to_vec() })
            .collect()
    }
}

impl Patched {
    /// Returns the original address of the instruction at `address`, if that is in a stub.
    ///
    /// What a stub adds of its own belongs to the `syscall` before the call, and to the first instruction behind it
    /// after the call.
    #[must_use]
    pub fn original(&self, address: u64) -> Option<u64> {
        let behind = self.sites.partition_point(|site| site.start <= address);
        let site = self.sites.get(behind.checked_sub(1)?).filter(|site| address < site.end)?;
        let moved =
            site.moved.iter().find(|entry| (entry.stub..entry.stub + entry.length as u64).contains(&address));
        let after = || site.moved.last().filter(|last| last.stub >= site.back);
        Some(match (moved, address < site.back) {
            (Some(entry), _) => entry.original,
            (None, true) => site.address,
            (None, false) => after().map_or(site.address + 2, |last| last.original + last.length as u64),
        })
    }
}

impl Text {
    /// Puts `patch` at `address` if that is here.
    fn overwrite(&mut self, address: u64, patch: &[u8]) {
        let offset = address.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        let place = offset.and_then(|offset| self.bytes.get_mut(offset..offset.checked_add(patch.len())?));
        if let Some(place) = place {
            place.copy_from_slice(patch);
        }
    }
}
