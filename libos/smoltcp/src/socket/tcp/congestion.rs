use crate::time::Instant;

use super::RttEstimator;

pub(super) mod no_control;

#[cfg(feature = "socket-tcp-cubic")]
pub(super) mod cubic;

#[cfg(feature = "socket-tcp-reno")]
pub(super) mod reno;

/// The initial window for segments of `mss` octets (RFC 6928, section 2).
#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
fn initial_window(mss: usize) -> usize {
    (10 * mss).min((2 * mss).max(14_600))
}

/// How much of the congestion window was in use of late.
///
/// A window that was never full says nothing about the path: growing it would allow a burst that
/// nothing has tested (RFC 7661). ACKs come in batches, so it is not enough to look at what is in
/// flight at each of them.
#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Usage {
    /// Most octets in flight since about a window ago.
    peak: usize,
    /// Octets acknowledged since then.
    acked: usize,
}

#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
impl Usage {
    fn on_send(&mut self, in_flight: usize) {
        self.peak = self.peak.max(in_flight);
    }

    /// Note that `len` octets were acknowledged, which leaves `in_flight`, and return the most
    /// that was in flight.
    fn on_ack(&mut self, len: usize, in_flight: usize, cwnd: usize) -> usize {
        let peak = self.peak.max(in_flight + len);
        self.peak = peak;
        self.acked += len;
        if self.acked >= cwnd {
            *self = Usage {
                peak: in_flight,
                acked: 0,
            };
        }
        peak
    }
}

/// Slow start slows down before anything is lost when the ACKs of one round trip come for an eighth
/// of it without a pause: then the window is between a quarter and three eighths of what the path
/// holds (after HyStart's ACK train, Ha and Rhee, "Taming the elephants", 2011). Doubling it again
/// would need a queue of half of that. For five round trips it grows by a quarter each, to about
/// what the path holds (RFC 9406, conservative slow start), and then slow start is over.
#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
#[derive(Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct AckTrain {
    /// When the first ACK of this round came, and the last one.
    times: Option<(Instant, Instant)>,
    /// Octets to be acknowledged before the next round.
    left: usize,
    /// Rounds that are left, since the train was seen.
    slow_rounds: Option<u8>,
}

/// How slow start goes on.
#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlowStart {
    Doubles,
    Slows,
    Ends,
}

#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
impl SlowStart {
    /// Return by how much the window grows for so many octets that were acknowledged.
    fn growth(self, octets: usize) -> usize {
        match self {
            SlowStart::Doubles => octets,
            SlowStart::Slows => octets / AckTrain::SLOWER,
            SlowStart::Ends => 0,
        }
    }
}

#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
impl AckTrain {
    /// A longer pause ends the train.
    const PAUSE: crate::time::Duration = crate::time::Duration::from_millis(2);
    /// Smaller windows say too little, in segments.
    const LOW_WINDOW: usize = 16;
    /// Five, and the rest of the one in which the train is seen.
    const SLOW_ROUNDS: u8 = 6;
    const SLOWER: usize = 4;

    /// Note that `len` octets were acknowledged, which leaves `in_flight`, and return how slow
    /// start goes on.
    #[inline]
    fn on_ack(
        &mut self,
        now: Instant,
        len: usize,
        in_flight: usize,
        segments: usize,
        rtt: &RttEstimator,
    ) -> SlowStart {
        if self.left <= len {
            // The next ACK is the first one of the next round.
            self.left = in_flight;
            self.times = None;
            self.slow_rounds = self.slow_rounds.map(|rounds| rounds.saturating_sub(1));
        } else {
            self.left -= len;
        }
        match self.slow_rounds {
            Some(0) => return SlowStart::Ends,
            Some(_) => return SlowStart::Slows,
            None => {}
        }
        let (first, last) = *self.times.get_or_insert((now, now));
        // A clock that goes back is no reason to stop.
        if now < last || now - last > Self::PAUSE {
            // The segments of one flight come together: this is the first of another.
            self.times = Some((now, now));
            return SlowStart::Doubles;
        }
        self.times = Some((first, now));
        let min_rtt = rtt.min_rtt() as u64;
        if min_rtt > 0 && segments >= Self::LOW_WINDOW && (now - first).total_micros() > min_rtt / 8
        {
            self.slow_rounds = Some(Self::SLOW_ROUNDS);
            return SlowStart::Slows;
        }
        SlowStart::Doubles
    }
}

