//! Violations to be planted in a snapshot, one for each thing that the rules say: a rule that overlooks its own is
//! no rule.
//!
//! Each is a change to the copy of a machine's memory or registers, so it goes the same way as a real one: through
//! the walk, then the rules. They are committed on a made-up machine and on a real one.

use abi::layout::{INFO_PAGE, LOWEST, MAIN_STACK, NUCLEUS_END, USER_END};
use abi::{PAGE_SIZE, PhysAddr, VirtAddr};

use super::descriptors::{GATE_BYTES, INTERRUPT_STACKS, IO_MAP_BASE};
use super::ram::PhysicalMemory;
use super::registers::{self, Promise};
use super::snapshot::Snapshot;
use super::violation::Rule::{self, *};
use super::walk::{ADDRESS, Mapping, NO_EXECUTE, PRESENT, USER, WRITABLE, Walk, walk};

const PAGE: u64 = PAGE_SIZE as u64;
/// Where nothing is mapped for ring 3.
const FREE: VirtAddr = VirtAddr(0x7800_0000_0000);
/// Where nothing is mapped in the upper half: just above the window.
const UPPER_FREE: VirtAddr = VirtAddr(NUCLEUS_END.0 + PAGE);
/// Memory below 64 KiB, which the nucleus leaves alone: room for planted tables and pages.
const SPARE: u64 = 0x2000;
const SPARE_PAGE: u64 = 0xf000;
/// Physical page of the local APIC.
const LOCAL_APIC: u64 = 0xfee0_0000;
/// Vector of a page fault, in whose gate things are planted.
const VECTOR: u64 = 14;

/// A violation that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Crime {
    /// What it is.
    pub name: &'static str,
    /// The rules it breaks.
    pub breaks: &'static [Rule],
    /// Commits it.
    pub commit: fn(&mut Snapshot),
}

const fn crime(name: &'static str, breaks: &'static [Rule], commit: fn(&mut Snapshot)) -> Crime {
    Crime { name, breaks, commit }
}

