//! Connections that wait to be used again, with their buffers.
//!
//! Making a connection costs fresh zeroed memory; a used one costs nothing. The first connections get large
//! buffers, later ones small ones, so that a few are fast and many still fit, and the number is bounded by the
//! memory that the guest was started with.

use super::connection::Connection;
use alloc::boxed::Box;
use alloc::vec::Vec;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How much memory connections may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BufferPlan {
    /// Bytes of each buffer of the first connections.
    pub(crate) large: usize,
    /// Bytes of each buffer of the others.
    pub(crate) small: usize,
    /// How many may be large.
    pub(crate) large_limit: usize,
    /// How many there may be at once.
    pub(crate) limit: usize,
}

impl BufferPlan {
    /// Returns the plan for a guest with `memory` bytes: an eighth of them for large buffers, a quarter for small.
    pub(crate) fn for_memory(memory: usize) -> Self {
        let large = match memory / MIB {
            0..24 => 8 * KIB,
            24..96 => 16 * KIB,
            _ => 64 * KIB,
        };
        let small = large.min(8 * KIB);
        let large_limit = (memory / 8 / (2 * large)).max(4);
        let limit = large_limit + memory / 4 / (2 * small);
        Self { large, small, large_limit, limit }
    }
}

/// The unused connections, and the count of the used ones.
#[expect(clippy::vec_box, reason = "a connection is taken and given back without being moved or allocated")]
#[derive(Debug)]
pub(crate) struct Pool {
    plan: BufferPlan,
    large: Vec<Box<Connection>>,
    small: Vec<Box<Connection>>,
    large_used: usize,
    pub(super) used: usize,
}

impl Pool {
    pub(crate) const fn new(plan: BufferPlan) -> Self {
        Self { plan, large: Vec::new(), small: Vec::new(), large_used: 0, used: 0 }
    }

    pub(crate) fn limit(&self) -> usize {
        self.plan.limit
    }

    /// Returns how many connections are kept unused.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn idle(&self) -> usize {
        self.large.len() + self.small.len()
    }

    /// Takes a connection, or `None` if as many are in use as memory allows.
    pub(crate) fn take(&mut self) -> Option<Box<Connection>> {
        if self.used >= self.plan.limit {
            return None;
        }
        self.used += 1;
        let (idle, size) = if self.large_used < self.plan.large_limit {
            self.large_used += 1;
            (&mut self.large, self.plan.large)
        } else {
            (&mut self.small, self.plan.small)
        };
        Some(idle.pop().unwrap_or_else(|| Box::new(Connection::with_buffers(size))))
    }

    /// Gives a connection back. Half as many as may be in use are kept, the others are freed.
    pub(crate) fn give_back(&mut self, connection: Box<Connection>) {
        self.used -= 1;
        let is_large = connection.buffer_size() == self.plan.large && self.large_used > 0;
        let (idle, most) = if is_large {
            self.large_used -= 1;
            (&mut self.large, self.plan.large_limit / 2)
        } else {
            (&mut self.small, self.plan.limit / 8)
        };
        if idle.len() < most {
            idle.push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_never_exceeds_half_of_the_memory() {
        for mib in [8, 16, 32, 64, 128, 256, 1024] {
            let plan = BufferPlan::for_memory(mib * MIB);
            let most = plan.large_limit * 2 * plan.large + (plan.limit - plan.large_limit) * 2 * plan.small;
            assert!(most <= mib * MIB / 2, "{mib} MiB: {plan:?}");
        }
    }

    #[test]
    fn buffers_are_used_again() {
        let plan = BufferPlan { large: 2048, small: 1024, large_limit: 2, limit: 3 };
        let mut pool = Pool::new(plan);
        let taken: Vec<_> = core::iter::from_fn(|| pool.take()).collect();
        let sizes: Vec<_> = taken.iter().map(|connection| connection.buffer_size()).collect();
        assert_eq!(sizes, [2048, 2048, 1024]);
        for connection in taken {
            pool.give_back(connection);
        }
        assert_eq!(pool.large.len(), 1);
        assert_eq!(pool.used, 0);
        assert!(pool.take().is_some());
        assert_eq!(pool.large.len(), 0);
    }
}
