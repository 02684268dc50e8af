//! Memory at the guest's addresses, by the same rules as the nucleus's: whole pages, nothing writable and executable, never
//! more than the guest may have.

use crate::linux::{self, Errno, map};
use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END, HEAP, INFO_PAGE, LINUX_PROGRAM, USER_END};
use abi::{Access, Error, PAGE_SIZE, VirtAddr};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PAGE: u64 = PAGE_SIZE as u64;

/// Bytes that the guest may still map.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Says how much memory the guest may have, in bytes.
pub(crate) fn begin(bytes: u64) {
    LEFT.store(bytes, Relaxed);
}

/// Maps zeroed memory.
pub(crate) fn map(start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
    let bytes = check(start, length)?;
    let protection = protection(access)?;
    let left = LEFT.load(Relaxed).checked_sub(bytes).ok_or(Error::OutOfMemory)?;
    linux::map_fresh(start.0, bytes, protection).map_err(|error| match error {
        Errno::EXISTS => Error::AlreadyMapped,
        _ => Error::OutOfMemory,
    })?;
    LEFT.store(left, Relaxed);
    Ok(())
}

/// Changes the rights on memory.
pub(crate) fn protect(start: VirtAddr, length: usize, access: Access) -> Result<(), Error> {
    let bytes = check(start, length).or_else(|_| check_program(start, length))?;
    // One that is not mapped and one for which the host has no structures left look alike.
    linux::protect(start.0, bytes, protection(access)?).map_err(|error| match error {
        Errno::NO_MEMORY => Error::NotMapped,
        _ => Error::BadAccess,
    })
}

/// Unmaps memory.
pub(crate) fn unmap(start: VirtAddr, length: usize) -> Result<(), Error> {
    let bytes = check(start, length)?;
    // Linux unmaps nothing as gladly; the guest would be credited with memory that it has not given back.
    if !linux::is_mapped(start.0, bytes) {
        return Err(Error::NotMapped);
    }
    linux::unmap(start.0, bytes).map_err(|_| Error::OutOfMemory)?;
    LEFT.fetch_add(bytes, Relaxed);
    Ok(())
}

/// Returns the length, if the range is one of whole pages where a guest may map something.
fn check(start: VirtAddr, length: usize) -> Result<u64, Error> {
    let length = length as u64;
    if !start.0.is_multiple_of(PAGE) || !length.is_multiple_of(PAGE) {
        return Err(Error::Misaligned);
    }
    let end = start.0.checked_add(length).filter(|end| *end != start.0).ok_or(Error::BadLength)?;
    let lies_in = |from: VirtAddr, to: VirtAddr| from.0 <= start.0 && end <= to.0;
    if lies_in(GUEST_IMAGE_END, INFO_PAGE) || lies_in(HEAP, USER_END) {
        Ok(length)
    } else {
        Err(Error::BadAddress)
    }
}

/// Returns the length, if the range is one of whole pages where a Linux program may lie, which takes the right to write
/// from its own constants.
fn check_program(start: VirtAddr, length: usize) -> Result<u64, Error> {
    let end = start.0.checked_add(length as u64).filter(|end| *end != start.0).ok_or(Error::BadLength)?;
    if !start.0.is_multiple_of(PAGE) || !end.is_multiple_of(PAGE) {
        return Err(Error::Misaligned);
    }
    let lies_there = LINUX_PROGRAM.0 <= start.0 && end <= GUEST_IMAGE.0;
    if lies_there { Ok(length as u64) } else { Err(Error::BadAddress) }
}

/// Returns the kernel's bits for `access`.
fn protection(access: Access) -> Result<u64, Error> {
    if access.is_writable_and_executable() {
        return Err(Error::WritableAndExecutable);
    }
    if !access.is_empty() && !access.contains(Access::READ) {
        return Err(Error::BadAccess);
    }
    let rights = [(Access::READ, map::READ), (Access::WRITE, map::WRITE), (Access::EXECUTE, map::EXECUTE)];
    Ok(rights.iter().filter(|(right, _)| access.contains(*right)).fold(0, |bits, (_, bit)| bits | bit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_whole_pages_where_a_guest_may_map() {
        assert_eq!(check(HEAP, PAGE_SIZE), Ok(PAGE));
        assert_eq!(check(VirtAddr(HEAP.0 + 1), PAGE_SIZE), Err(Error::Misaligned));
        assert_eq!(check(HEAP, 0), Err(Error::BadLength));
        assert_eq!(check(VirtAddr(USER_END.0), PAGE_SIZE), Err(Error::BadAddress));
        assert_eq!(check(INFO_PAGE, PAGE_SIZE), Err(Error::BadAddress));
        assert_eq!(check(VirtAddr(0x6000_0000_0000), PAGE_SIZE), Err(Error::BadAddress));
        assert_eq!(check(VirtAddr(u64::MAX - PAGE + 1), PAGE_SIZE), Err(Error::BadLength));
    }

    #[test]
    fn no_page_is_writable_and_executable() {
        assert_eq!(protection(Access::all()), Err(Error::WritableAndExecutable));
        assert_eq!(protection(Access::READ_EXECUTE), Ok(map::READ | map::EXECUTE));
        assert_eq!(protection(Access::WRITE), Err(Error::BadAccess));
        assert_eq!(protection(Access::empty()), Ok(0));
    }
}
