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