#[allow(unused_variables)]
pub(super) trait Controller {
    /// Returns the number of bytes that can be sent.
    fn window(&self) -> usize;

    /// Set the remote window size.
    fn set_remote_window(&mut self, remote_window: usize) {}

    fn on_ack(&mut self, now: Instant, len: usize, in_flight: usize, rtt: &RttEstimator) {}

    /// Fired on a retransmission timeout.
    fn on_rto(&mut self, now: Instant, in_flight: usize) {}

    /// Fired after an inferred loss via three duplicate or selective acks. Until `on_recovered` the
    /// window stays as it is; what of it is in use the socket knows.
    fn on_loss(&mut self, now: Instant, in_flight: usize) {}

    /// Fired when all that was in flight at `on_loss` has been acknowledged.
    fn on_recovered(&mut self, now: Instant) {}

    fn pre_transmit(&mut self, now: Instant) {}

    /// Fired after `len` octets were sent, with which `in_flight` octets are under way.
    fn post_transmit(&mut self, now: Instant, len: usize, in_flight: usize) {}

    /// Set the maximum segment size.
    fn set_mss(&mut self, mss: usize) {}
}

#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) enum AnyController {
    None(no_control::NoControl),

    #[cfg(feature = "socket-tcp-reno")]
    Reno(reno::Reno),

    #[cfg(feature = "socket-tcp-cubic")]
    Cubic(cubic::Cubic),
}

impl AnyController {
    /// Create a new congestion controller.
    /// `AnyController::new()` selects the best congestion controller based on the features.
    ///
    /// - If `socket-tcp-cubic` feature is enabled, it will use `Cubic`.
    /// - If `socket-tcp-reno` feature is enabled, it will use `Reno`.
    /// - If both `socket-tcp-cubic` and `socket-tcp-reno` features are enabled, it will use `Cubic`.
    ///    - `Cubic` is more efficient regarding throughput.
    ///    - `Reno` is more conservative and is suitable for low-power devices.
    /// - If no congestion controller is available, it will use `NoControl`.
    ///
    /// Users can also select a congestion controller manually by [`super::Socket::set_congestion_control()`]
    /// method at run-time.
    #[allow(unreachable_code)]
    #[inline]
    pub fn new() -> Self {
        #[cfg(feature = "socket-tcp-cubic")]
        {
            return AnyController::Cubic(cubic::Cubic::new());
        }

        #[cfg(feature = "socket-tcp-reno")]
        {
            return AnyController::Reno(reno::Reno::new());
        }

        AnyController::None(no_control::NoControl)
    }

    #[inline]
    pub fn inner_mut(&mut self) -> &mut dyn Controller {
        match self {
            AnyController::None(n) => n,

            #[cfg(feature = "socket-tcp-reno")]
            AnyController::Reno(r) => r,

            #[cfg(feature = "socket-tcp-cubic")]
            AnyController::Cubic(c) => c,
        }
    }

    #[inline]
    pub fn inner(&self) -> &dyn Controller {
        match self {
            AnyController::None(n) => n,

            #[cfg(feature = "socket-tcp-reno")]
            AnyController::Reno(r) => r,

            #[cfg(feature = "socket-tcp-cubic")]
            AnyController::Cubic(c) => c,
        }
    }
}

#[cfg(all(test, any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic")))]
mod test {
    use super::*;

    #[test]
    fn an_ack_train_slows_slow_start_down() {
        let mut rtt = RttEstimator::default();
        rtt.sample(10_000);
        let mut train = AckTrain::default();
        // Flights of 10, 20, 40, ... segments, of which one takes 20 microseconds.
        let mut segments = 10;
        for flight in 0..20 {
            let mut acked = 0;
            let mut next = segments;
            while acked < segments {
                let now = Instant::from_micros((flight * 10_000 + acked * 20) as i64);
                acked += 1;
                let in_flight = next - acked;
                let slow_start = train.on_ack(now, 1, in_flight, next, &rtt);
                if train.slow_rounds.is_none() || acked % AckTrain::SLOWER == 0 {
                    next += 1;
                }
                if slow_start == SlowStart::Ends {
                    // A path of 500 segments is about full.
                    assert!((350..570).contains(&next), "{next}");
                    return;
                }
            }
            segments = next;
        }
        panic!("the path is full");
    }
}
