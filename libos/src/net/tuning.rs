//! What may be set of TCP on the command line, for paths where the usual values are not the best.

use smoltcp::socket::tcp::CongestionControl;
use smoltcp::time::Duration;

/// The settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tuning {
    /// Shortest time after which a segment that nobody has acknowledged is sent again.
    pub(crate) min_rto: Duration,
    /// How the congestion window grows and shrinks.
    pub(crate) congestion: CongestionControl,
}

impl Tuning {
    /// What is usual: Linux has the same.
    pub(crate) const DEFAULT: Self =
        Self { min_rto: Duration::from_millis(200), congestion: CongestionControl::Cubic };

    /// Reads the words `net.min_rto_ms=` and `net.congestion=`, each a name and its value. What makes no sense is left
    /// at its default and returned for a warning.
    pub(crate) fn from_words<'a>(
        words: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Option<&'static str>) {
        let mut tuning = Self::DEFAULT;
        let mut wrong = None;
        for (name, value) in words {
            match (name, value, value.parse::<u16>()) {
                ("net.min_rto_ms", _, Ok(milliseconds @ 1..)) => {
                    tuning.min_rto = Duration::from_millis(u64::from(milliseconds));
                }
                ("net.min_rto_ms", ..) => {
                    wrong = Some("net.min_rto_ms is not a number of milliseconds; write for example 200");
                }
                ("net.congestion", "reno", _) => tuning.congestion = CongestionControl::Reno,
                ("net.congestion", "cubic", _) => tuning.congestion = CongestionControl::Cubic,
                ("net.congestion", ..) => wrong = Some("net.congestion is neither reno nor cubic"),
                _ => {}
            }
        }
        (tuning, wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_set_what_they_name() {
        let words = [("net.min_rto_ms", "20"), ("net.congestion", "reno"), ("net.ip", "10.0.0.1/8")];
        let (tuning, wrong) = Tuning::from_words(words.into_iter());
        let expected = Tuning { min_rto: Duration::from_millis(20), congestion: CongestionControl::Reno };
        assert_eq!((tuning, wrong), (expected, None));
    }

    #[test]
    fn words_that_make_no_sense_change_nothing() {
        for word in [("net.min_rto_ms", "0"), ("net.min_rto_ms", "-1"), ("net.congestion", "bbr")] {
            let (tuning, wrong) = Tuning::from_words([word].into_iter());
            assert_eq!(tuning, Tuning::DEFAULT);
            assert!(wrong.is_some());
        }
    }
}
