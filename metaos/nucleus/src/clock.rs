//! The clock: how fast the time-stamp counter runs, and the timer armed by it.
//!
//! Hypervisors and recent CPUs say the frequency by CPUID. Elsewhere it is measured once against the interval timer
//! (Intel 8254), asleep between two readings so that it costs time but no instructions.

use crate::apic;
use crate::privileged::{port_read, port_write, wait_for_interrupt};
use core::arch::x86_64::{__cpuid, _rdtsc};

const NS_PER_S: u64 = 1_000_000_000;
/// Ticks of the interval timer a second.
const PIT_HZ: u64 = 1_193_182;
/// How long the measurement lasts, in ticks of the interval timer: 2 ms.
const PIT_TICKS: u64 = 2386;
/// Interval of wake-ups while measuring, in APIC timer ticks: 0.1 ms in QEMU, up to 4 ms on slow buses.
const WAKE_UP_TICKS: u32 = 100_000;
/// Most wake-ups before the interval timer counts as broken.
const MAX_WAKE_UPS: u64 = 2000;
/// Used if nothing tells the frequency; wrong times are better than no boot.
const UNKNOWN_HZ: u64 = 1_000_000_000;

/// The clock's rates. The timer is that of the local APIC.
pub(crate) struct Clock {
    /// Time-stamp counter at nanosecond 0.
    pub(crate) tsc_at_boot: u64,
    /// Nanoseconds a tick, times 2^32.
    pub(crate) multiplier: u64,
    /// Ticks that the timer counts in a nanosecond, times 2^32.
    ticks_per_ns: u64,
}

/// A moment by three clocks.
struct Sample {
    tsc: u64,
    pit: u16,
    apic: u64,
}

impl Clock {
    /// Finds the rates.
    pub(crate) fn calibrate() -> Self {
        let tsc_at_boot = read_tsc();
        let (tsc_hz, apic_hz) = frequencies_told().or_else(measure).unwrap_or((UNKNOWN_HZ, UNKNOWN_HZ));
        let timer_hz = if apic::start_one_shot() { tsc_hz } else { apic_hz };
        Self { tsc_at_boot, multiplier: ratio(NS_PER_S, tsc_hz), ticks_per_ns: ratio(timer_hz, NS_PER_S) }
    }

    /// Returns nanoseconds since boot.
    pub(crate) fn now_ns(&self) -> u64 {
        scale(read_tsc().wrapping_sub(self.tsc_at_boot), self.multiplier)
    }

    /// Arms the timer for `deadline_ns`; never later, earlier only if the timer cannot count so far. Leaves it as it is
    /// for `u64::MAX`, which never comes: an interrupt for a deadline that no longer counts does no harm.
    pub(crate) fn arm(&self, deadline_ns: u64) {
        if deadline_ns != u64::MAX {
            apic::arm(scale(deadline_ns.saturating_sub(self.now_ns()), self.ticks_per_ns).max(1));
        }
    }
}

/// Reads the time-stamp counter.
pub(crate) fn read_tsc() -> u64 {
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

/// Returns the frequencies of time-stamp counter and APIC timer that CPUID tells: the hypervisors' leaf (`VMware`'s,
/// KVM's too), then the CPU's own, whose timer counts the crystal (SDM 3B 20.7.3).
fn frequencies_told() -> Option<(u64, u64)> {
    const HYPERVISOR: u32 = 1 << 31;
    let is_guest = __cpuid(1).ecx & HYPERVISOR != 0 && __cpuid(0x4000_0000).eax >= 0x4000_0010;
    let khz = is_guest.then(|| __cpuid(0x4000_0010)).filter(|leaf| leaf.eax != 0 && leaf.ebx != 0);
    if let Some(leaf) = khz {
        return Some((u64::from(leaf.eax) * 1000, u64::from(leaf.ebx) * 1000));
    }
    let own = (__cpuid(0).eax >= 0x15).then(|| __cpuid(0x15));
    let own = own.filter(|leaf| leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0)?;
    Some((u64::from(own.ecx) * u64::from(own.ebx) / u64::from(own.eax), u64::from(own.ecx)))
}

/// Measures these frequencies; `None` without an interval timer.
fn measure() -> Option<(u64, u64)> {
    start_interval_timer();
    apic::start_periodic(WAKE_UP_TICKS);
    let start = sample();
    for wake_ups in 1..=MAX_WAKE_UPS {
        wait_for_interrupt();
        let now = sample();
        let pit_ticks = u64::from(start.pit.wrapping_sub(now.pit));
        if pit_ticks >= PIT_TICKS {
            // The timer counts down.
            let apic_ticks = wake_ups * u64::from(WAKE_UP_TICKS) + start.apic - now.apic;
            let to_hz = |ticks: u64| ticks.saturating_mul(PIT_HZ) / pit_ticks;
            return Some((to_hz(now.tsc - start.tsc), to_hz(apic_ticks)));
        }
    }
    None
}

/// Starts channel 2 of the interval timer, which no interrupt hangs on, counting 65 536 down over and over.
fn start_interval_timer() {
    const GATE_ON_SPEAKER_OFF: u8 = 1;
    port_write(0x61, port_read::<u8>(0x61) & !3 | GATE_ON_SPEAKER_OFF);
    // Channel 2, low byte then high byte, mode 2 (rate generator).
    port_write(0x43, 0b1011_0100_u8);
    port_write(0x42, 0_u8);
    port_write(0x42, 0_u8);
}

/// Reads the clocks as close together as five tries allow.
fn sample() -> Sample {
    let tries = [(); 5].map(|()| {
        let before = read_tsc();
        // Latches channel 2.
        port_write(0x43, 0b1000_0000_u8);
        let apic = apic::ticks_left();
        let duration = read_tsc() - before;
        let pit = u16::from_le_bytes([port_read(0x42), port_read(0x42)]);
        (duration, Sample { tsc: before + duration / 2, pit, apic })
    });
    let best = tries.into_iter().min_by_key(|(duration, _)| *duration);
    best.expect("there are five tries").1
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
