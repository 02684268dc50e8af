//! Random bytes from the CPU (SDM 1, 7.3.17).

use core::arch::x86_64::{__cpuid, _rdrand64_step};

const CPUID_FEATURES: u32 = 1;
const ECX_RDRAND: u32 = 1 << 30;
/// RDRAND may come up empty when asked too fast; ten tries in a row never do on a sound CPU (SDM 1, 7.3.17.1).
const TRIES: usize = 10;

/// Returns 32 random bytes, or `None` if the CPU has no RDRAND, or one that is stuck.
pub(crate) fn random() -> Option<[u8; 32]> {
    if !has_rdrand() {
        return None;
    }
    let mut bytes = [0; 32];
    let mut last = None;
    for chunk in bytes.as_chunks_mut::<8>().0 {
        let word = next_word().filter(|word| last != Some(*word))?;
        last = Some(word);
        *chunk = word.to_le_bytes();
    }
    Some(bytes)
}

fn next_word() -> Option<u64> {
    (0..TRIES).find_map(|_| {
        let mut word = 0;
        // SAFETY: `has_rdrand` was asked first.
        let is_filled = unsafe { _rdrand64_step(&mut word) };
        // Some CPUs claim success and return all ones after a suspend.
        (is_filled == 1 && word != u64::MAX).then_some(word)
    })
}

fn has_rdrand() -> bool {
    __cpuid(CPUID_FEATURES).ecx & ECX_RDRAND != 0
}
