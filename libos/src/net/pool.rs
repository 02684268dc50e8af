//! Connections that wait to be used again, with their buffers.
//!
//! Making a connection costs fresh memory; a used one costs nothing. A connection has no buffers until there is
//! something to put into them, small ones from then on, and large ones while it is busy: so a few are fast and many
//! fit. What all of them may take together is bounded by the memory that the guest was started with.

use super::connection::Connection;
use super::tuning::Tuning;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use smoltcp::socket::tcp::{BufferBudget, ElasticBuffers};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How much memory connections may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BufferPlan {
    /// Bytes of each buffer of a connection that is not busy.
    pub(crate) floor: usize,
    /// Most bytes of one buffer.
    pub(crate) most: usize,
    /// Bytes that all buffers together may take beyond their floors.
    pub(crate) budget: usize,
    /// How many connections there may be at once.
    pub(crate) limit: usize,
}

impl BufferPlan {
    /// Returns the plan for a guest with `memory` bytes: half of them for connections that are not busy, a quarter for
    /// what busy ones take beyond that.
    pub(crate) fn for_memory(memory: usize) -> Self {
        let floor = if memory < 24 * MIB { 2 * KIB } else { 4 * KIB };
        let limit = (memory / 2 / (2 * floor + Connection::BYTES)).max(4);
        let budget = memory / 4;
        // Four busy ones have as much as they like.
        let most = (budget / 8).clamp(floor, 4 * MIB);
        Self { floor, most, budget, limit }
    }
}

/// The unused connections, and the count of the used ones.
#[expect(clippy::vec_box, reason = "a connection is taken and given back without being moved or allocated")]
#[derive(Debug)]
pub(crate) struct Pool {
    limit: usize,
    buffers: ElasticBuffers,
    pub(super) tuning: Tuning,
    idle: Vec<Box<Connection>>,
    pub(super) used: usize,
}

impl Pool {
    pub(crate) fn new(plan: BufferPlan) -> Self {
        let budget = Arc::new(BufferBudget::new(plan.budget));
        Self {
            limit: plan.limit,
            buffers: ElasticBuffers { budget, floor: plan.floor, most: plan.most },
            tuning: Tuning::DEFAULT,
            idle: Vec::new(),
            used: 0,
        }
    }

    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many connections are kept unused.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Returns how many bytes buffers may still take beyond their floors.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn budget_left(&self) -> usize {
        self.buffers.budget.left()
    }

    /// Takes a connection, or `None` if as many are in use as memory allows.
    pub(crate) fn take(&mut self) -> Option<Box<Connection>> {
        if self.used >= self.limit {
            return None;
        }
        self.used += 1;
        Some(self.idle.pop().unwrap_or_else(|| Box::new(Connection::new(self.buffers.clone(), self.tuning))))
    }

    /// Gives a connection back. An eighth as many as may be in use are kept, with small buffers; the others are freed.
    pub(crate) fn give_back(&mut self, mut connection: Box<Connection>) {
        self.used -= 1;
        if self.idle.len() < (self.limit / 8).max(1) {
            connection.socket_mut().shrink_buffers();
            self.idle.push(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_never_exceeds_three_quarters_of_the_memory() {
        for mib in [2, 8, 16, 32, 64, 128, 256, 1024] {
            let plan = BufferPlan::for_memory(mib * MIB);
            let connection = 2 * plan.floor + Connection::BYTES;
            assert!(plan.limit * connection + plan.budget <= mib * MIB / 4 * 3, "{mib} MiB: {plan:?}");
        }
    }

    #[test]
    fn ten_thousand_idle_connections_take_less_than_twelve_kibibytes_each() {
        let plan = BufferPlan::for_memory(256 * MIB);
        assert!(plan.limit >= 10_000, "{plan:?}");
        assert!(plan.most >= 2 * MIB, "{plan:?}");
        const { assert!(Connection::BYTES <= 2 * KIB) };
        assert_eq!(2 * plan.floor, 8 * KIB);
    }

    #[test]
    fn connections_are_used_again() {
        let plan = BufferPlan { floor: 1024, most: 2048, budget: 4096, limit: 8 };
        let mut pool = Pool::new(plan);
        let taken: Vec<_> = core::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), 8);
        for connection in taken {
            pool.give_back(connection);
        }
        assert_eq!(pool.idle.len(), 1);
        assert_eq!(pool.used, 0);
        assert!(pool.take().is_some());
        assert_eq!(pool.idle.len(), 0);
    }
}
