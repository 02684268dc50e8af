//! Medians and spreads of few runs.
//!
//! With five runs a mean follows the one that the host disturbed; the median does not, and the extremes say how much
//! there was to disturb.

/// Median and extremes of some values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Summary {
    /// The value in the middle, or between the two there.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Summary {
    /// Summarises `values`; `None`: there are none, or one is no number.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Self { median, least, greatest })
    }
}

/// Summarises the ratios of the pairs; a pair of which one is missing, or whose second is zero, is left out.
#[must_use]
pub fn ratios(pairs: &[(Option<f64>, Option<f64>)]) -> Option<Summary> {
    let ratio = |(ours, theirs): &(Option<f64>, Option<f64>)| {
        let (ours, theirs) = ((*ours)?, (*theirs)?);
        (theirs != 0.0).then(|| ours / theirs)
    };
    Summary::of(&pairs.iter().filter_map(ratio).collect::<Vec<_>>())
}

/// Returns the value below which the share `share` of `sorted` lies; zero if there is none.
#[must_use]
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a slice, of a share between 0 and 1"
    )]
    let index = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
    sorted.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_does_not_follow_an_outlier() {
        let summary = Summary::of(&[3.0, 1.0, 1000.0, 2.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { median: 3.0, least: 1.0, greatest: 1000.0 });
        assert_eq!(Summary::of(&[1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let pairs =
            [(Some(1.0), Some(2.0)), (Some(3.0), Some(3.0)), (None, Some(1.0)), (Some(1.0), Some(0.0))];
        let summary = ratios(&pairs).unwrap();
        assert_eq!((summary.least, summary.greatest), (0.5, 1.0));
        assert_eq!(ratios(&[(None, None)]), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (0..=100).collect();
        assert_eq!(percentile(&values, 0.5), 50);
        assert_eq!(percentile(&values, 0.99), 99);
        assert_eq!(percentile(&values, 2.0), 100);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
