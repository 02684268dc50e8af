//! One file for every way to be refused, with the message. The files are kept in `tests/data` of the workspace.

mod code;
mod notes;
mod placements;
mod programs;
mod shapes;

use metaos_linker::Role;

use crate::builder::Elf;

/// A bad file.
pub(crate) struct Case {
    pub(crate) file: &'static str,
    pub(crate) role: Role,
    pub(crate) bytes: Vec<u8>,
    /// The message after the file's name.
    pub(crate) message: &'static str,
}

/// Returns all bad files.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(shapes::shapes());
    cases.extend(programs::programs());
    cases.extend(placements::placements());
    cases.extend(notes::notes());
    cases.extend(code::instructions());
    cases.extend(notes::nuclei());
    cases.extend(notes::filters());
    cases
}

fn bad_guest(file: &'static str, bytes: Vec<u8>, message: &'static str) -> Case {
    Case { file, role: Role::Guest, bytes, message }
}

fn bad_nucleus(file: &'static str, bytes: Vec<u8>, message: &'static str) -> Case {
    Case { file, role: Role::Nucleus, bytes, message }
}

/// Builds an executable after changing it.
fn changed(mut elf: Elf, change: impl FnOnce(&mut Elf)) -> Vec<u8> {
    change(&mut elf);
    elf.build()
}

/// Overwrites bytes of a built file.
fn patched(mut bytes: Vec<u8>, offset: usize, patch: &[u8]) -> Vec<u8> {
    bytes[offset..offset + patch.len()].copy_from_slice(patch);
    bytes
}

fn cut(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.truncate(length);
    bytes
}
