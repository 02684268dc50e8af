//! Guests with room for a filter: it is filled in the image and in the unstripped file, and Linux obeys it.
//!
//! The guests are real and tiny: they confine themselves as the start of every guest does, make one call, and end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use abi::hosted::Filter;
use abi::layout::{LOAD_DIRECT, LOAD_GRUB};
use core::mem::offset_of;
use iced_x86::code_asm::{CodeAssembler, eax, edi, esi, ptr, r8, r9, r10, rax, rdi, rdx, rsi, rsp};
use metaos_linker::{Confinement, Input, confine, filter_of_gate};

use crate::accepted::link_elfs;
use crate::builder::Elf;
use crate::samples::{self, FILTER_NOTE_HEADER, GATE, GUEST_RODATA};

/// Where the filter stands in a guest of these.
const FILTER: u64 = GUEST_RODATA + FILTER_NOTE_HEADER as u64;
/// Status of a guest that came to its end.
const LIVES: i32 = 42;
const SIGSYS: i32 = 31;

/// Numbers of Linux for x86-64.
const READ: u64 = 0;
const WRITE: u64 = 1;
const OPEN: u64 = 2;
const MMAP: u64 = 9;
const MPROTECT: u64 = 10;
const GETPID: u64 = 39;
const SOCKET: u64 = 41;
const EXECVE: u64 = 59;
const PTRACE: u64 = 101;
const PRCTL: u64 = 157;
const SECCOMP: u64 = 317;
const CLOCK_GETTIME: u64 = 228;
const EXIT_GROUP: u64 = 231;
const X32: u64 = 0x4000_0000;

/// How a guest makes its call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Gate,
    OwnSyscall,
    /// The number is one of 32-bit Linux.
    Interrupt,
}

#[test]
fn a_guest_without_room_is_linked_and_left_alone() {
    let image = link_elfs(&samples::nucleus(), &samples::guest(), LOAD_DIRECT).unwrap();
    assert_eq!(image.report.confinement, None);
    assert!(image.report.to_string().contains("as a Linux process: not confined"));
    let bytes = samples::guest().build();
    assert_eq!(confine(&Input { name: "guest", bytes: &bytes }).unwrap(), bytes);
}

#[test]
fn image_and_unstripped_guest_hold_the_same_filter() {
    let guest = samples::guest_with_room();
    let image = link_elfs(&samples::nucleus(), &guest, LOAD_DIRECT).unwrap();
    let unstripped = confined(&guest);
    let filter = filter_of_gate(GATE);
    for file in [&image.bytes, &unstripped] {
        assert_eq!(filters_in(file), [filter.as_slice()]);
    }
    let Some(Confinement { calls, instructions }) = image.report.confinement else {
        panic!("{}", image.report)
    };
    assert_eq!(instructions, filter.len());
    let line = format!("confined to {calls} system calls from the gate ({instructions} instructions)");
    assert!(image.report.to_string().contains(&line), "{}", image.report);
    // All else stays as it was.
    let changed = unstripped.iter().zip(guest.build()).filter(|(new, old)| *new != old).count();
    assert!(changed <= 4 + filter.len() * 8, "{changed} bytes differ");
}

#[test]
fn a_file_that_is_confined_may_be_confined_again() {
    let once = confined(&samples::guest_with_room());
    assert_eq!(confine(&Input { name: "guest", bytes: &once }).unwrap(), once);
}

#[test]
fn linux_runs_images_and_unstripped_guests() {
    for file in files(&guest(Way::Gate, CLOCK_GETTIME, [0; 5])) {
        assert_eq!(run(&file).code(), Some(LIVES), "{}", file.path.display());
    }
}

#[test]
fn linux_lets_a_confined_guest_do_what_is_allowed() {
    // Whether it comes to something is another question: there is no descriptor 4, and nothing at address 0.
    let page = 0x7200_0000_0000;
    let allowed = [
        (READ, [5, 0, 0, 0, 0]),
        (WRITE, [1, 0, 0, 0, 0]),
        (MMAP, [page, 0x1000, 3, 0x10_4022, u64::MAX]),
        (MPROTECT, [GUEST_RODATA, 0x1000, 1, 0, 0]),
    ];
    for (call, arguments) in allowed {
        assert_eq!(first_outcome(Way::Gate, call, arguments).code(), Some(LIVES), "call {call}");
    }
}

#[test]
fn linux_stops_a_confined_guest_at_everything_else() {
    let page = 0x7200_0000_0000;
    let refused = [
        (OPEN, [GUEST_RODATA, 0, 0, 0, 0]),
        (GETPID, [0; 5]),
        (SOCKET, [2, 1, 0, 0, 0]),
        (EXECVE, [GUEST_RODATA, 0, 0, 0, 0]),
        (PTRACE, [0; 5]),
        (PRCTL, [0; 5]),
        (SECCOMP, [0; 5]),
        (READ, [4, 0, 0, 0, 0]),
        (WRITE, [0, 0, 0, 0, 0]),
        (MMAP, [page, 0x1000, 7, 0x10_4022, u64::MAX]),
        (MMAP, [page, 0x1000, 3, 0x10_4022, 4]),
        (MMAP, [page, 0x1000, 3, 0x22, u64::MAX]),
        (MPROTECT, [GUEST_RODATA, 0x1000, 5, 0, 0]),
        (CLOCK_GETTIME | X32, [0; 5]),
        (9999, [0; 5]),
    ];
    for (call, arguments) in refused {
        assert_eq!(first_outcome(Way::Gate, call, arguments).signal(), Some(SIGSYS), "call {call}");
    }
}

