//! Patched programs as ordinary executables, whose dispatcher makes the call that was asked for.
//!
//! The stubs get a loadable segment of their own, in place of a program header that Linux can do without.

use iced_x86::code_asm::{CodeAssembler, eax, ptr, r11, rcx, rdi, rsi, rsp};
use metaos_linker::rewrite::{LinuxProgram, Patched, Placement, Plan};

const PAGE: u64 = 4096;
/// Where the dispatcher of a program that has its place stands: too far for a direct jump.
const FAR: u64 = 0x10_0000_0000;
/// How far below the stack pointer the dispatcher keeps its way back: below what a signal's frame and handler take.
const KEPT: i32 = 0x4000;
const CLONE: i32 = 56;
const FORK: i32 = 57;
const VFORK: i32 = 58;
const CLONE3: i32 = 435;

/// Program header types (System V gABI, chapter 5).
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_STACK: u32 = 0x6474_e551;

/// Where stubs can go: behind the program.
pub(crate) fn stubs_address(program: &LinuxProgram<'_>) -> u64 {
    let end = program.segments().map(|segment| segment.start + segment.memory_bytes).max().unwrap();
    end.next_multiple_of(PAGE) + PAGE
}

/// Where the dispatcher goes: far away, if there is a program header left for it, else behind the stubs.
fn dispatcher_address(file: &[u8], program: &LinuxProgram<'_>) -> u64 {
    let is_far = !program.is_position_independent() && header_of_type(file, PT_NOTE).is_some();
    if is_far { FAR } else { stubs_address(program) + (1 << 20) }
}

/// Returns an executable that does what `file` does, all patched calls going through a dispatcher.
pub(crate) fn executable(file: &[u8]) -> (Vec<u8>, Patched) {
    let program = LinuxProgram::parse(file).unwrap();
    let placement = Placement { bias: 0, stubs: stubs_address(&program) };
    let dispatcher = dispatcher_address(file, &program);
    let patched = Plan::of(&program).emit(&placement, |_| dispatcher).unwrap();

    let mut output = file.to_vec();
    for text in &patched.text {
        let original = program.segments().find(|segment| segment.start == text.start).unwrap().bytes;
        let offset = original.as_ptr().addr() - file.as_ptr().addr();
        output[offset..offset + text.bytes.len()].copy_from_slice(&text.bytes);
    }
    let code = native_dispatcher(dispatcher);
    let mut stubs = patched.stubs.clone();
    if dispatcher == FAR {
        add_segment(&mut output, PT_NOTE, FAR, &code);
    } else {
        stubs.resize(1 << 20, 0xcc);
        stubs.extend(code);
    }
    add_segment(&mut output, PT_GNU_STACK, placement.stubs, &stubs);
    (output, patched)
}

/// Makes the call, and jumps back; a new thread finds the way back on its own stack.
fn native_dispatcher(address: u64) -> Vec<u8> {
    let mut code = CodeAssembler::new(64).unwrap();
    let mut is_not_vfork = code.create_label();
    let mut is_not_clone = code.create_label();
    let mut call = code.create_label();
    code.mov(ptr(rsp - KEPT), rcx).unwrap();
    // The child would use the stack before the parent has come back.
    code.cmp(eax, VFORK).unwrap();
    code.jne(is_not_vfork).unwrap();
    code.mov(eax, FORK).unwrap();
    code.set_label(&mut is_not_vfork).unwrap();
    code.cmp(eax, CLONE).unwrap();
    code.jne(is_not_clone).unwrap();
    code.test(rsi, rsi).unwrap();
    code.jz(call).unwrap();
    code.mov(ptr(rsi - KEPT), rcx).unwrap();
    code.jmp(call).unwrap();
    code.set_label(&mut is_not_clone).unwrap();
    code.cmp(eax, CLONE3).unwrap();
    code.jne(call).unwrap();
    // `struct clone_args`: stack and stack_size.
    code.mov(r11, ptr(rdi + 0x28)).unwrap();
    code.test(r11, r11).unwrap();
    code.jz(call).unwrap();
    code.add(r11, ptr(rdi + 0x30)).unwrap();
    code.mov(ptr(r11 - KEPT), rcx).unwrap();
    code.set_label(&mut call).unwrap();
    code.syscall().unwrap();
    code.mov(rcx, ptr(rsp - KEPT)).unwrap();
    code.jmp(rcx).unwrap();
    code.assemble(address).unwrap()
}

/// Appends `bytes` and has the header of type `taken` load them.
fn add_segment(file: &mut Vec<u8>, taken: u32, address: u64, bytes: &[u8]) {
    let header = header_of_type(file, taken).expect("the program has such a header");
    file.resize(file.len().next_multiple_of(4096), 0);
    let offset = file.len() as u64;
    file.extend(bytes);
    let length = bytes.len() as u64;
    let readable_executable = 5_u32;
    file[header..header + 4].copy_from_slice(&PT_LOAD.to_le_bytes());
    file[header + 4..header + 8].copy_from_slice(&readable_executable.to_le_bytes());
    for (index, value) in [offset, address, address, length, length, PAGE].into_iter().enumerate() {
        let field = header + 8 + 8 * index;
        file[field..field + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// Returns the offset of the last program header of a type.
fn header_of_type(file: &[u8], wanted: u32) -> Option<usize> {
    let table = usize::try_from(u64::from_le_bytes(file[32..40].try_into().unwrap())).unwrap();
    let count = usize::from(u16::from_le_bytes(file[56..58].try_into().unwrap()));
    (0..count)
        .map(|index| table + 56 * index)
        .rfind(|offset| file[*offset..*offset + 4] == wanted.to_le_bytes())
}
