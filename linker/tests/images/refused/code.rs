//! Instructions that may not be there.

use super::{Case, bad_guest, bad_nucleus};
use crate::samples::{guest, guest_with_main, nucleus};

/// Machine code that may not be there.
pub(super) fn instructions() -> Vec<Case> {
    let main = |file, code: &[u8], message| bad_guest(file, guest_with_main(code).build(), message);
    let mut nucleus_with_avx = nucleus();
    nucleus_with_avx.segments[0].bytes.extend_from_slice(&[0xc5, 0xfd, 0xef, 0xc0]);
    let mut hidden = guest();
    hidden.segments[0].bytes.extend_from_slice(&[0x0f, 0x0b, 0x06, 0xf4]); // ud2, no instruction, hlt
    vec![
        main(
            "halt.elf",
            &[0xf4],
            "instruction `hlt` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "port-write.elf",
            &[0xb0, 0x00, 0xe6, 0xf4],
            "instruction `out` at 0x60000000000f in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "page-table-switch.elf",
            &[0x0f, 0x22, 0xd8],
            "instruction `mov` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "descriptor-table-read.elf",
            &[0x0f, 0x01, 0x44, 0x24, 0xf0],
            "instruction `sgdt` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "protection-keys.elf",
            &[0x0f, 0x01, 0xef],
            "instruction `wrpkru` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "second-syscall.elf",
            &[0x0f, 0x05],
            "instruction `syscall` at 0x60000000000d in hello::main, segment 0 (.text), enters ring 0 beside \
             the gate; call through the gate",
        ),
        main(
            "interrupt-call.elf",
            &[0xcd, 0x80],
            "instruction `int` at 0x60000000000d in hello::main, segment 0 (.text), enters ring 0 beside \
             the gate; call through the gate",
        ),
        main(
            "avx.elf",
            &[0xc5, 0xf8, 0x28, 0xc1],
            "instruction `vmovaps` at 0x60000000000d in hello::main, segment 0 (.text), is VEX-coded; \
             build without target features and target-cpu, for plain x86-64",
        ),
        main(
            "avx512.elf",
            &[0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1],
            "instruction `vmovaps` at 0x60000000000d in hello::main, segment 0 (.text), is VEX-coded; \
             build without target features and target-cpu, for plain x86-64",
        ),
        bad_guest(
            "hidden-halt.elf",
            hidden.build(),
            "instruction `hlt` at 0x600000000013, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        bad_nucleus(
            "avx-nucleus.elf",
            nucleus_with_avx.build(),
            "instruction `vpxor` at 0xffffffff8000002e, segment 0 (.text), is VEX-coded; \
             build without target features and target-cpu, for plain x86-64",
        ),
    ]
}
