//! Confines a guest that runs as a Linux process: fills the room that it has for a filter of system calls.
//!
//! A process cannot be trusted to hold itself back, so Linux does it: as its last act before it runs the program, the
//! guest's start hands this filter to seccomp(2) and can never take it off. Only here is the gate's address known with
//! certainty, so here the filter is made. It lies in read-only pages and travels with the image.

mod allowed;
mod program;

use core::mem::offset_of;

use abi::hosted::{Filter, MAX_FILTER};
use abi::note::TYPE_FILTER;
use abi::{Access, VERSION};
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::field::{put, u32_at};
use crate::input::Program;
use crate::note;

/// By what a guest is confined when it runs as a Linux process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Confinement {
    /// System calls that it may make, each with some arguments at least.
    pub calls: usize,
    /// Instructions of the filter.
    pub instructions: usize,
}

/// Makes the filter of a guest whose gate is at `gate`: instructions as in [`Filter::instructions`].
#[must_use]
pub fn filter_of_gate(gate: u64) -> Vec<u64> {
    program::compile(gate)
}

/// Tells whether guests that run as Linux processes may make the call of this number, with some arguments at least.
#[must_use]
pub fn allows(number: u32) -> bool {
    allowed::CALLS.iter().any(|(call, _)| u32::try_from(call.id()) == Ok(number))
}

/// The room that a guest has for its filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room<'a> {
    /// Its address.
    pub(crate) address: u64,
    /// What it holds in the file.
    pub(crate) bytes: &'a [u8],
}

/// Finds the room for a filter; `None` if the guest has none.
pub(crate) fn find_room<'a>(guest: &Program<'a>) -> Result<Option<Room<'a>>, Refusal> {
    let mut found: Option<Room<'a>> = None;
    for note in guest.notes.iter().flat_map(|data| note::ours(data)) {
        let (TYPE_FILTER, description) = note? else { continue };
        let room = check_room(guest, description)?;
        // A note may be seen twice, by its section and by its segment.
        if found.is_some_and(|other| other.address != room.address) {
            return Err(Refusal::BadFilterRoom("is there twice"));
        }
        found = Some(room);
    }
    Ok(found)
}

/// Writes the filter for the gate at `gate` into `room`, which starts where the guest's does.
pub(crate) fn fill(room: &mut [u8], gate: u64) -> Result<Confinement, Refusal> {
    let program = program::compile(gate);
    let length = u32::try_from(program.len()).ok().filter(|_| program.len() <= MAX_FILTER);
    let length = length.ok_or(Refusal::BadFilterRoom("is too small for the filter"))?;
    write(room, length, &program).ok_or_else(cut_off)?;
    Ok(Confinement { calls: allowed::CALLS.len(), instructions: program.len() })
}

fn check_room<'a>(guest: &Program<'a>, description: &'a [u8]) -> Result<Room<'a>, Refusal> {
    match u32_at(description, offset_of!(Filter, version)) {
        Some(VERSION) => {}
        Some(version) => return Err(Refusal::WrongVersion(version)),
        None => return Err(cut_off()),
    }
    let bytes = description.get(..size_of::<Filter>()).ok_or_else(cut_off)?;
    let place = guest.segments.iter().find_map(|segment| Some((segment, segment.address_of(bytes)?)));
    let (segment, address) = place.ok_or(Refusal::BadFilterRoom("is not in a loaded segment"))?;
    if segment.access.contains(Access::WRITE) {
        return Err(Refusal::BadFilterRoom("can be written by the guest"));
    }
    Ok(Room { address, bytes })
}

fn write(room: &mut [u8], length: u32, program: &[u64]) -> Option<()> {
    put(room, offset_of!(Filter, length), length.to_le_bytes())?;
    for (index, instruction) in program.iter().enumerate() {
        put(room, offset_of!(Filter, instructions) + index * size_of::<u64>(), instruction.to_le_bytes())?;
    }
    Some(())
}

fn cut_off() -> Refusal {
    Refusal::damaged("filter note", "is cut off")
}

#[cfg(test)]
mod tests;
