//! A system call that ended its guest: which one it was, and what is wrong with it.
//!
//! On a machine every `syscall` outside the gate is one of Linux, which a native guest has no use for. A guest that runs
//! as a Linux process may make some, by its gate; the filter that the linker gave it stops all others. Both ship the
//! number in `rax`.

use iced_x86::{Instruction, Mnemonic};
use syscalls::{x86, x86_64};

use super::instruction;
use super::place::Place;
use super::symbols::Programs;
use crate::control::CrashRecord;

/// The label of the gate's instruction (`metaos/entry`).
const GATE: &str = "metaos_gate_syscall";
/// Bytes of `syscall` and of `int $0x80`; the address that is shipped lies behind them.
const LENGTH: u64 = 2;
/// In the number of a call: it is one of x32, with pointers of 32 bits (`arch/x86/include/uapi/asm/unistd.h`).
const X32: u32 = 0x4000_0000;

/// Says what was called and from where, in one line without a stop.
pub(super) fn headline(crash: &CrashRecord, programs: &Programs) -> String {
    let rip = crash.registers.rip;
    // Linux keeps 32 bits of the number.
    let number = low_half(crash.registers.rax);
    let before = rip.wrapping_sub(LENGTH);
    if is_gate(before, programs) || is_gate(rip, programs) {
        let mistake = if linker::allows(number) {
            "with arguments that a guest may not pass"
        } else {
            "which a guest may not make"
        };
        return format!("{}, {mistake}", name(number));
    }
    let place = Place::of(rip, programs);
    match instruction::at(before, programs).filter(is_interrupt) {
        Some(interrupt) => {
            format!(
                "software interrupt `{}`, in {place}: {}",
                instruction::text(&interrupt),
                name_of_32_bits(number)
            )
        }
        None => format!("`syscall` outside the gate, in {place}: {}", name(number)),
    }
}

fn low_half(register: u64) -> u32 {
    u32::try_from(register & u64::from(u32::MAX)).expect("half of 64 bits has 32")
}

fn is_gate(address: u64, programs: &Programs) -> bool {
    let symbol = programs.at(address).and_then(|program| program.symbol(address));
    symbol.is_some_and(|symbol| symbol.name == GATE)
}

fn is_interrupt(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Int
}

fn name(number: u32) -> String {
    let find = |number: u32| x86_64::Sysno::new(usize::try_from(number).ok()?).map(|call| call.name());
    match (find(number), find(number & !X32)) {
        (Some(name), _) => format!("Linux call `{name}` ({number})"),
        (None, Some(name)) => format!("x32 call `{name}` ({number:#x})"),
        (None, None) => format!("call {number:#x}, which Linux does not have"),
    }
}

fn name_of_32_bits(number: u32) -> String {
    match usize::try_from(number).ok().and_then(x86::Sysno::new) {
        Some(call) => format!("Linux call `{}` of 32 bits ({number})", call.name()),
        None => format!("call {number:#x} of 32 bits, which Linux does not have"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_names_and_numbers() {
        let cases = [
            (0, "Linux call `read` (0)"),
            (257, "Linux call `openat` (257)"),
            (X32 | 2, "x32 call `open` (0x40000002)"),
            (400, "call 0x190, which Linux does not have"),
            (u32::MAX, "call 0xffffffff, which Linux does not have"),
        ];
        for (number, expected) in cases {
            assert_eq!(name(number), expected);
        }
        assert_eq!(name_of_32_bits(4), "Linux call `write` of 32 bits (4)");
        assert_eq!(name_of_32_bits(u32::MAX), "call 0xffffffff of 32 bits, which Linux does not have");
    }

    #[test]
    fn the_number_is_that_of_the_lower_half() {
        assert_eq!(low_half(0xffff_ffff_0000_0027), 0x27);
    }
}
