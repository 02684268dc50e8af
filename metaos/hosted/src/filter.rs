//! The filter of system calls, which the linker writes into the guest, and its installation.

use crate::linux::{self, Errno};
use abi::hosted::{Filter, Instruction, MAX_FILTER};
use abi::note::{NAME, TYPE_FILTER};
use core::ptr;

/// A note as it stands in the file: the name's size counts its zero, name and descriptor are padded to four bytes.
#[repr(C)]
struct Note {
    name_size: u32,
    descriptor_size: u32,
    kind: u32,
    name: [u8; 8],
    filter: Filter,
}

/// The room for the filter.
#[used]
#[unsafe(link_section = ".note.metaos.filter")]
static NOTE: Note = Note {
    name_size: 7,
    descriptor_size: size_of::<Filter>() as u32,
    kind: TYPE_FILTER,
    name: *NAME,
    filter: Filter { version: abi::VERSION, length: 0, instructions: [UNLINKED; MAX_FILTER] },
};

const UNLINKED: Instruction = Instruction { code: 0, jump_true: 0, jump_false: 0, operand: 0 };

/// Why the process is not confined.
pub(crate) enum FilterError {
    /// The linker has not written the filter.
    Unlinked,
    /// The host refuses it.
    Refused(Errno),
}

/// Takes from the process what no guest needs. From here on, any other call ends the guest with a report.
pub(crate) fn install() -> Result<(), FilterError> {
    // SAFETY: the static is there; the linker has changed it in the file, which the compiler must not know.
    let length = unsafe { ptr::read_volatile(&raw const NOTE.filter.length) };
    if length == 0 {
        return Err(FilterError::Unlinked);
    }
    // The kernel alone reads the instructions.
    let instructions = &NOTE.filter.instructions[..(length as usize).min(MAX_FILTER)];
    let outcome = linux::renounce_privileges().and_then(|()| linux::install_filter(instructions));
    outcome.map_err(FilterError::Refused)
}
