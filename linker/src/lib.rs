//! Merges a nucleus and a guest into one bootable ELF file.
//!
//! Nucleus and guest are separate executables because ring 0 must not run a copy of `core` that ring 3 can run
//! (SMEP). Each comes linked at its final virtual addresses; what is left to do is to check them, to give their
//! pages physical addresses, to tell the nucleus where everything lies, and to write the notes that boot loaders
//! look for. Whatever a file may hold, the answer is an image or a [`LinkError`], never a panic.
//!
//! ```text
//! input ──> note ──> scan ──> layout ──> filter (fill in ──> multiboot, table ──> write
//! (parse,   (what    (instruc- (physical         the guest)  (fill in the         (the file)
//!  check)    it is)   tions)    pages)                        nucleus)
//!                                                             symbols ──> report ──┘
//! ```
#![forbid(unsafe_code)]

mod error;
mod field;
mod filter;
mod input;
mod instructions;
mod layout;
mod linux;
mod multiboot;
mod note;
mod report;
pub mod rewrite;
mod room;
mod scan;
mod symbols;
mod table;
mod write;

pub use error::{LinkError, Refusal, Role, Site};
pub use filter::{Confinement, allows, filter_of_gate};
pub use report::{Report, RoomSize, SegmentReport};
pub use room::{Room, room_of_symbol};

use abi::note::GuestNote;
use input::Program;
use layout::Layout;

/// A file that was read, and its name for messages.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name or path of the file.
    pub name: &'a str,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// What is asked of the guest's machine code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuestPolicy {
    /// No privileged instruction, no `syscall` but the gate's, no VEX-coded instruction.
    Checked,
    /// Anything: for guests that tests make to misbehave.
    Unchecked,
}

/// How to link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Physical address of the image's first byte: [`abi::layout::LOAD_DIRECT`] or [`abi::layout::LOAD_GRUB`].
    pub load_address: u64,
    /// What is asked of the guest's machine code.
    pub guest_policy: GuestPolicy,
}

/// A bootable image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The ELF file.
    pub bytes: Vec<u8>,
    /// What it is made of.
    pub report: Report,
}

/// Merges `nucleus` and `guest` into an image.
///
/// Both must be statically linked `ET_EXEC` files for x86-64 with their symbol tables. The image carries neither
/// symbols nor sections. The same inputs give the same bytes.
///
/// # Errors
///
/// The first thing that is wrong with either file; see [`Refusal`].
pub fn link(nucleus: &Input<'_>, guest: &Input<'_>, options: &Options) -> Result<Image, LinkError> {
    join(nucleus, guest, None, options)
}

/// Merges `nucleus`, `door` and `program` into an image: `door` is a guest that serves the system calls of a Linux
/// program, which need not know of it.
///
/// The program must be statically linked; nothing else is asked of it. What its code does is not looked at.
///
/// # Errors
///
/// The first thing that is wrong with one of the files; see [`Refusal`].
pub fn link_linux(
    nucleus: &Input<'_>,
    door: &Input<'_>,
    program: &Input<'_>,
    options: &Options,
) -> Result<Image, LinkError> {
    join(nucleus, door, Some(program), options)
}

/// Tells whether a file could be a program for [`link_linux`]: an executable for x86-64 that is none of ours.
#[must_use]
pub fn is_linux_program(bytes: &[u8]) -> bool {
    linux::is_program(bytes)
}

fn join(
    nucleus: &Input<'_>,
    guest: &Input<'_>,
    program: Option<&Input<'_>>,
    options: &Options,
) -> Result<Image, LinkError> {
    let of_nucleus = |refusal| LinkError::new(nucleus.name, refusal);
    let of_guest = |refusal| LinkError::new(guest.name, refusal);

    let nucleus_program = input::parse(nucleus.bytes, Role::Nucleus).map_err(of_nucleus)?;
    let nucleus_note = note::nucleus(&nucleus_program).map_err(of_nucleus)?;
    input::check_placement(&nucleus_program).map_err(of_nucleus)?;
    scan::check_nucleus(&nucleus_program).map_err(of_nucleus)?;

    let guest_program = input::parse(guest.bytes, Role::Guest).map_err(of_guest)?;
    let guest_note = note::guest(&guest_program).map_err(of_guest)?;
    input::check_placement(&guest_program).map_err(of_guest)?;
    if options.guest_policy == GuestPolicy::Checked {
        scan::check_guest(&guest_program, guest_note.gate).map_err(of_guest)?;
    }

    let mut layout = Layout::of_nucleus(&nucleus_program, options.load_address).map_err(of_nucleus)?;
    // By address, as some Linux kernels want it.
    let linux = match program {
        Some(program) => {
            let of_program = |refusal| LinkError::new(program.name, refusal);
            let linux = linux::parse(program.bytes).map_err(of_program)?;
            layout.append_program(&linux.segments, linux.bias).map_err(of_program)?;
            Some(linux)
        }
        None => None,
    };
    layout.append_guest(&guest_program).map_err(of_guest)?;
    if let Some(linux) = &linux {
        linux::fill(&mut layout, &guest_program, linux).map_err(of_guest)?;
    }
    let confinement = confine_in(&mut layout, &guest_program, &guest_note).map_err(of_guest)?;
    table::fill(&mut layout, &nucleus_note, &guest_note).map_err(of_nucleus)?;
    multiboot::fill(&mut layout, &nucleus_note).map_err(of_nucleus)?;

    let contents = report::Contents {
        nucleus: report::file_name(nucleus.name),
        guest: report::file_name(program.unwrap_or(guest).name),
        entry: guest_note.entry,
        gate: guest_note.gate,
        confinement,
        nucleus_starts: layout.nucleus_starts(),
        rooms: symbols::sizes_by_room(&nucleus_program, &guest_program),
    };
    let bytes =
        write::image(&layout, guest_program.entry, nucleus_note.pvh_entry, &contents).map_err(of_nucleus)?;
    let report = Report::of_image(&bytes).map_err(of_nucleus)?;
    Ok(Image { bytes, report })
}

/// Fills in the filter of system calls that confines `guest` when it runs as a Linux process, and returns the file: the
/// unstripped guest is as confined as the image that was made of it.
///
/// A guest that has no room for a filter comes back unchanged.
///
/// # Errors
///
/// The file is not a guest that [`link`] takes.
pub fn confine(guest: &Input<'_>) -> Result<Vec<u8>, LinkError> {
    confine_file(guest.bytes).map_err(|refusal| LinkError::new(guest.name, refusal))
}

/// Tells what a finished image is made of.
///
/// # Errors
///
/// The file is damaged or is not an image that [`link`] made.
pub fn inspect(image: &Input<'_>) -> Result<Report, LinkError> {
    Report::of_image(image.bytes).map_err(|refusal| LinkError::new(image.name, refusal))
}

fn confine_in(
    layout: &mut Layout,
    guest: &Program<'_>,
    note: &GuestNote,
) -> Result<Option<Confinement>, Refusal> {
    let Some(room) = filter::find_room(guest)? else { return Ok(None) };
    let bytes = layout.contents_from(room.address).expect("the room is in a loaded segment");
    filter::fill(bytes, note.gate).map(Some)
}

fn confine_file(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let guest = input::parse(bytes, Role::Guest)?;
    let note = note::guest(&guest)?;
    let mut file = bytes.to_vec();
    if let Some(room) = filter::find_room(&guest)? {
        let start = input::offset_in(bytes, room.bytes).expect("the room is a part of the file");
        filter::fill(&mut file[start..], note.gate)?;
    }
    Ok(file)
}
