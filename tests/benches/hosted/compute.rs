//! A computation, in assembly, so that guest and process run the same instructions whatever they are compiled with.

use core::arch::asm;

/// Steps; half a second on a fast processor.
const STEPS: u64 = 200_000_000;

/// Mixes `state` for long: each step needs the one before.
pub(crate) fn mix(mut state: u64) -> u64 {
    // SAFETY: computes in registers.
    unsafe {
        asm!(
            ".p2align 5",
            "2:",
            "mov {shifted}, {state}",
            "shr {shifted}, 29",
            "xor {state}, {shifted}",
            "imul {state}, {factor}",
            "xor {state}, {steps}",
            "dec {steps}",
            "jnz 2b",
            state = inout(reg) state,
            shifted = out(reg) _,
            factor = in(reg) 0xbf58_476d_1ce4_e5b9_u64,
            steps = inout(reg) STEPS => _,
            options(nomem, nostack, pure),
        );
    }
    state
}