/// The crimes. Rules are in the order of [`Rule`].
pub const CRIMES: [Crime; 33] = [
    crime("a stack that may be executed", &[NothingIsWritableAndExecutable], |machine| {
        change(machine, MAIN_STACK, |entry| entry & !NO_EXECUTE);
    }),
    crime("text that may be written", &[NothingIsWritableAndExecutable], |machine| {
        change(machine, guest_text(machine).start, |entry| entry | WRITABLE);
    }),
    crime("nucleus text that may be written", &[NothingIsWritableAndExecutable], |machine| {
        change(machine, nucleus_text(machine).start, |entry| entry | WRITABLE);
    }),
    crime("nucleus data that may be executed", &[NothingIsWritableAndExecutable], |machine| {
        change(machine, nucleus_data(machine).start, |entry| entry & !NO_EXECUTE);
    }),
    crime("a page table that ring 3 may write", &[TablesAreOutOfReach, NothingElseIsShared], |machine| {
        let root = machine.registers.page_table_root();
        map(machine, FREE, root.0 | PRESENT | WRITABLE | USER | NO_EXECUTE);
    }),
    crime("a page table that ring 3 may read", &[TablesAreOutOfReach, NothingElseIsShared], |machine| {
        let root = machine.registers.page_table_root();
        map(machine, FREE, root.0 | PRESENT | USER | NO_EXECUTE);
    }),
    crime("a page table in the lower half", &[TablesAreOutOfReach, LowerHalfIsForTheGuest], |machine| {
        let root = machine.registers.page_table_root();
        map(machine, FREE, root.0 | PRESENT | WRITABLE | NO_EXECUTE);
    }),
    crime(
        "a page table that may be executed",
        &[NothingIsWritableAndExecutable, TablesAreNotExecutable],
        |machine| {
            let root = machine.registers.page_table_root();
            let view = find(machine, |page| page.frame == root);
            change(machine, view.start, |entry| entry & !NO_EXECUTE);
        },
    ),
    crime("a second view of text that ring 3 may write", &[TextHasNoWritableAlias], |machine| {
        let frame = guest_text(machine).frame;
        map(machine, FREE, frame.0 | PRESENT | WRITABLE | USER | NO_EXECUTE);
    }),
    crime(
        "the temporary window left open on text",
        &[TextHasNoWritableAlias, NothingElseIsShared],
        |machine| {
            let frame = guest_text(machine).frame;
            map(machine, NUCLEUS_END, frame.0 | PRESENT | WRITABLE | NO_EXECUTE);
        },
    ),
    crime("the temporary window left open on nucleus text", &[TextHasNoWritableAlias], |machine| {
        let frame = nucleus_text(machine).frame;
        map(machine, NUCLEUS_END, frame.0 | PRESENT | WRITABLE | NO_EXECUTE);
    }),
    crime("a second view of data that may be executed", &[TextHasNoWritableAlias], |machine| {
        let frame = page_at(machine, MAIN_STACK).frame;
        map(machine, FREE, frame.0 | PRESENT | USER);
    }),
    crime(
        "a second view of read-only data that may be written",
        &[ReadOnlyDataHasNoWritableAlias],
        |machine| {
            let frame = guest_constants(machine).frame;
            map(machine, FREE, frame.0 | PRESENT | WRITABLE | USER | NO_EXECUTE);
        },
    ),
    crime(
        "a second view of the information page that ring 3 may write",
        &[ReadOnlyDataHasNoWritableAlias, NothingElseIsShared],
        |machine| {
            let frame = page_at(machine, INFO_PAGE).frame;
            map(machine, FREE, frame.0 | PRESENT | WRITABLE | USER | NO_EXECUTE);
        },
    ),
    crime("nucleus constants that may be written", &[ReadOnlyDataHasNoWritableAlias], |machine| {
        let frame =
            find(machine, |page| page.is_upper() && !page.rights.writable && !page.rights.executable).frame;
        map(machine, UPPER_FREE, frame.0 | PRESENT | WRITABLE | NO_EXECUTE);
    }),
    crime("the user bit in the upper half, without effect", &[UpperHalfIsForTheNucleus], |machine| {
        change(machine, nucleus_data(machine).start, |entry| entry | USER);
    }),
    crime("a page of the nucleus that ring 3 may use", &[UpperHalfIsForTheNucleus], |machine| {
        let page = nucleus_data(machine).start;
        for place in path(machine, page) {
            let entry = entry_at(machine, place);
            machine.ram.write(place, &(entry | USER).to_le_bytes());
        }
    }),
    crime("a page of the nucleus in the lower half", &[LowerHalfIsForTheGuest], |machine| {
        map(machine, FREE, SPARE_PAGE | PRESENT | WRITABLE | NO_EXECUTE);
    }),
    crime("guest memory that the nucleus keeps mapped", &[NothingElseIsShared], |machine| {
        let frame = page_at(machine, MAIN_STACK).frame;
        map(machine, UPPER_FREE, frame.0 | PRESENT | WRITABLE | NO_EXECUTE);
    }),
    crime("the interrupt controller", &[NothingElseIsShared, ControllersAreOutOfReach], |machine| {
        map(machine, FREE, LOCAL_APIC | PRESENT | WRITABLE | USER | NO_EXECUTE);
    }),
    crime("the page of the null pointer", &[NothingIsMappedAtNull], |machine| {
        plant_data(machine, VirtAddr(0));
    }),
    crime("the page below 64 KiB", &[NothingIsMappedAtNull], |machine| {
        plant_data(machine, VirtAddr(LOWEST.0 - PAGE));
    }),
    crime("the last page of the lower half", &[EdgeIsNotMapped], |machine| plant_data(machine, USER_END)),
    crime("a main stack without guard", &[StacksHaveGuards], |machine| {
        plant_data(machine, VirtAddr(MAIN_STACK.0 - PAGE));
    }),
    crime("a nucleus stack without guard", &[StacksHaveGuards], |machine| {
        let mut page = first_interrupt_stack(machine) - PAGE;
        while pages(machine).find(VirtAddr(page)).is_some() {
            page -= PAGE;
        }
        map(machine, VirtAddr(page), SPARE_PAGE | PRESENT | WRITABLE | NO_EXECUTE);
    }),
    crime("an I/O map that allows all", &[PortsAreClosed], |machine| {
        let place = machine.registers.task.base.0 + IO_MAP_BASE as u64;
        write(machine, VirtAddr(place), &[0, 0]);
    }),
    crime("a task state that is not there", &[PortsAreClosed], |machine| machine.registers.task.base = FREE),
    crime("a gate that ring 3 may use", &[GatesAreSafe], |machine| {
        change_gate(machine, 5, |byte| byte | 0x60);
    }),
    crime("a gate without a stack", &[GatesAreSafe], |machine| change_gate(machine, 4, |_| 0)),
    crime("a gate that leaves interrupts on", &[GatesAreSafe], |machine| {
        change_gate(machine, 5, |byte| byte | 1);
    }),
    crime("a gate that leads elsewhere", &[GatesAreSafe], |machine| change_gate(machine, 11, |_| 0)),
    crime("a system call that enters guest text", &[CallsEnterTheNucleus], |machine| {
        machine.registers.call_entry = guest_text(machine).start;
    }),
    crime(
        "each control bit changed",
        &[ControlBitsAreSet, PortsAreClosed, CallsEnterTheNucleus],
        |machine| {
            let flip = |value: &mut u64, promises: &[Promise]| {
                promises.iter().for_each(|promise| *value ^= 1 << promise.bit);
            };
            flip(&mut machine.registers.cr0, &registers::CR0);
            flip(&mut machine.registers.cr4, &registers::CR4);
            flip(&mut machine.registers.efer, &registers::EFER);
            flip(&mut machine.registers.rflags, &registers::FLAGS);
            flip(&mut machine.registers.xcr0, &registers::XCR0);
            flip(&mut machine.registers.call_mask, &registers::CALL_MASK);
        },
    ),
];

