//! ICMP: neighbours and routers of IPv6, echoes, and errors about what we have sent.

use super::Stack;
use crate::net::connection::{Cause, Phase};
use crate::net::device::Transmitter;
use crate::net::frame::Key;
use crate::net::icmpv6::{self, Message};
use crate::net::trouble::{Kind, Report, Trouble};
use crate::readiness::Readiness;
use core::net::IpAddr;
use smoltcp::time::Instant;
use smoltcp::wire::TcpSeqNumber;

impl Stack {
    /// Does what a message of ICMPv6 asks for.
    #[inline(never)]
    pub(super) fn deliver_icmpv6(&mut self, now: Instant, frame: &[u8], transmitter: &mut impl Transmitter) {
        let Some(message) = Message::parse(frame) else { return };
        match message.kind() {
            icmpv6::ECHO_REQUEST => self.link.echo(&message, transmitter),
            icmpv6::NEIGHBOR_SOLICITATION | icmpv6::NEIGHBOR_ADVERTISEMENT => {
                self.hear_neighbor(now, &message, transmitter);
            }
            icmpv6::ROUTER_ADVERTISEMENT => {
                if let Some(autoconf) = &mut self.autoconf {
                    autoconf.hear_router(now, &message);
                    self.adopt_v6();
                }
            }
            _ => {
                if let Some(report) = Report::read_v6(&message) {
                    self.hear_report(report);
                }
            }
        }
    }

    /// Tells the socket that an error concerns.
    #[inline(never)]
    pub(super) fn hear_report(&mut self, report: Report) {
        match report.kind {
            Kind::Segment(sequence) => self.hear_report_of_segment(report, sequence),
            Kind::Datagram => {
                let Report { tuple, trouble: Trouble::Lost(error), .. } = report else { return };
                let Some(id) = self.datagram_ports.get(tuple.local, tuple.local_port) else { return };
                if let Some(datagram) = self.datagrams.get_mut(id)
                    && datagram.peer == Some(tuple.peer_end())
                {
                    datagram.error = Some(error);
                    datagram.waiters.wake(Readiness::all(), &mut self.woken);
                }
            }
        }
    }

    fn hear_report_of_segment(&mut self, report: Report, sequence: u32) {
        let Some(&id) = self.tuples.get(&Key::from(report.tuple)) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.socket().is_in_flight(TcpSeqNumber(sequence.cast_signed())) {
            return;
        }
        match report.trouble {
            Trouble::TooBig(longest) => connection.socket_mut().limit_remote_mss(longest.into()),
            Trouble::Lost(error) if connection.phase == Phase::Connecting => {
                connection.fail(error);
                self.mark(id);
                self.settle(id, Cause::Segment);
            }
            Trouble::Lost(error) => connection.suspect(error),
        }
    }

    fn hear_neighbor(&mut self, now: Instant, message: &Message<'_>, transmitter: &mut impl Transmitter) {
        if let Some(autoconf) = &mut self.autoconf {
            autoconf.hear_neighbor(now, message);
            self.adopt_v6();
        }
        let is_question = message.kind() == icmpv6::NEIGHBOR_SOLICITATION;
        let neighbor = if is_question { Some(message.source) } else { message.target() };
        let neighbor = neighbor.map(IpAddr::from);
        let known = self.link.hardware_of(now, neighbor);
        if is_question {
            self.link.hear_solicitation(now, message, transmitter);
        } else {
            self.link.hear_advertisement(now, message);
        }
        self.compare_neighbor(now, neighbor, known, transmitter);
    }

    /// Sends what is due for the own IPv6 addresses.
    pub(super) fn poll_v6(&mut self, now: Instant, transmitter: &mut impl Transmitter) {
        let Some(autoconf) = &mut self.autoconf else { return };
        if !self.unclaimed.is_empty() {
            autoconf.claim(now, &core::mem::take(&mut self.unclaimed), &mut self.link, transmitter);
        }
        if self.autoconf_deadline.is_some_and(|deadline| deadline <= now) {
            autoconf.poll(now, &mut self.link, transmitter);
            self.adopt_v6();
        }
    }

    /// Uses the IPv6 addresses that hold now, if they are others than before. To be called after each change.
    pub(super) fn adopt_v6(&mut self) {
        let Some(autoconf) = &self.autoconf else { return };
        self.autoconf_deadline = autoconf.deadline();
        let (addresses, servers) = autoconf.addresses(self.link.link_local());
        if self.servers_v6 != servers {
            self.servers_v6 = servers;
            self.set_servers();
        }
        if *self.link.v6() != addresses {
            let known = &self.link.v6().own;
            self.unclaimed.extend(addresses.own.iter().filter(|own| !known.contains(own)));
            self.link.set_v6(addresses);
            self.configured.wake(Readiness::READABLE, &mut self.woken);
        }
    }
}
