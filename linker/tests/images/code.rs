//! Which machine code a guest may have.

use abi::layout::LOAD_DIRECT;
use metaos_linker::{LinkError, Refusal};

use crate::accepted::link_elfs;
use crate::samples;

fn link_main(code: &[u8]) -> Result<(), LinkError> {
    link_elfs(&samples::nucleus(), &samples::guest_with_main(code), LOAD_DIRECT).map(|_| ())
}

/// Returns the mnemonic that a guest with this code is refused for.
fn refused_for(code: &[u8]) -> Option<String> {
    match link_main(code).err()?.refusal() {
        Refusal::Privileged(site) | Refusal::SecondGate(site) | Refusal::Vex(site) => {
            Some(site.mnemonic.clone())
        }
        _ => None,
    }
}

#[test]
fn every_instruction_of_ring_0_is_refused() {
    let instructions: [(&str, &[u8]); 39] = [
        ("hlt", &[0xf4]),
        ("cli", &[0xfa]),
        ("sti", &[0xfb]),
        ("in", &[0xec]),
        ("in", &[0xe4, 0x60]),
        ("out", &[0xee]),
        ("out", &[0xe7, 0x80]),
        ("insb", &[0x6c]),
        ("outsd", &[0xf3, 0x6f]),
        ("mov", &[0x0f, 0x20, 0xc0]),
        ("mov", &[0x0f, 0x22, 0xe0]),
        ("mov", &[0x44, 0x0f, 0x22, 0xc0]),
        ("mov", &[0x0f, 0x21, 0xf8]),
        ("mov", &[0x0f, 0x23, 0xf8]),
        ("rdmsr", &[0x0f, 0x32]),
        ("wrmsr", &[0x0f, 0x30]),
        ("lgdt", &[0x0f, 0x01, 0x10]),
        ("lidt", &[0x0f, 0x01, 0x18]),
        ("lldt", &[0x0f, 0x00, 0xd0]),
        ("ltr", &[0x0f, 0x00, 0xd8]),
        ("lmsw", &[0x0f, 0x01, 0xf0]),
        ("sgdt", &[0x0f, 0x01, 0x00]),
        ("sidt", &[0x0f, 0x01, 0x08]),
        ("sldt", &[0x0f, 0x00, 0xc0]),
        ("str", &[0x0f, 0x00, 0xc8]),
        ("smsw", &[0x0f, 0x01, 0xe0]),
        ("invlpg", &[0x0f, 0x01, 0x38]),
        ("invd", &[0x0f, 0x08]),
        ("wbinvd", &[0x0f, 0x09]),
        ("swapgs", &[0x0f, 0x01, 0xf8]),
        ("sysretq", &[0x48, 0x0f, 0x07]),
        ("sysexit", &[0x0f, 0x35]),
        ("iretq", &[0x48, 0xcf]),
        ("iretd", &[0xcf]),
        ("clts", &[0x0f, 0x06]),
        ("clac", &[0x0f, 0x01, 0xca]),
        ("xsetbv", &[0x0f, 0x01, 0xd1]),
        ("monitor", &[0x0f, 0x01, 0xc8]),
        ("wrpkru", &[0x0f, 0x01, 0xef]),
    ];
    for (mnemonic, code) in instructions {
        assert_eq!(refused_for(code).as_deref(), Some(mnemonic), "{code:02x?}");
    }
}

#[test]
fn every_way_into_ring_0_beside_the_gate_is_refused() {
    let instructions: [(&str, &[u8]); 6] = [
        ("syscall", &[0x0f, 0x05]),
        ("sysenter", &[0x0f, 0x34]),
        ("int", &[0xcd, 0x80]),
        ("int1", &[0xf1]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("vmmcall", &[0x0f, 0x01, 0xd9]),
    ];
    for (mnemonic, code) in instructions {
        assert_eq!(refused_for(code).as_deref(), Some(mnemonic), "{code:02x?}");
    }
}

#[test]
fn what_ring_3_needs_is_accepted() {
    let instructions: [&[u8]; 11] = [
        &[0xcc],                         // int3
        &[0x0f, 0x0b],                   // ud2
        &[0xf3, 0x90],                   // pause
        &[0x0f, 0xa2],                   // cpuid
        &[0x0f, 0x31],                   // rdtsc
        &[0x0f, 0xc7, 0xf0],             // rdrand
        &[0x0f, 0xae, 0x00],             // fxsave
        &[0x0f, 0xae, 0x20],             // xsave
        &[0x0f, 0xae, 0x28],             // xrstor
        &[0xf3, 0x48, 0x0f, 0xae, 0xd0], // wrfsbase
        &[0x66, 0x0f, 0xef, 0xc0],       // pxor
    ];
    for code in instructions {
        assert_eq!(link_main(code), Ok(()), "{code:02x?}");
    }
}

#[test]
fn an_immediate_that_looks_like_a_privileged_instruction_is_accepted() {
    assert_eq!(link_main(&[0xb8, 0x0f, 0x05, 0xf4, 0xf4]), Ok(())); // mov $0xf4f4050f, %eax
}

#[test]
fn a_symbol_in_the_middle_of_an_instruction_does_not_hide_what_follows() {
    let mut guest = samples::guest_with_main(&[0xb8, 0xf4, 0, 0, 0]); // mov $0xf4, %eax
    guest.symbols[2].address += 1;
    assert!(link_elfs(&samples::nucleus(), &guest, LOAD_DIRECT).is_err());
}

#[test]
fn a_multiboot2_header_beyond_the_searched_part_of_the_file_is_refused() {
    let mut nucleus = samples::nucleus();
    nucleus.segments[0].bytes.resize(32 << 10, 0x90);
    nucleus.segments[0].bytes.extend(samples::multiboot_header());
    nucleus.segments[1].address += 0x10_000;
    nucleus.segments[2].address += 0x10_000;
    let [pvh, multiboot, header, table] = samples::nucleus_addresses();
    let addresses = [pvh, multiboot, header + (32 << 10), table + 0x10_000];
    nucleus.note = samples::nucleus_note(abi::VERSION, &addresses);
    let error = link_elfs(&nucleus, &samples::guest(), LOAD_DIRECT).unwrap_err();
    assert!(error.to_string().contains("is not in the file's first 32 KiB"), "{error}");
}

#[test]
fn a_load_address_that_no_loader_can_use_is_refused() {
    for address in [1, 0xfff, 0xffff_f000, !0xfff] {
        let error = link_elfs(&samples::nucleus(), &samples::guest(), address).unwrap_err();
        assert_eq!(*error.refusal(), Refusal::BadLoadAddress(address));
    }
}
