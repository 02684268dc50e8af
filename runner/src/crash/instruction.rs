//! The instruction at which a CPU stopped, and why it may not run it.

use abi::upcall::Registers;
use iced_x86::{
    Code, Decoder, DecoderOptions, Formatter, GasFormatter, Instruction, Mnemonic, OpKind, Register,
};

use super::symbols::Programs;

/// Longest instruction of the architecture, in bytes (SDM 2A 2.3.11).
const LONGEST: usize = 15;

/// Why an instruction raises a general protection fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Crime {
    /// Only ring 0 may run it, or the I/O map is closed.
    Privileged,
    /// UMIP keeps it from ring 3 (SDM 3A 2.5, CR4.UMIP).
    KeptByUmip,
    /// It raises a vector that ring 3 may not raise.
    SoftwareInterrupt,
    /// Its memory operand is at an address that no CPU has.
    NonCanonical(u64),
    /// Its memory operand is not aligned as it must be.
    Misaligned(u64),
    /// None of these can be seen.
    Unknown,
}

/// Decodes the instruction at `rip`, if it lies in the image.
pub(super) fn at(rip: u64, programs: &Programs) -> Option<Instruction> {
    let code = programs.at(rip)?.code(rip)?;
    let code = &code[..code.len().min(LONGEST)];
    let instruction = Decoder::with_ip(64, code, rip, DecoderOptions::NONE).decode();
    (instruction.code() != Code::INVALID).then_some(instruction)
}

/// Returns the instruction as an assembler writes it.
pub(super) fn text(instruction: &Instruction) -> String {
    let mut text = String::new();
    let mut formatter = GasFormatter::new();
    formatter.options_mut().set_uppercase_hex(false);
    formatter.format(instruction, &mut text);
    text
}

/// Finds what a general protection fault at `instruction` is about.
pub(super) fn crime(instruction: &Instruction, registers: &Registers) -> Crime {
    match instruction.mnemonic() {
        Mnemonic::Sgdt | Mnemonic::Sidt | Mnemonic::Sldt | Mnemonic::Str | Mnemonic::Smsw => {
            Crime::KeptByUmip
        }
        Mnemonic::Int | Mnemonic::Int1 | Mnemonic::Int3 => Crime::SoftwareInterrupt,
        // Open to ring 3 on some machines (SDM 3A 2.5, CR4.PCE and TSD), not on this one.
        Mnemonic::Rdpmc | Mnemonic::Rdtsc | Mnemonic::Rdtscp => Crime::Privileged,
        _ if instruction.is_privileged() => Crime::Privileged,
        _ => operand_crime(instruction, registers),
    }
}

fn operand_crime(instruction: &Instruction, registers: &Registers) -> Crime {
    let memory = (0..instruction.op_count()).find(|operand| instruction.op_kind(*operand) == OpKind::Memory);
    let address = memory
        .and_then(|operand| instruction.virtual_address(operand, 0, |name, _, _| register(name, registers)));
    match address {
        Some(address) if !is_canonical(address) => Crime::NonCanonical(address),
        // Only SSE operands of 16 bytes have to be aligned (SDM 1 4.1.1).
        Some(address) if address % 16 != 0 && instruction.memory_size().size() == 16 => {
            Crime::Misaligned(address)
        }
        _ => Crime::Unknown,
    }
}

fn is_canonical(address: u64) -> bool {
    matches!(address >> 47, 0 | 0x1_ffff)
}

/// Segment bases are not shipped: operands relative to FS and GS stay unknown.
fn register(name: Register, r: &Registers) -> Option<u64> {
    Some(match name {
        Register::RAX => r.rax,
        Register::RDX => r.rdx,
        Register::RCX => r.rcx,
        Register::RBX => r.rbx,
        Register::RSI => r.rsi,
        Register::RDI => r.rdi,
        Register::RBP => r.rbp,
        Register::RSP => r.rsp,
        Register::R8 => r.r8,
        Register::R9 => r.r9,
        Register::R10 => r.r10,
        Register::R11 => r.r11,
        Register::R12 => r.r12,
        Register::R13 => r.r13,
        Register::R14 => r.r14,
        Register::R15 => r.r15,
        Register::CS | Register::DS | Register::ES | Register::SS => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(code: &[u8]) -> Instruction {
        Decoder::with_ip(64, code, 0x6000_0000_0000, DecoderOptions::NONE).decode()
    }

    #[test]
    fn privileged_instructions_are_named() {
        let cases: [(&[u8], &str, Crime); 9] = [
            (&[0xf4], "hlt", Crime::Privileged),
            (&[0xfa], "cli", Crime::Privileged),
            (&[0xec], "in %dx,%al", Crime::Privileged),
            (&[0xe6, 0xf4], "out %al,$0xf4", Crime::Privileged),
            (&[0x0f, 0x22, 0xd8], "mov %rax,%cr3", Crime::Privileged),
            (&[0x0f, 0x30], "wrmsr", Crime::Privileged),
            (&[0x0f, 0x01, 0x10], "lgdt (%rax)", Crime::Privileged),
            (&[0x0f, 0x01, 0x00], "sgdt (%rax)", Crime::KeptByUmip),
            (&[0xcd, 0x80], "int $0x80", Crime::SoftwareInterrupt),
        ];
        for (code, expected, reason) in cases {
            let instruction = decode(code);
            assert_eq!(text(&instruction), expected);
            assert_eq!(crime(&instruction, &Registers::default()), reason, "{expected}");
        }
    }

    #[test]
    fn bad_operands_are_found() {
        let load = decode(&[0x48, 0x8b, 0x43, 0x08]);
        let registers = Registers { rbx: 0x8000_0000_0000, ..Registers::default() };
        assert_eq!(crime(&load, &registers), Crime::NonCanonical(0x8000_0000_0008));
        let aligned = decode(&[0x0f, 0x28, 0x00]);
        let registers = Registers { rax: 0x1008, ..Registers::default() };
        assert_eq!(crime(&aligned, &registers), Crime::Misaligned(0x1008));
    }
}
