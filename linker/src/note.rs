//! The notes by which nucleus and guest say what they are (`abi::note`).

use core::mem::offset_of;

use abi::note::{GuestNote, NAME, NucleusNote, TYPE_GUEST, TYPE_NUCLEUS, XEN_NAME, XEN_PHYS32_ENTRY};
use object::read::elf::NoteIterator;

use crate::error::{Refusal, Role};
use crate::field::{u32_at, u64_at};
use crate::input::{ENDIAN, Header, Program};

/// Reads and checks the note of a nucleus.
pub(crate) fn nucleus(program: &Program<'_>) -> Result<NucleusNote, Refusal> {
    let description = description(program)?;
    let note = parse_nucleus(description).ok_or_else(cut_off)?;
    for (what, address) in [("PVH entry", note.pvh_entry), ("multiboot2 entry", note.multiboot_entry)] {
        if !program.is_code(address) {
            return Err(Refusal::NotCode { what, address });
        }
    }
    Ok(note)
}

/// Reads and checks the note of a guest.
pub(crate) fn guest(program: &Program<'_>) -> Result<GuestNote, Refusal> {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];

    let description = description(program)?;
    let note = parse_guest(description).ok_or_else(cut_off)?;
    for (what, address) in [("ELF entry", program.entry), ("entry", note.entry), ("gate", note.gate)] {
        if !program.is_code(address) {
            return Err(Refusal::NotCode { what, address });
        }
    }
    match program.bytes_from(note.gate) {
        Some(bytes) if bytes.starts_with(&SYSCALL) => Ok(note),
        _ => Err(Refusal::BadGate(note.gate)),
    }
}

/// Returns the notes in `data`: type and description of those that bear our name.
pub(crate) fn ours(data: &[u8]) -> impl Iterator<Item = Result<(u32, &[u8]), Refusal>> {
    // Alignment 4 is that of our notes (`abi::note`). Foreign ones of alignment 8 (.note.gnu.property) have a
    // 4-byte name and an 8-byte multiple as description, which is the same at either alignment.
    let notes = NoteIterator::<Header>::new(ENDIAN, 4, data).into_iter().flatten();
    notes.filter_map(|note| match note {
        Ok(note) => {
            let is_ours = trim_zeros(note.name_bytes()) == trim_zeros(NAME);
            is_ours.then(|| Ok((note.n_type(ENDIAN).0, note.desc())))
        }
        Err(error) => Some(Err(Refusal::damaged("notes", error))),
    })
}

/// Tells whether one of the notes in `data` is an entry for PVH.
pub(crate) fn has_boot_entry(data: &[u8]) -> bool {
    let notes = NoteIterator::<Header>::new(ENDIAN, 4, data).into_iter().flatten().flatten();
    notes.into_iter().any(|note| {
        trim_zeros(note.name_bytes()) == trim_zeros(XEN_NAME) && note.n_type(ENDIAN).0 == XEN_PHYS32_ENTRY
    })
}

/// Finds the note that fits the program's role and has our version.
fn description<'a>(program: &Program<'a>) -> Result<&'a [u8], Refusal> {
    let (wanted, other) = match program.role {
        Role::Nucleus => (TYPE_NUCLEUS, (TYPE_GUEST, Role::Guest)),
        Role::Guest => (TYPE_GUEST, (TYPE_NUCLEUS, Role::Nucleus)),
    };
    let mut refusal = Refusal::NoNote(program.role);
    for note in program.notes.iter().flat_map(|data| ours(data)) {
        let (kind, description) = note?;
        if kind == wanted {
            return check_version(description);
        }
        if kind == other.0 {
            refusal = Refusal::WrongRole(other.1);
        }
    }
    Err(refusal)
}

fn check_version(description: &[u8]) -> Result<&[u8], Refusal> {
    // Both notes start with the version, whatever follows in other versions.
    match u32_at(description, 0) {
        Some(abi::VERSION) => Ok(description),
        Some(version) => Err(Refusal::WrongVersion(version)),
        None => Err(cut_off()),
    }
}

fn parse_nucleus(description: &[u8]) -> Option<NucleusNote> {
    Some(NucleusNote {
        version: u32_at(description, offset_of!(NucleusNote, version))?,
        reserved: u32_at(description, offset_of!(NucleusNote, reserved))?,
        pvh_entry: u64_at(description, offset_of!(NucleusNote, pvh_entry))?,
        multiboot_entry: u64_at(description, offset_of!(NucleusNote, multiboot_entry))?,
        multiboot_header: u64_at(description, offset_of!(NucleusNote, multiboot_header))?,
        image_table: u64_at(description, offset_of!(NucleusNote, image_table))?,
    })
}

fn parse_guest(description: &[u8]) -> Option<GuestNote> {
    Some(GuestNote {
        version: u32_at(description, offset_of!(GuestNote, version))?,
        reserved: u32_at(description, offset_of!(GuestNote, reserved))?,
        entry: u64_at(description, offset_of!(GuestNote, entry))?,
        gate: u64_at(description, offset_of!(GuestNote, gate))?,
    })
}

fn cut_off() -> Refusal {
    Refusal::damaged("metaos note", "is cut off")
}

fn trim_zeros(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &name[..end]
}
