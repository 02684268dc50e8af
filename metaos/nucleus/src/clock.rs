//! The clock: how fast the time-stamp counter runs, and the timer armed by it.
//!
//! Hypervisors and recent CPUs say the frequency by CPUID. Elsewhere it is measured once against the interval timer
//! (Intel 8254), asleep between two readings so that it costs time but no instructions.

use crate::apic::LocalApic;
use crate::privileged::{port_read_u8, port_write_u8, wait_for_interrupt};
use core::arch::x86_64::{__cpuid, __cpuid_count, _rdtsc};

/// Ticks of the interval timer a second.
const PIT_HZ: u64 = 1_193_182;
/// How long the measurement lasts, in ticks of the interval timer: 2 ms.
const PIT_TICKS: u64 = 2386;
/// Interval of wake-ups while measuring, in APIC timer ticks: 0.1 ms in QEMU, up to 4 ms on slow buses.
const WAKE_UP_TICKS: u32 = 100_000;
/// Most wake-ups before the interval timer counts as broken.
const MAX_WAKE_UPS: u32 = 2000;
/// Used if nothing tells the frequency; wrong times are better than no boot.
const UNKNOWN_HZ: u64 = 1_000_000_000;

/// The clock's rates.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Time-stamp counter at nanosecond 0.
    pub tsc_at_boot: u64,
    /// Nanoseconds a tick, times 2^32.
    pub multiplier: u64,
    ticks_per_ns: u64,
    apic_ticks_per_ns: u64,
}

/// A moment by both clocks.
struct Sample {
    tsc: u64,
    pit: u16,
}

impl Clock {
    /// Finds the rates.
    #[must_use]
    pub fn calibrate(apic: &LocalApic) -> Self {
        let tsc_at_boot = read_tsc();
        let told = frequency_told();
        let (tsc_hz, apic_hz) = match told {
            Some(hz) if apic.has_deadline() => (hz, 0),
            told => {
                let (tsc_hz, apic_hz) = measure(apic).unwrap_or((UNKNOWN_HZ, UNKNOWN_HZ));
                (told.unwrap_or(tsc_hz), apic_hz)
            }
        };
        Self {
            tsc_at_boot,
            multiplier: ratio(1_000_000_000, tsc_hz),
            ticks_per_ns: ratio(tsc_hz, 1_000_000_000),
            apic_ticks_per_ns: ratio(apic_hz, 1_000_000_000),
        }
    }

    /// Returns nanoseconds since boot.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        scale(read_tsc().wrapping_sub(self.tsc_at_boot), self.multiplier)
    }

    /// Arms the timer for `deadline_ns`; never later, earlier only if the timer cannot count so far.
    pub fn arm(&self, apic: &LocalApic, deadline_ns: u64) {
        if apic.has_deadline() {
            apic.arm_deadline(self.tsc_at_boot.saturating_add(scale(deadline_ns, self.ticks_per_ns)));
        } else {
            let left = deadline_ns.saturating_sub(self.now_ns());
            apic.arm_count(scale(left, self.apic_ticks_per_ns));
        }
    }
}

/// Reads the time-stamp counter.
#[must_use]
pub fn read_tsc() -> u64 {
    // SAFETY: every 64-bit CPU has the instruction, and ring 0 may always use it.
    unsafe { _rdtsc() }
}

/// Returns `value * ratio / 2^32`, saturated.
fn scale(value: u64, ratio: u64) -> u64 {
    u64::try_from((u128::from(value) * u128::from(ratio)) >> 32).unwrap_or(u64::MAX)
}

/// Returns `dividend * 2^32 / divisor`.
fn ratio(dividend: u64, divisor: u64) -> u64 {
    u64::try_from((u128::from(dividend) << 32) / u128::from(divisor.max(1))).unwrap_or(u64::MAX)
}

/// Returns the frequency that CPUID tells: the hypervisors' leaf (`VMware`'s, KVM's too), then the CPU's own (SDM 3B
/// 20.7.3).
fn frequency_told() -> Option<u64> {
    const HYPERVISOR: u32 = 1 << 31;
    if __cpuid(1).ecx & HYPERVISOR != 0 && __cpuid(0x4000_0000).eax >= 0x4000_0010 {
        let khz = __cpuid(0x4000_0010).eax;
        if khz != 0 {
            return Some(u64::from(khz) * 1000);
        }
    }
    if __cpuid(0).eax >= 0x15 {
        let leaf = __cpuid_count(0x15, 0);
        if leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0 {
            return Some(u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax));
        }
    }
    None
}

/// Measures the frequencies of time-stamp counter and APIC timer; `None` without an interval timer.
fn measure(apic: &LocalApic) -> Option<(u64, u64)> {
    start_interval_timer();
    apic.start_periodic(WAKE_UP_TICKS);
    let start = sample();
    let apic_start = apic.periodic_ticks(WAKE_UP_TICKS);
    let mut wake_ups = 0;
    let end = loop {
        wait_for_interrupt();
        let now = sample();
        let elapsed = u64::from(start.pit.wrapping_sub(now.pit));
        wake_ups += 1;
        if elapsed >= PIT_TICKS {
            break Some(now);
        }
        if wake_ups == MAX_WAKE_UPS {
            break None;
        }
    };
    let apic_ticks = apic.periodic_ticks(WAKE_UP_TICKS) - apic_start;
    apic.start_one_shot();
    let end = end?;
    let pit_ticks = u64::from(start.pit.wrapping_sub(end.pit));
    let to_hz = |ticks: u64| ticks.saturating_mul(PIT_HZ) / pit_ticks;
    Some((to_hz(end.tsc - start.tsc), to_hz(apic_ticks)))
}

/// Starts channel 2 of the interval timer, which no interrupt hangs on, counting 65 536 down over and over.
fn start_interval_timer() {
    const GATE_ON_SPEAKER_OFF: u8 = 1;
    port_write_u8(0x61, port_read_u8(0x61) & !3 | GATE_ON_SPEAKER_OFF);
    // Channel 2, low byte then high byte, mode 2 (rate generator).
    port_write_u8(0x43, 0b1011_0100);
    port_write_u8(0x42, 0);
    port_write_u8(0x42, 0);
}

/// Reads both clocks as close together as five tries allow.
fn sample() -> Sample {
    let mut best = Sample { tsc: 0, pit: 0 };
    let mut least = u64::MAX;
    for _ in 0..5 {
        let before = read_tsc();
        // Latches channel 2.
        port_write_u8(0x43, 0b1000_0000);
        let after = read_tsc();
        let pit = u16::from_le_bytes([port_read_u8(0x42), port_read_u8(0x42)]);
        if after - before < least {
            least = after - before;
            best = Sample { tsc: before + (after - before) / 2, pit };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_convert_there_and_back() {
        let (multiplier, back) = (ratio(1_000_000_000, 2_500_000_000), ratio(2_500_000_000, 1_000_000_000));
        assert_eq!(scale(2_500_000_000, multiplier), 999_999_999);
        assert_eq!(scale(1_000_000_000, back), 2_500_000_000);
        assert_eq!(scale(u64::MAX, back), u64::MAX);
    }
}