#[test]
fn linux_stops_a_confined_guest_at_every_call_from_elsewhere() {
    for call in [CLOCK_GETTIME, EXIT_GROUP, OPEN, WRITE] {
        assert_eq!(first_outcome(Way::OwnSyscall, call, [1, 0, 0, 0, 0]).signal(), Some(SIGSYS));
    }
    // On a kernel without 32-bit programs the instruction itself is at fault.
    let outcome = first_outcome(Way::Interrupt, 4, [1, 0, 0, 0, 0]);
    assert!(outcome.signal().is_some(), "{outcome}");
}

/// Returns a guest that confines itself, makes a call in some way, and ends with [`LIVES`].
fn guest(way: Way, call: u64, arguments: [u64; 5]) -> Elf {
    let mut guest = samples::guest_with_room();
    let mut text = guest.segments[0].bytes.clone();
    let start = samples::ENTRY + text.len() as u64;
    text.extend(code(start, way, call, arguments));
    guest.segments[0].bytes = text;
    guest.entry = start;
    guest.alignment = 0x1000;
    guest
}

fn code(start: u64, way: Way, call: u64, arguments: [u64; 5]) -> Vec<u8> {
    const NO_NEW_PRIVILEGES: u64 = 38;
    const SET_FILTER: u64 = 1;

    let mut code = CodeAssembler::new(64).unwrap();
    from_gate(&mut code, PRCTL, [NO_NEW_PRIVILEGES, 1, 0, 0, 0]);
    // `struct sock_fprog`: the length, and the address of the instructions.
    code.mov(rax, FILTER + offset_of!(Filter, instructions) as u64).unwrap();
    code.push(rax).unwrap();
    code.mov(rax, FILTER + offset_of!(Filter, length) as u64).unwrap();
    code.mov(eax, ptr(rax)).unwrap();
    code.push(rax).unwrap();
    code.mov(edi, u32::try_from(SET_FILTER).unwrap()).unwrap();
    code.xor(esi, esi).unwrap();
    code.mov(rdx, rsp).unwrap();
    code.mov(eax, u32::try_from(SECCOMP).unwrap()).unwrap();
    code.call(GATE).unwrap();
    // A guest that Linux does not confine must not seem to live.
    let mut is_confined = code.create_label();
    code.test(eax, eax).unwrap();
    code.je(is_confined).unwrap();
    code.ud2().unwrap();
    code.set_label(&mut is_confined).unwrap();
    match way {
        Way::Gate => from_gate(&mut code, call, arguments),
        Way::OwnSyscall => {
            load(&mut code, call, arguments);
            code.syscall().unwrap();
        }
        Way::Interrupt => {
            load(&mut code, call, arguments);
            code.int(0x80).unwrap();
        }
    }
    from_gate(&mut code, EXIT_GROUP, [u64::try_from(LIVES).unwrap(), 0, 0, 0, 0]);
    code.assemble(start).unwrap()
}

fn from_gate(code: &mut CodeAssembler, call: u64, arguments: [u64; 5]) {
    load(code, call, arguments);
    code.call(GATE).unwrap();
}

fn load(code: &mut CodeAssembler, call: u64, arguments: [u64; 5]) {
    for (register, value) in [rdi, rsi, rdx, r10, r8].into_iter().zip(arguments) {
        code.mov(register, value).unwrap();
    }
    code.mov(r9, 0_u64).unwrap();
    code.mov(rax, call).unwrap();
}

/// Runs the unstripped guest.
fn first_outcome(way: Way, call: u64, arguments: [u64; 5]) -> ExitStatus {
    run(&File::write("guest.debug", &confined(&guest(way, call, arguments))))
}

/// The files that Linux runs: the images for every loader, and the unstripped guest.
fn files(guest: &Elf) -> Vec<File> {
    let mut files = vec![File::write("guest.debug", &confined(guest))];
    for (name, load_address) in [("direct.img", LOAD_DIRECT), ("grub.img", LOAD_GRUB)] {
        let nucleus = Input { name: "nucleus", bytes: &samples::nucleus().build() };
        let options =
            metaos_linker::Options { load_address, guest_policy: metaos_linker::GuestPolicy::Unchecked };
        let guest = Input { name: "guest", bytes: &guest.build() };
        files.push(File::write(name, &metaos_linker::link(&nucleus, &guest, &options).unwrap().bytes));
    }
    files
}

/// A program in a directory of its own.
struct File {
    path: PathBuf,
    directory: tempfile::TempDir,
}

impl File {
    fn write(name: &str, bytes: &[u8]) -> Self {
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { path, directory }
    }
}

fn run(file: &File) -> ExitStatus {
    assert!(file.directory.path().exists());
    Command::new(&file.path).status().unwrap()
}

fn confined(guest: &Elf) -> Vec<u8> {
    confine(&Input { name: "guest", bytes: &guest.build() }).unwrap()
}

/// Returns the filters in a file: the instructions behind each note's name.
fn filters_in(file: &[u8]) -> Vec<Vec<u64>> {
    let header = &samples::filter_note(abi::VERSION, size_of::<Filter>())[..FILTER_NOTE_HEADER + 4];
    let starts = (0..file.len() - header.len()).filter(|start| file[*start..].starts_with(header));
    let filter = |start: usize| {
        let room = &file[start + FILTER_NOTE_HEADER..];
        let length = u32::from_le_bytes(room[offset_of!(Filter, length)..][..4].try_into().unwrap());
        let instructions = room[offset_of!(Filter, instructions)..].chunks_exact(8);
        let instructions = instructions.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        instructions.take(usize::try_from(length).unwrap()).collect()
    };
    starts.map(filter).collect()
}
