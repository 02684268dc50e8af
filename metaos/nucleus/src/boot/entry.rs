//! The first instructions: from the loader's 32-bit mode to `nucleus_main` in the upper half.
//!
//! Entered by PVH (Xen, `docs/misc/pvh.pandoc`: `ebx` = start information) or multiboot2 (multiboot2 specification,
//! 3.3: `eax` = magic, `ebx` = information), in flat 32-bit protected mode without paging, interrupts off, no stack.
//! The code runs wherever the image was loaded: it finds its own address by a CALL whose return address goes to the
//! first double word of the loader's information, which is put back at once.
//!
//! Leaves: 64-bit mode; the low 4 GiB mapped with 2 MiB pages, identically and at `layout::OWN_MEMORY` (writable, gone with
//! the final tables); the first 2 MiB of the image mapped at `layout::NUCLEUS`; SSE enabled, since compiled code uses it;
//! `edi` = loader, `esi` = information, `edx` = load address.

use super::{loader, nucleus_main};
use crate::layout::OWN_MEMORY;
use abi::{layout::NUCLEUS, note};
use core::arch::global_asm;

/// Bytes of the stack on which the nucleus boots.
const BOOT_STACK: usize = 32 << 10;

global_asm!(
    // multiboot2 header (multiboot2 specification, 3.1.1); the image linker fills in the entry address.
    ".section .multiboot, \"a\"; .balign 8",
    "multiboot_header:",
    ".long 0xe85250d6, 0, multiboot_header_end - multiboot_header",
    ".long 0x100000000 - (0xe85250d6 + (multiboot_header_end - multiboot_header))",
    // entry address tag: type 3
    ".short 3, 0; .long 12, 0; .balign 8",
    // information request tag: type 1, optional: memory map (6), command line (1)
    ".short 1, 1; .long 16, 6, 1; .balign 8",
    // end tag
    ".short 0, 0; .long 8",
    "multiboot_header_end:",

    // Fills `count` entries of a table: the first with eax, each next one with `step` more.
    ".macro FILL table, count, step",
    "lea edi, [ebp + \\table - {nucleus}]; mov ecx, \\count",
    "3: mov [edi], eax; add edi, 8; add eax, \\step; dec ecx; jnz 3b",
    ".endm",
    // Lets entry `index` of a table name the next one: present, writable.
    ".macro LINK table, index, next",
    "lea eax, [ebp + \\next - {nucleus} + 3]; mov [ebp + \\table - {nucleus} + \\index * 8], eax",
    ".endm",

    ".section .boot.text, \"ax\"; .code32",
    ".global pvh_start",
    "pvh_start:",
    "mov edx, {pvh}; jmp 2f",
    ".global multiboot_start",
    "multiboot_start:",
    "mov edx, {multiboot}; cmp eax, 0x36d76289; je 2f; xor edx, edx",
    "2: cli; cld",
    // The address of `early_here` goes through the first double word of the loader's information.
    "mov esi, [ebx]; lea esp, [ebx + 4]; call early_here",
    "early_here: pop ebp; mov [ebx], esi",
    // ebp = where the image lies: this address less its distance from the start of the image.
    "neg ebp; lea ebp, [ebp + early_here - {nucleus}]; neg ebp",
    "lea esp, [ebp + early_stack_top - {nucleus}]",

    // The low 4 GiB, 2 MiB pages: present, writable, large.
    "mov eax, 0x83",
    "FILL early_low, 2048, 0x200000",
    "lea eax, [ebp + early_low - {nucleus} + 3]",
    "FILL early_pdpt_low, 4, 0x1000",
    // The image, 4 KiB pages, so that it may lie at any page.
    "lea eax, [ebp + 3]",
    "FILL early_image, 512, 0x1000",
    "LINK early_pd_high, 0, early_image",
    "LINK early_pdpt_high, 510, early_pd_high",
    "LINK early_pml4, 511, early_pdpt_high",
    "LINK early_pml4, 0, early_pdpt_low",
    "LINK early_pml4, {own}, early_pdpt_low",

    // CR4: PAE, OSFXSR, OSXMMEXCPT. EFER: LME, NXE. CR0: PG, WP, NE, MP; not EM.
    "mov eax, cr4; or eax, 0x620; mov cr4, eax",
    "lea eax, [ebp + early_pml4 - {nucleus}]; mov cr3, eax",
    "push edx; mov ecx, 0xc0000080; rdmsr; or eax, 0x900; wrmsr; pop edx",
    "mov eax, cr0; and eax, 0xfffffffb; or eax, 0x80010022; mov cr0, eax",

    // A flat 64-bit code segment (8) and a data segment (16), where the final table has them too; the descriptor of the table stands on the stack.
    "lea eax, [ebp + early_gdt - {nucleus}]; push eax; sub esp, 2; mov word ptr [esp], 23; lgdt [esp]",
    "lea eax, [ebp + early_long_mode - {nucleus}]; push 8; push eax; retf",

    ".code64",
    "early_long_mode:",
    "mov eax, 16; mov ss, eax",
    "xor eax, eax; mov ds, eax; mov es, eax; mov fs, eax; mov gs, eax",
    "mov edi, edx; mov esi, ebx; mov edx, ebp",
    "movabs rsp, offset early_stack_top; movabs rax, offset early_upper_half; jmp rax",
    "early_upper_half:",
    "xor ebp, ebp; call {main}; ud2",

    ".section .rodata.early_gdt, \"a\"; .balign 8",
    "early_gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff",

    ".section .bss.early, \"aw\", @nobits; .balign 4096",
    "early_pml4: .skip 4096; early_pdpt_low: .skip 4096; early_low: .skip 4 * 4096",
    "early_pdpt_high: .skip 4096; early_pd_high: .skip 4096; early_image: .skip 4096",
    ".skip {stack}",
    "early_stack_top: .text",
    pvh = const loader::PVH,
    multiboot = const loader::MULTIBOOT2,
    nucleus = const NUCLEUS.0,
    own = const OWN_MEMORY >> 39 & 511,
    stack = const BOOT_STACK,
    main = sym nucleus_main,
);

// The note by which the image linker finds its way in the nucleus (abi::note::NucleusNote).
global_asm!(
    ".section .note.metaos, \"a\", @note; .balign 4",
    ".long 7, 40, {kind}; .asciz \"metaos\"; .balign 4",
    ".long {version}, 0",
    ".quad pvh_start, multiboot_start, multiboot_header, {table}",
    ".text",
    kind = const note::TYPE_NUCLEUS,
    version = const abi::VERSION,
    table = sym super::image::TABLE,
);
