use crate::time::{Duration, Instant};
use crate::wire::TcpSeqNumber;

/// When missing segments count as lost on a path that reorders (after RACK, RFC 8985).
///
/// On most paths, a segment that three others have overtaken is lost. On a path that has delivered
/// segments late before, it counts as lost when it is still missing some time after that. RACK
/// remembers when each segment was sent. This remembers a few edges before which everything missing
/// had been overtaken, and when that was so, which costs no memory per segment.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Reordering {
    /// How many quarters of the shortest round trip to wait. Zero until a segment came late.
    quarters: u32,
    /// Everything missing before here is lost.
    lost_before: Option<TcpSeqNumber>,
    /// Edges in ascending order, with the times when they were seen first.
    edges: [(Instant, TcpSeqNumber); EDGES],
    count: usize,
}

const EDGES: usize = 4;
/// The longest wait is a round trip.
const MOST_QUARTERS: u32 = 4;

impl Reordering {
    pub(super) fn new() -> Self {
        Reordering {
            quarters: 0,
            lost_before: None,
            edges: [(Instant::ZERO, TcpSeqNumber(0)); EDGES],
            count: 0,
        }
    }

    pub(super) fn is_seen(&self) -> bool {
        self.quarters > 0
    }

    /// Note that a segment came late, but before it was sent again.
    pub(super) fn on_late(&mut self) {
        self.quarters = self.quarters.max(1);
    }

    /// Note that a segment came so late that it had been sent again.
    pub(super) fn on_spurious(&mut self) {
        self.quarters = (self.quarters + 1).min(MOST_QUARTERS);
    }

    /// Forget the edges: nothing is missing.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.lost_before = None;
    }

    /// Before which sequence number what is missing is lost.
    pub(super) fn lost_before(&self) -> Option<TcpSeqNumber> {
        self.lost_before
    }

    /// Note that everything missing before `edge` has been overtaken.
    pub(super) fn observe(&mut self, now: Instant, edge: Option<TcpSeqNumber>, min_rtt: u32) {
        let wait = self.wait(min_rtt);
        let ripe = self.edges[..self.count]
            .iter()
            .filter(|(seen, _)| *seen + wait <= now)
            .count();
        if ripe > 0 {
            self.lost_before = Some(self.edges[ripe - 1].1);
            self.edges.copy_within(ripe..self.count, 0);
            self.count -= ripe;
        }
        let Some(edge) = edge else { return };
        let (last_seen, last) = match self.count {
            0 => (None, self.lost_before),
            count => (Some(self.edges[count - 1].0), Some(self.edges[count - 1].1)),
        };
        let is_news = last.is_none_or(|last| edge > last);
        let is_time = last_seen.is_none_or(|last| now >= last + wait / EDGES as u32);
        if is_news && is_time && self.count < EDGES {
            self.edges[self.count] = (now, edge);
            self.count += 1;
        }
    }

    /// Return when the next edge has waited for long enough.
    pub(super) fn deadline(&self, min_rtt: u32) -> Option<Instant> {
        (self.count > 0).then(|| self.edges[0].0 + self.wait(min_rtt))
    }

    fn wait(&self, min_rtt: u32) -> Duration {
        Duration::from_micros(u64::from(min_rtt / 4) * u64::from(self.quarters))
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }

    fn seq(at: i32) -> Option<TcpSeqNumber> {
        Some(TcpSeqNumber(at))
    }

    #[test]
    fn what_stays_missing_for_a_quarter_of_a_round_trip_is_lost() {
        let mut path = Reordering::new();
        assert!(!path.is_seen());
        path.on_late();
        assert!(path.is_seen());
        path.observe(at(0), seq(100), 20_000);
        assert_eq!(path.lost_before(), None);
        assert_eq!(path.deadline(20_000), Some(at(5)));
        path.observe(at(4), seq(200), 20_000);
        assert_eq!(path.lost_before(), None);
        path.observe(at(5), seq(300), 20_000);
        assert_eq!(path.lost_before(), seq(100));
        assert_eq!(path.deadline(20_000), Some(at(9)));
        path.observe(at(20), None, 20_000);
        assert_eq!(path.lost_before(), seq(200));
        path.observe(at(20), seq(300), 20_000);
        path.observe(at(25), seq(300), 20_000);
        assert_eq!(path.lost_before(), seq(300));
        assert_eq!(path.deadline(20_000), None);
    }

    #[test]
    fn spurious_retransmissions_make_it_wait_for_longer() {
        let mut path = Reordering::new();
        path.on_spurious();
        path.on_spurious();
        path.observe(at(0), seq(100), 20_000);
        assert_eq!(path.deadline(20_000), Some(at(10)));
        for _ in 0..100 {
            path.on_spurious();
        }
        assert_eq!(path.deadline(20_000), Some(at(20)));
    }
}
