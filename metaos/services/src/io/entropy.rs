//! Random bytes: a `ChaCha20` generator, seeded from the CPU, from a virtio-rng device and from the machine below.
//!
//! Each source alone suffices, and neither can spoil the other: its bytes go through the cipher into the key (RFC
//! 8439's block function as a pseudo-random function), so a source that lies takes away nothing. Timing is mixed in
//! and not counted. With no source at all there is an error and no bytes: a guest without secrets must not open
//! connections.

pub(crate) mod cpu;
mod device;
mod pool;

use crate::{clock, machine};
use core::fmt;
use pool::Pool;
use spin::Mutex;

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// The machine has no source of random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoEntropy;

/// Fills `bytes` with random bytes fit for keys. The first call gathers the seed, which takes a moment.
///
/// # Errors
///
/// [`NoEntropy`] if the machine has neither RDRAND nor a virtio-rng device that answers.
pub fn fill(bytes: &mut [u8]) -> Result<(), NoEntropy> {
    let mut pool = POOL.lock();
    if pool.is_none() {
        *pool = Some(gather()?);
    }
    pool.as_mut().ok_or(NoEntropy)?.fill(bytes);
    Ok(())
}

fn gather() -> Result<Pool, NoEntropy> {
    let from_cpu = if clock::is_simulated() { None } else { cpu::random() };
    let from_device = device::random();
    let mut seed = [0; 32];
    let from_below = machine::current().random(&mut seed).then_some(seed);
    if from_cpu.is_none() && from_device.is_none() && from_below.is_none() {
        return Err(NoEntropy);
    }
    let mut pool = Pool::new();
    for seed in [from_cpu, from_device, from_below].into_iter().flatten() {
        pool.absorb(&seed);
    }
    pool.absorb_time();
    Ok(pool)
}

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no source of random bytes; use a CPU with RDRAND or add a virtio-rng device")
    }
}

impl core::error::Error for NoEntropy {}

#[cfg(test)]
mod tests;