fn pages(machine: &Snapshot) -> Walk {
    walk(machine.registers.page_table_root(), &machine.ram)
        .expect("a machine that passed its audit can be walked")
}

/// Returns the first page for which `is_wanted` holds.
fn find(machine: &Snapshot, is_wanted: impl Fn(&Mapping) -> bool) -> Mapping {
    let pages = pages(machine).mappings;
    pages.into_iter().find(is_wanted).expect("each machine has text, data and constants of nucleus and guest")
}

fn page_at(machine: &Snapshot, address: VirtAddr) -> Mapping {
    find(machine, |page| page.contains(address))
}

fn guest_text(machine: &Snapshot) -> Mapping {
    find(machine, |page| page.rights.user && page.rights.executable)
}

fn guest_constants(machine: &Snapshot) -> Mapping {
    let is_image = |page: &Mapping| page.start < INFO_PAGE;
    find(machine, |page| is_image(page) && !page.rights.writable && !page.rights.executable)
}

fn nucleus_text(machine: &Snapshot) -> Mapping {
    find(machine, |page| page.is_upper() && page.rights.executable)
}

fn nucleus_data(machine: &Snapshot) -> Mapping {
    find(machine, |page| page.is_upper() && page.rights.writable)
}

fn first_interrupt_stack(machine: &Snapshot) -> u64 {
    let place = VirtAddr(machine.registers.task.base.0 + INTERRUPT_STACKS as u64);
    let bytes =
        pages(machine).read(&machine.ram, place, size_of::<u64>()).expect("the task state lies in memory");
    u64::from_le_bytes(bytes.try_into().expect("that many bytes were asked for"))
}

/// Maps spare memory for ring 3.
fn plant_data(machine: &mut Snapshot, address: VirtAddr) {
    map(machine, address, SPARE_PAGE | PRESENT | WRITABLE | USER | NO_EXECUTE);
}

/// Changes the entry that maps `address`.
fn change(machine: &mut Snapshot, address: VirtAddr, change: impl FnOnce(u64) -> u64) {
    let place = *path(machine, address).last().expect("a path has an entry for each level");
    let entry = entry_at(machine, place);
    machine.ram.write(place, &change(entry).to_le_bytes());
}

/// Writes the entry of the 4 KiB page at `address`, making tables of spare memory as needed.
fn map(machine: &mut Snapshot, address: VirtAddr, entry: u64) {
    let user = if address.0 >> 63 == 0 { USER } else { 0 };
    let mut places = path(machine, address);
    for spare in (SPARE..).step_by(PAGE_SIZE).take(4 - places.len()) {
        let place = *places.last().expect("a path has an entry for each level");
        machine.ram.write(PhysAddr(spare), &[0; PAGE_SIZE]);
        machine.ram.write(place, &(spare | PRESENT | WRITABLE | user).to_le_bytes());
        places = path(machine, address);
    }
    let place = *places.last().expect("a path has an entry for each level");
    machine.ram.write(place, &entry.to_le_bytes());
}

/// Returns the places of the entries that decide about `address`, from the root on, as far as there are tables.
fn path(machine: &Snapshot, address: VirtAddr) -> Vec<PhysAddr> {
    let mut table = machine.registers.page_table_root().0;
    let mut places = Vec::new();
    for shift in [39, 30, 21, 12] {
        let place = PhysAddr(table + (address.0 >> shift & 511) * 8);
        places.push(place);
        let entry = entry_at(machine, place);
        if entry & PRESENT == 0 {
            break;
        }
        table = entry & ADDRESS;
    }
    places
}

fn entry_at(machine: &Snapshot, place: PhysAddr) -> u64 {
    machine.ram.quad_word(place).expect("tables lie in memory")
}

/// Changes one byte of the gate of [`VECTOR`].
fn change_gate(machine: &mut Snapshot, offset: u64, change: impl FnOnce(u8) -> u8) {
    let address = VirtAddr(machine.registers.interrupts.base.0 + VECTOR * GATE_BYTES as u64 + offset);
    let byte = pages(machine).read(&machine.ram, address, 1).expect("the gates lie in memory")[0];
    write(machine, address, &[change(byte)]);
}

/// Writes bytes that lie in one page.
fn write(machine: &mut Snapshot, address: VirtAddr, bytes: &[u8]) {
    let page = page_at(machine, address);
    machine.ram.write(PhysAddr(page.frame.0 + (address.0 - page.start.0)), bytes);
}
