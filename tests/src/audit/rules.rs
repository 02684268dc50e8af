//! The rules that hold for the page tables as a whole: frames and their views.
//!
//! They speak about frames rather than pages, since a right that one view withholds another may grant.

use abi::VirtAddr;
use abi::layout::{BOOT_INFO, BOOT_INFO_SIZE, CPU_BLOCKS, DEVICE_WINDOWS, INFO_PAGE};

use super::frames::Frames;
use super::pages;
use super::violation::{Rule, Violation};
use super::walk::{Mapping, Table};

/// Physical pages of the I/O APIC and the local APIC on every PC (SDM 3A 11.4.1; 82093AA, 3.0).
const CONTROLLERS: [u64; 2] = [0xfec0_0000, 0xfee0_0000];

/// Judges what page tables map. `tables` are the frames that serve as tables.
#[must_use]
pub fn violations(mappings: &[Mapping], tables: &[Table]) -> Vec<Violation> {
    let frames = Frames::new(mappings);
    let mut found = pages::violations(mappings);
    found.extend(tables.iter().flat_map(|table| table_views(&frames, table)));
    found.extend(text_aliases(&frames));
    found.extend(read_only_aliases(&frames));
    found.extend(shared_frames(&frames));
    found.extend(controllers(&frames));
    found
}

fn table_views(frames: &Frames<'_>, table: &Table) -> Vec<Violation> {
    let complain = |rule, view: &Mapping| {
        Violation::new(
            rule,
            format!("the table of level {} for {} is seen at {view}", table.level, table.start),
        )
    };
    let views = frames.views(table.frame.0);
    let reachable = views.iter().filter(|view| view.rights.user || !view.is_upper());
    let executable = views.iter().filter(|view| view.rights.executable);
    reachable
        .map(|view| complain(Rule::TablesAreOutOfReach, view))
        .chain(executable.map(|view| complain(Rule::TablesAreNotExecutable, view)))
        .collect()
}

fn text_aliases(frames: &Frames<'_>) -> Vec<Violation> {
    let pairs = frames.pairs(|view| view.rights.executable, |view| view.rights.writable);
    describe(Rule::TextHasNoWritableAlias, &pairs, "is writable at")
}

/// The nucleus fills pages that ring 3 may only read: that pair is allowed, and no other.
fn read_only_aliases(frames: &Frames<'_>) -> Vec<Violation> {
    let is_read_only = |view: &Mapping| !view.rights.writable && !view.rights.executable;
    let pairs = frames.pairs(is_read_only, |view| view.rights.writable);
    let forbidden: Vec<_> =
        pairs.into_iter().filter(|(left, right)| !left.rights.user || right.rights.user).collect();
    describe(Rule::ReadOnlyDataHasNoWritableAlias, &forbidden, "is writable at")
}

fn shared_frames(frames: &Frames<'_>) -> Vec<Violation> {
    let is_private = |view: &Mapping| view.rights.user && !is_shared_page(view.start);
    let pairs = frames.pairs(is_private, |view| !view.rights.user);
    describe(Rule::NothingElseIsShared, &pairs, "is the nucleus's at")
}

/// Tells whether `address` lies in one of the pages that the nucleus fills for ring 3.
fn is_shared_page(address: VirtAddr) -> bool {
    let boot_info_end = BOOT_INFO.0 + BOOT_INFO_SIZE as u64;
    address == INFO_PAGE
        || (BOOT_INFO.0..boot_info_end).contains(&address.0)
        || (CPU_BLOCKS.0..DEVICE_WINDOWS.0).contains(&address.0)
}

fn controllers(frames: &Frames<'_>) -> Vec<Violation> {
    let views = CONTROLLERS.iter().flat_map(|frame| frames.views(*frame));
    let reachable = views.filter(|view| view.rights.user);
    reachable.map(|view| Violation::new(Rule::ControllersAreOutOfReach, view.to_string())).collect()
}

fn describe(rule: Rule, pairs: &[(&Mapping, &Mapping)], verb: &str) -> Vec<Violation> {
    pairs.iter().map(|(left, right)| Violation::new(rule, format!("{left} {verb} {right}"))).collect()
}
