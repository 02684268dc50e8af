//! Decisions that are known beforehand for most segments of an open connection.
//!
//! [`Socket::dispatch_ref`] and [`Socket::poll_at`] look at all that may be there to send and at all
//! timers. A server's usual answer needs none of that: nothing is in flight, the answer fits one
//! segment and the windows, and what is left is the retransmission timer. After the
//! acknowledgement of it there is nothing to do at all. What is sent and remembered is the same as
//! there.

use super::*;

impl Socket<'_> {
    /// Return whether nothing is to be done for this socket until a segment comes or the program
    /// reads or writes.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        #[cfg(feature = "alloc")]
        let shrinks = || self.shrinks_at().is_some();
        #[cfg(not(feature = "alloc"))]
        let shrinks = || false;
        // All that came is acknowledged, which most segments with data fail; all that was sent is.
        self.remote_last_ack == Some(self.remote_seq_no + self.rx_buffer.len())
            && self.tx_buffer.is_empty()
            && self.state == State::Established
            && self.timer
                == Timer::Idle {
                    keep_alive_at: None,
                }
            && self.timeout.is_none()
            && self.is_undisturbed()
            && self.remote_last_ts.is_some()
            && self.remote_last_win == self.scaled_window()
            && !shrinks()
    }

    /// Call `emit` with the hop limit and the one segment that this socket has to send, and return
    /// when it is to be asked again. Without calling `emit`, return `None` if there is more to look
    /// at than that; [dispatch](Self::dispatch_ref) does.
    ///
    /// If `emit` fails, so does this, and the socket stays as it is.
    #[inline]
    pub(crate) fn dispatch_expected<F, E>(
        &mut self,
        cx: &mut Context,
        emit: F,
    ) -> Option<Result<Instant, E>>
    where
        F: FnOnce(u8, &TcpRepr) -> Result<(), E>,
    {
        let now = cx.now();
        let len = self.tx_buffer.len();
        let tuple = self.tuple.as_ref()?;
        let ip_header_len = match tuple.local.addr {
            #[cfg(feature = "proto-ipv4")]
            IpAddress::Ipv4(_) => crate::wire::IPV4_HEADER_LEN,
            #[cfg(feature = "proto-ipv6")]
            IpAddress::Ipv6(_) => crate::wire::IPV6_HEADER_LEN,
        };
        let mss = self
            .remote_mss
            .min(cx.ip_mtu() - ip_header_len - TCP_HEADER_LEN);
        let window = self.congestion_controller.inner().window();
        if len == 0
            || len > mss.min(self.remote_win_len).min(window)
            || self.remote_last_seq != self.local_seq_no
            || self.state != State::Established
            || self.timer
                != (Timer::Idle {
                    keep_alive_at: None,
                })
            || self.keep_alive.is_some()
            || self.tsval_generator.is_some()
            || !self.is_undisturbed()
            || !cx.has_ip_addr(tuple.local.addr)
        {
            return None;
        }
        let (src_port, dst_port) = (tuple.local.port, tuple.remote.port);
        // As in dispatch: a socket that had nothing to send is patient from now on.
        let heard = *self.remote_last_ts.get_or_insert(now);
        let timeout = self.timeout.map(|timeout| heard + timeout);
        #[cfg(feature = "alloc")]
        let shrink = self.shrink_after(heard);
        #[cfg(not(feature = "alloc"))]
        let shrink = None;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let payload = self.tx_buffer.get_allocated(0, len);
        if payload.len() != len || is_due(timeout) || is_due(shrink) {
            return None;
        }
        let repr = TcpRepr {
            src_port,
            dst_port,
            control: TcpControl::Psh,
            seq_number: self.local_seq_no,
            ack_number: Some(self.remote_seq_no + self.rx_buffer.len()),
            window_len: self.scaled_window(),
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None, None, None],
            timestamp: None,
            payload,
        };
        if let Err(error) = emit(self.hop_limit.unwrap_or(64), &repr) {
            return Some(Err(error));
        }
        self.remote_last_ack = repr.ack_number;
        self.remote_last_win = repr.window_len;
        self.ack_delay_timer = AckDelayTimer::Idle;
        let end = self.local_seq_no + len;
        self.remote_last_seq = end;
        self.remote_max_seq = self.remote_max_seq.max(end);
        self.rtte.on_send(now, end);
        self.congestion_controller
            .inner_mut()
            .post_transmit(now, len, len);
        let expires_at = now + self.rtte.retransmission_timeout();
        self.timer = Timer::Retransmit { expires_at };
        let earliest =
            |first: Instant, other: Option<Instant>| other.map_or(first, |at| at.min(first));
        Some(Ok(earliest(earliest(expires_at, timeout), shrink)))
    }

    /// Return whether nothing is lost, nor has arrived out of order at the remote endpoint.
    #[inline]
    fn is_undisturbed(&self) -> bool {
        self.local_rx_dup_acks == 0
            && self.recovery == Recovery::None
            && !self.pending_fast_retransmit
            && self.scoreboard.is_empty()
    }
}
