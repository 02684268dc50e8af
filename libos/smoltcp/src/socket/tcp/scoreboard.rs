use crate::config::ASSEMBLER_MAX_SEGMENT_COUNT;
use crate::wire::TcpSeqNumber;

/// What the remote endpoint has told by selective ACKs (RFC 2018): which octets after the first
/// missing one it has received.
///
/// As many ranges are tracked as the assembler tracks for the other direction. What does not fit
/// is forgotten: at worst it is sent again.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Scoreboard {
    /// Disjoint, not adjacent, not empty, in ascending order.
    ranges: [Range; ASSEMBLER_MAX_SEGMENT_COUNT],
    count: usize,
}

#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Range {
    start: TcpSeqNumber,
    end: TcpSeqNumber,
}

impl Scoreboard {
    pub(super) fn new() -> Self {
        Scoreboard {
            ranges: [Range::default(); ASSEMBLER_MAX_SEGMENT_COUNT],
            count: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Add the octets `start..end` and return how many were not known before.
    pub(super) fn add(&mut self, start: TcpSeqNumber, end: TcpSeqNumber) -> usize {
        if start >= end {
            return 0;
        }
        let known = self.octets_between(start, end);
        // The ranges that the new one overlaps or touches become one with it.
        let first = self.iter().filter(|range| range.end < start).count();
        let last = self.iter().filter(|range| range.start <= end).count();
        if first == last {
            if self.count == self.ranges.len() {
                // Those in front are needed first.
                if first == self.count {
                    return 0;
                }
                self.count -= 1;
            }
            self.ranges.copy_within(first..self.count, first + 1);
            self.ranges[first] = Range { start, end };
            self.count += 1;
        } else {
            self.ranges[first] = Range {
                start: self.ranges[first].start.min(start),
                end: self.ranges[last - 1].end.max(end),
            };
            self.ranges.copy_within(last..self.count, first + 1);
            self.count -= last - first - 1;
        }
        (end - start) - known
    }

    /// Forget what lies before `seq`, all of which is acknowledged.
    pub(super) fn advance(&mut self, seq: TcpSeqNumber) {
        let gone = self.iter().filter(|range| range.end <= seq).count();
        self.ranges.copy_within(gone..self.count, 0);
        self.count -= gone;
        if self.count > 0 {
            self.ranges[0].start = self.ranges[0].start.max(seq);
        }
    }

    /// Return how many octets of `start..end` have arrived.
    pub(super) fn octets_between(&self, start: TcpSeqNumber, end: TcpSeqNumber) -> usize {
        self.iter()
            .map(|range| (range.start.max(start), range.end.min(end)))
            .filter(|(start, end)| start < end)
            .map(|(start, end)| end - start)
            .sum()
    }

    /// Return the end of the last range.
    pub(super) fn highest(&self) -> Option<TcpSeqNumber> {
        Some(self.ranges[self.count.checked_sub(1)?].end)
    }

    /// Return before which sequence number what is missing counts as lost: `threshold` ranges or
    /// more than `threshold - 1` segments' worth of octets have arrived after it (RFC 6675, IsLost).
    pub(super) fn lost_before(&self, threshold: usize, mss: usize) -> Option<TcpSeqNumber> {
        let mut octets = 0;
        for (above, range) in self.iter().rev().enumerate() {
            octets += range.end - range.start;
            if above + 1 >= threshold || octets > (threshold - 1) * mss {
                return Some(range.start);
            }
        }
        None
    }

    /// Return the first octets missing in `from..limit`.
    pub(super) fn hole(
        &self,
        from: TcpSeqNumber,
        limit: TcpSeqNumber,
    ) -> Option<(TcpSeqNumber, TcpSeqNumber)> {
        let start = self.skip(from);
        let end = self.next_start(start).map_or(limit, |next| next.min(limit));
        (start < end).then_some((start, end))
    }

    /// Return `seq`, or the end of the range that it lies in.
    #[inline]
    pub(super) fn skip(&self, seq: TcpSeqNumber) -> TcpSeqNumber {
        self.iter()
            .find(|range| range.start <= seq && seq < range.end)
            .map_or(seq, |range| range.end)
    }

    /// Return where the first range after `seq` starts.
    #[inline]
    pub(super) fn next_start(&self, seq: TcpSeqNumber) -> Option<TcpSeqNumber> {
        let mut starts = self.iter().map(|range| range.start);
        starts.find(|start| *start >= seq)
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Range> + ExactSizeIterator {
        self.ranges[..self.count].iter()
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::vec::Vec;

    fn seq(at: usize) -> TcpSeqNumber {
        TcpSeqNumber(i32::MAX - 50) + at
    }

    fn ranges(board: &Scoreboard) -> Vec<(usize, usize)> {
        let range = |range: &Range| (range.start - seq(0), range.end - seq(0));
        board.iter().map(range).collect()
    }

    #[test]
    fn ranges_merge_and_are_counted_once() {
        let mut board = Scoreboard::new();
        assert_eq!(board.add(seq(10), seq(20)), 10);
        assert_eq!(board.add(seq(10), seq(20)), 0);
        assert_eq!(board.add(seq(30), seq(40)), 10);
        assert_eq!(board.add(seq(50), seq(60)), 10);
        assert_eq!(ranges(&board), [(10, 20), (30, 40), (50, 60)]);
        assert_eq!(board.add(seq(20), seq(25)), 5);
        assert_eq!(board.add(seq(35), seq(55)), 10);
        assert_eq!(ranges(&board), [(10, 25), (30, 60)]);
        assert_eq!(board.add(seq(5), seq(70)), 20);
        assert_eq!(ranges(&board), [(5, 70)]);
        assert_eq!(board.add(seq(70), seq(70)), 0);
        board.advance(seq(60));
        assert_eq!(ranges(&board), [(60, 70)]);
        board.advance(seq(70));
        assert!(board.is_empty());
    }

    #[test]
    fn a_full_board_keeps_the_lowest() {
        let mut board = Scoreboard::new();
        for i in 1..=ASSEMBLER_MAX_SEGMENT_COUNT {
            assert_eq!(board.add(seq(i * 10), seq(i * 10 + 5)), 5);
        }
        assert_eq!(board.add(seq(100_000), seq(100_001)), 0);
        assert_eq!(board.add(seq(1), seq(3)), 2);
        assert_eq!(ranges(&board)[0], (1, 3));
        assert_eq!(board.count, ASSEMBLER_MAX_SEGMENT_COUNT);
        assert_eq!(
            board.add(seq(0), seq(100_000)),
            100_000 - 2 - 5 * (board_size() - 1)
        );
        assert_eq!(ranges(&board), [(0, 100_000)]);
    }

    fn board_size() -> usize {
        ASSEMBLER_MAX_SEGMENT_COUNT
    }

    #[test]
    fn holes_are_found() {
        let mut board = Scoreboard::new();
        assert_eq!(board.hole(seq(0), seq(10)), Some((seq(0), seq(10))));
        board.add(seq(10), seq(20));
        board.add(seq(30), seq(40));
        assert_eq!(board.hole(seq(0), seq(40)), Some((seq(0), seq(10))));
        assert_eq!(board.hole(seq(10), seq(40)), Some((seq(20), seq(30))));
        assert_eq!(board.hole(seq(25), seq(28)), Some((seq(25), seq(28))));
        assert_eq!(board.hole(seq(30), seq(40)), None);
        assert_eq!(board.skip(seq(30)), seq(40));
        assert_eq!(board.skip(seq(40)), seq(40));
        assert_eq!(board.highest(), Some(seq(40)));
    }

    #[test]
    fn three_ranges_or_two_segments_tell_of_a_loss() {
        let mut board = Scoreboard::new();
        assert_eq!(board.lost_before(3, 100), None);
        board.add(seq(100), seq(300));
        assert_eq!(board.lost_before(3, 100), None);
        board.add(seq(300), seq(301));
        assert_eq!(board.lost_before(3, 100), Some(seq(100)));
        board.clear();
        for at in [10, 20, 30] {
            board.add(seq(at), seq(at + 1));
        }
        assert_eq!(board.lost_before(3, 100), Some(seq(10)));
        board.add(seq(40), seq(41));
        assert_eq!(board.lost_before(3, 100), Some(seq(20)));
    }
}
