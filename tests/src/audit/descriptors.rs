//! The rules for the ways into ring 0: task state and interrupt gates, which lie in memory, and the SYSCALL entry.
//!
//! A zero I/O map base would let ring 3 use ports, a gate of privilege level 3 would let it raise any interrupt, and
//! stacks that touch would let one overflow into the other.

use abi::{PAGE_SIZE, VirtAddr};

use super::snapshot::Snapshot;
use super::violation::{Rule, Violation};
use super::walk::Walk;

const PAGE: u64 = PAGE_SIZE as u64;
/// Bytes of a task state (SDM 3A, figure 8-11).
const TASK_BYTES: usize = 104;
/// Offsets in it: the stack of ring 0, the first of seven interrupt stacks, the base of the I/O map.
const RING_0_STACK: usize = 4;
pub(super) const INTERRUPT_STACKS: usize = 36;
const INTERRUPT_STACK_COUNT: usize = 7;
pub(super) const IO_MAP_BASE: usize = 102;
/// Bytes of an interrupt gate (SDM 3A, figure 6-8).
pub(super) const GATE_BYTES: usize = 16;
/// Type of a gate that turns interrupts off.
const INTERRUPT_GATE: u8 = 0xe;
/// Pages of a nucleus stack (the nucleus's `layout::STACK_SIZE`): a longer run means that a guard is missing.
const STACK_PAGES: u64 = 4;

/// Judges task state and interrupt gates.
pub(super) fn violations(snapshot: &Snapshot, walk: &Walk) -> Vec<Violation> {
    let table = snapshot.registers.task;
    let Some(task) = walk.read(&snapshot.ram, table.base, TASK_BYTES).and_then(|bytes| Task::parse(&bytes))
    else {
        return vec![Violation::new(Rule::PortsAreClosed, format!("no task state lies at {}", table.base))];
    };
    let mut found = Vec::new();
    if u32::from(task.io_map_base) <= table.limit {
        let place =
            format!("I/O map at {:#x} of a task state with limit {:#x}", task.io_map_base, table.limit);
        found.push(Violation::new(Rule::PortsAreClosed, place));
    }
    found.extend(stacks(snapshot, walk, &task));
    found.extend(gates(snapshot, walk, &task));
    let entry = snapshot.registers.call_entry;
    if !is_nucleus_text(walk, entry) {
        found.push(Violation::new(
            Rule::CallsEnterTheNucleus,
            format!("SYSCALL leads to {entry}, no nucleus text"),
        ));
    }
    found
}

/// What of a task state matters.
struct Task {
    ring_0_stack: u64,
    interrupt_stacks: [u64; INTERRUPT_STACK_COUNT],
    io_map_base: u16,
}

impl Task {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut interrupt_stacks = [0; INTERRUPT_STACK_COUNT];
        for (index, stack) in interrupt_stacks.iter_mut().enumerate() {
            *stack = quad_word(bytes, INTERRUPT_STACKS + index * size_of::<u64>())?;
        }
        let io_map_base = bytes.get(IO_MAP_BASE..IO_MAP_BASE + size_of::<u16>())?.try_into().ok()?;
        Some(Self {
            ring_0_stack: quad_word(bytes, RING_0_STACK)?,
            interrupt_stacks,
            io_map_base: u16::from_le_bytes(io_map_base),
        })
    }

    /// Returns the tops of the stacks that are named.
    fn stacks(&self) -> impl Iterator<Item = u64> {
        let all = self.interrupt_stacks.into_iter().chain([self.ring_0_stack]);
        all.filter(|top| *top != 0)
    }
}

/// Judges the stacks that the task state names, and the one in use if it is the nucleus's.
fn stacks(snapshot: &Snapshot, walk: &Walk, task: &Task) -> Vec<Violation> {
    let named = task.stacks().map(|top| (top.wrapping_sub(1), Some(top)));
    let running = Some(snapshot.registers.rsp.0).filter(|rsp| rsp >> 63 == 1);
    let all = named.chain(running.map(|rsp| (rsp, None)));
    let complaints = all.filter_map(|(address, top)| Some((address, stack_complaint(walk, address, top)?)));
    complaints
        .map(|(address, text)| {
            Violation::new(Rule::StacksHaveGuards, format!("the nucleus's stack at {address:#x} {text}"))
        })
        .collect()
}

/// Judges the stack that holds `address`; `top` is where it ends, if that is known.
fn stack_complaint(walk: &Walk, address: u64, top: Option<u64>) -> Option<&'static str> {
    let page = address & !(PAGE - 1);
    let is_mapped = |page: &u64| walk.find(VirtAddr(*page)).is_some();
    let Some(rights) = walk.find(VirtAddr(page)).map(|mapping| mapping.rights) else {
        return Some("is not mapped");
    };
    if !rights.writable || rights.executable || rights.user {
        return Some("is not the nucleus's own data");
    }
    let below =
        (0..=STACK_PAGES).map(|count| page.wrapping_sub(count * PAGE)).take_while(is_mapped).count() as u64;
    let above =
        (0..=STACK_PAGES).map(|count| page.wrapping_add(count * PAGE)).take_while(is_mapped).count() as u64;
    // Both runs count the page they start from.
    if below + above - 1 > STACK_PAGES {
        return Some("has no guard");
    }
    let is_cut = top.is_some_and(|top| top != page + above * PAGE);
    is_cut.then_some("has no guard between it and the next")
}

fn gates(snapshot: &Snapshot, walk: &Walk, task: &Task) -> Vec<Violation> {
    let table = snapshot.registers.interrupts;
    let Some(bytes) = walk.read(&snapshot.ram, table.base, table.limit as usize + 1) else {
        return vec![Violation::new(Rule::GatesAreSafe, format!("no interrupt gates lie at {}", table.base))];
    };
    let gates = bytes.chunks_exact(GATE_BYTES).enumerate();
    let complaints = gates.filter_map(|(vector, gate)| Some((vector, gate_complaint(walk, task, gate)?)));
    complaints
        .map(|(vector, text)| Violation::new(Rule::GatesAreSafe, format!("vector {vector} {text}")))
        .collect()
}

fn gate_complaint(walk: &Walk, task: &Task, gate: &[u8]) -> Option<&'static str> {
    let (low, high) = (quad_word(gate, 0)?, quad_word(gate, 8)?);
    let (stack, attributes) = (gate[4] & 7, gate[5]);
    if attributes >> 7 == 0 {
        return None;
    }
    let handler = VirtAddr(low & 0xffff | low >> 48 << 16 | high << 32);
    let has_stack = usize::from(stack).checked_sub(1).is_some_and(|index| task.interrupt_stacks[index] != 0);
    [
        (attributes & 0xf != INTERRUPT_GATE, "leaves interrupts on"),
        (attributes >> 5 & 3 != 0, "may be raised by ring 3"),
        (!has_stack, "has no stack of its own"),
        (!is_nucleus_text(walk, handler), "does not lead to the nucleus's text"),
    ]
    .into_iter()
    .find_map(|(is_broken, text)| is_broken.then_some(text))
}

fn is_nucleus_text(walk: &Walk, address: VirtAddr) -> bool {
    walk.find(address).is_some_and(|page| page.rights.executable && !page.rights.user)
}

fn quad_word(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..offset + size_of::<u64>())?.try_into().ok().map(u64::from_le_bytes)
}
