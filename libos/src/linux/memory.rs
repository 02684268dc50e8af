//! The memory of a program: its segments, its break, what it maps, and the stack it starts on.
//!
//! One table knows all of it, with the rights on each page. It is what an address that the program hands in is checked
//! against: nothing else changes what is mapped there, so what the table says is so. Memory is there when it is mapped,
//! not when it is first touched; a mapping without rights takes none until it is given some. No page becomes executable
//! that was not when the program was linked.

mod regions;

use super::errno::{Errno, Outcome};
use super::gate;
use super::user::UserSlice;
use abi::address::page_align_up;
use abi::linux::ProgramTable;
use abi::{Access, PAGE_SIZE, VirtAddr};
use regions::{Backing, Region, Regions};
use services::machine;
use services::memory::Area;
use services::memory::ranges::Range;
use spin::Mutex;

const PAGE: u64 = PAGE_SIZE as u64;
/// Addresses that a program may map memory at.
const ROOM: u64 = 1 << 40;
/// Of these, what its break may grow over.
const BREAK_ROOM: u64 = 1 << 34;
/// Bytes of the stack that it starts on.
pub(super) const STACK_BYTES: u64 = 1 << 20;

/// `PROT_*`.
const PROTECTION_BITS: u64 = 7;
/// `MAP_*`.
const FIXED: u64 = 0x10;
const ANONYMOUS: u64 = 0x20;
const FIXED_NOREPLACE: u64 = 0x10_0000;
/// `MREMAP_*`.
const MAY_MOVE: u64 = 1;
/// `MADV_*`.
const DONT_NEED: u64 = 4;
const FREE: u64 = 8;

static MEMORY: Mutex<Option<Memory>> = Mutex::new(None);

struct Memory {
    regions: Regions,
    /// Keeps the addresses from others.
    room: Range,
    break_end: u64,
}

/// Takes over the memory of the program in `table`, maps its first stack and returns the stack's upper end.
pub(super) fn begin(table: &ProgramTable) -> Result<u64, Errno> {
    let room =
        Range::reserve(Area::Anonymous, ROOM as usize, PAGE_SIZE, "program").map_err(|_| Errno::NoMemory)?;
    let break_end = room.start().0;
    let mut memory = Memory { regions: Regions::new(), room, break_end };
    let (segments, count) = (table.segments, table.segment_count as usize);
    for segment in segments.iter().take(count) {
        let access = Access::from_bits_truncate(segment.access);
        let (start, end) = (segment.start, segment.start + segment.length);
        memory.regions.insert(start, Region { end, access, backing: Backing::Image });
    }
    let stack = memory.map(STACK_BYTES, Access::READ_WRITE)?;
    *MEMORY.lock() = Some(memory);
    Ok(stack + STACK_BYTES)
}

/// Checks that the program may use `length` bytes at `start` so.
pub(super) fn check(start: u64, length: u64, wanted: Access) -> Result<UserSlice, Errno> {
    let slice = UserSlice::of_checked(start as usize, length as usize);
    if length == 0 {
        return Ok(slice);
    }
    let end = start.checked_add(length).ok_or(Errno::BadAddress)?;
    let is_fit = with(|memory| memory.regions.cover(start, end, |region| region.access.contains(wanted)));
    if is_fit { Ok(slice) } else { Err(Errno::BadAddress) }
}

/// `brk`: moves the end of the program's data, and returns where it is; where it cannot be moved, where it was.
#[expect(clippy::unnecessary_wraps, reason = "calls return an outcome")]
pub(super) fn set_break(wanted: u64) -> Outcome {
    Ok(with(|memory| {
        let start = memory.room.start().0;
        if (start..start + BREAK_ROOM).contains(&wanted) && memory.move_break(wanted).is_ok() {
            memory.break_end = wanted;
        }
        memory.break_end
    }))
}

/// `mmap`.
pub(super) fn map([hint, length, protection, flags, ..]: [u64; 6]) -> Outcome {
    let access = access(protection)?;
    let length = page_align_up(length).filter(|length| *length > 0).ok_or(Errno::Invalid)?;
    if flags & ANONYMOUS == 0 {
        return Err(Errno::NoDevice);
    }
    if access.contains(Access::EXECUTE) {
        return Err(Errno::NoAccess);
    }
    with(|memory| match flags & (FIXED | FIXED_NOREPLACE) {
        0 => memory.map(length, access),
        kind => memory.map_at(hint, length, access, kind & FIXED_NOREPLACE == 0),
    })
}

/// `munmap`.
pub(super) fn unmap(start: u64, length: u64) -> Outcome {
    let end = end_of(start, length)?;
    with(|memory| memory.unmap(start, end))
}

/// `mprotect`.
pub(super) fn protect(start: u64, length: u64, protection: u64) -> Outcome {
    let access = access(protection)?;
    if length == 0 {
        return Ok(0);
    }
    let end = end_of(start, length)?;
    with(|memory| memory.protect(start, end, access))
}

/// `mremap`.
pub(super) fn remap([start, old, new, flags, ..]: [u64; 6]) -> Outcome {
    let old_end = end_of(start, old)?;
    let new = page_align_up(new).filter(|length| *length > 0).ok_or(Errno::Invalid)?;
    let old = old_end - start;
    if flags & !MAY_MOVE != 0 {
        return Err(Errno::Invalid);
    }
    if new <= old {
        if new < old {
            unmap(start + new, old - new)?;
        }
        return Ok(start);
    }
    let access = with(|memory| memory.regions.rights(start, old_end)).ok_or(Errno::BadAddress)?;
    if access.contains(Access::EXECUTE) || flags & MAY_MOVE == 0 {
        return Err(Errno::NoMemory);
    }
    let moved = with(|memory| memory.map(new, Access::READ_WRITE))?;
    if access.contains(Access::READ) {
        copy(start, moved, old)?;
    }
    unmap(start, old)?;
    protect(moved, new, u64::from(access.bits()))?;
    Ok(moved)
}

/// `madvise`: what is not needed any more is zero when it is looked at again.
pub(super) fn advise(start: u64, length: u64, advice: u64) -> Outcome {
    if !matches!(advice, DONT_NEED | FREE) || length == 0 {
        return Ok(0);
    }
    let end = end_of(start, length)?;
    let range = check(start, end - start, Access::WRITE).map_err(|_| Errno::NoMemory)?;
    gate::clear(&range);
    Ok(0)
}

fn with<R>(act: impl FnOnce(&mut Memory) -> R) -> R {
    act(MEMORY.lock().as_mut().expect("a program runs only once its memory is known"))
}

fn access(protection: u64) -> Result<Access, Errno> {
    if protection & !PROTECTION_BITS != 0 {
        return Err(Errno::Invalid);
    }
    let mut access = Access::from_bits_truncate(protection as u32);
    if access.is_writable_and_executable() {
        return Err(Errno::NoAccess);
    }
    // On this CPU whatever may be used may be read.
    if !access.is_empty() {
        access |= Access::READ;
    }
    Ok(access)
}

fn end_of(start: u64, length: u64) -> Result<u64, Errno> {
    let length = page_align_up(length).filter(|length| *length > 0).ok_or(Errno::Invalid)?;
    if !start.is_multiple_of(PAGE) {
        return Err(Errno::Invalid);
    }
    start.checked_add(length).ok_or(Errno::Invalid)
}

fn copy(from: u64, to: u64, length: u64) -> Result<(), Errno> {
    let mut piece = [0; 1024];
    for offset in (0..length).step_by(piece.len()) {
        gate::copy_from(&check(from + offset, piece.len() as u64, Access::READ)?, 0, &mut piece);
        gate::copy_to(&check(to + offset, piece.len() as u64, Access::WRITE)?, 0, &piece);
    }
    Ok(())
}

impl Memory {
    /// Maps memory where there is room.
    fn map(&mut self, length: u64, access: Access) -> Outcome {
        let (from, to) = (self.room.start().0 + BREAK_ROOM, self.room.start().0 + ROOM);
        let start = self.regions.find_gap(from, to, length).ok_or(Errno::NoMemory)?;
        self.back(start, start + length, access)?;
        Ok(start)
    }

    /// Maps memory at this address, in place of what is there if it may be replaced.
    fn map_at(&mut self, start: u64, length: u64, access: Access, may_replace: bool) -> Outcome {
        let end = end_of(start, length)?;
        let (from, to) = (self.room.start().0, self.room.start().0 + ROOM);
        if start < from || end > to {
            return Err(Errno::NoMemory);
        }
        if self.regions.touch(start, end) {
            if !may_replace {
                return Err(Errno::Exists);
            }
            self.unmap(start, end)?;
        }
        self.back(start, end, access)?;
        Ok(start)
    }

    fn back(&mut self, start: u64, end: u64, access: Access) -> Result<(), Errno> {
        let backing = if access.is_empty() { Backing::Nothing } else { Backing::Memory };
        if backing == Backing::Memory {
            let mapped = machine::current().map(VirtAddr(start), (end - start) as usize, access);
            mapped.map_err(|_| Errno::NoMemory)?;
        }
        self.regions.insert(start, Region { end, access, backing });
        Ok(())
    }

    fn unmap(&mut self, start: u64, end: u64) -> Outcome {
        for (start, region) in self.regions.take(start, end) {
            let length = (region.end - start) as usize;
            match region.backing {
                Backing::Nothing => {}
                Backing::Memory => {
                    machine::current().unmap(VirtAddr(start), length).map_err(|_| Errno::NoMemory)?;
                }
                Backing::Image => {
                    let access = Access::empty();
                    machine::current()
                        .protect(VirtAddr(start), length, access)
                        .map_err(|_| Errno::Invalid)?;
                    self.regions.insert(start, Region { access, ..region });
                }
            }
        }
        Ok(0)
    }

    fn protect(&mut self, start: u64, end: u64, access: Access) -> Outcome {
        if !self.regions.cover(start, end, |_| true) {
            return Err(Errno::NoMemory);
        }
        let may = |region: &Region| !access.contains(Access::EXECUTE) || region.access == access;
        if !self.regions.cover(start, end, may) {
            return Err(Errno::NoAccess);
        }
        for (start, region) in self.regions.take(start, end) {
            let (address, length) = (VirtAddr(start), (region.end - start) as usize);
            let (outcome, backing) = match region.backing {
                _ if region.access == access => (Ok(()), region.backing),
                Backing::Nothing => (machine::current().map(address, length, access), Backing::Memory),
                backing => (machine::current().protect(address, length, access), backing),
            };
            let changed = if outcome.is_ok() { Region { access, backing, ..region } } else { region };
            self.regions.insert(start, changed);
            outcome.map_err(|_| Errno::NoMemory)?;
        }
        Ok(0)
    }

    fn move_break(&mut self, wanted: u64) -> Result<(), Errno> {
        let old = page_align_up(self.break_end).ok_or(Errno::NoMemory)?;
        let new = page_align_up(wanted).ok_or(Errno::NoMemory)?;
        if new > old {
            self.back(old, new, Access::READ_WRITE)
        } else if new < old {
            self.unmap(new, old).map(|_| ())
        } else {
            Ok(())
        }
    }
}
