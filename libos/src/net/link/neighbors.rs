//! Neighbours of IPv6: who owns which address (RFC 4861, 7.2), and the other answers that ICMPv6 asks of every host.

use super::Link;
use crate::net::device::{Finish, Outlet};
use crate::net::frame::ETHERNET_HEADER;
use crate::net::icmpv6::{self, Ends, HOP_LIMIT, Message, UNFORWARDED};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

/// Flags of an advertisement: it answers a solicitation, it replaces what was known.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Most bytes of an error, headers of IP included (RFC 4443, 2.4 c).
const LONGEST_ERROR: usize = 1280;

impl Link {
    /// Asks who owns `target`. From `::` the question is whether somebody else does (RFC 4862, 5.4).
    pub(crate) fn solicit(&mut self, target: Ipv6Addr, source: Ipv6Addr, transmitter: &mut dyn Outlet) {
        let group = icmpv6::solicited_node(target);
        let own = (icmpv6::OPTION_SOURCE, self.local.hardware);
        let option = (!source.is_unspecified()).then_some(own);
        let body = icmpv6::neighbor_body(icmpv6::NEIGHBOR_SOLICITATION, 0, target, option);
        self.send_icmpv6((source, group), icmpv6::group_hardware(group), UNFORWARDED, &body, transmitter);
    }

    /// Asks the routers to tell of themselves.
    pub(crate) fn solicit_routers(&mut self, transmitter: &mut dyn Outlet) {
        let mut body =
            Vec::from([icmpv6::ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0, icmpv6::OPTION_SOURCE, 1]);
        body.extend_from_slice(&self.local.hardware);
        let group = icmpv6::ALL_ROUTERS;
        let source = self.link_local().address();
        self.send_icmpv6((source, group), icmpv6::group_hardware(group), UNFORWARDED, &body, transmitter);
    }

    /// Asks for the neighbour whose Ethernet address a packet has just lacked.
    #[inline]
    pub(super) fn solicit_wanted(&mut self, transmitter: &mut dyn Outlet) {
        if let Some(target) = self.interface.take_wanted_neighbor() {
            let source = self.interface.get_source_address_ipv6(&target);
            self.solicit(target, source, transmitter);
        }
    }

    /// Answers who asks for an own address, and notes where it is.
    pub(crate) fn hear_solicitation(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        transmitter: &mut dyn Outlet,
    ) {
        let Some(target) = message.target().filter(|target| self.local.addresses_v6.contains(target)) else {
            return;
        };
        let own = (icmpv6::OPTION_TARGET, self.local.hardware);
        let (destination, hardware, flags) = if message.source.is_unspecified() {
            (icmpv6::ALL_NODES, icmpv6::group_hardware(icmpv6::ALL_NODES), OVERRIDE)
        } else {
            if let Some(hardware) = message.hardware_option(icmpv6::OPTION_SOURCE) {
                self.interface.fill_neighbor(message.source, EthernetAddress(hardware), now);
            }
            (message.source, message.hardware, SOLICITED | OVERRIDE)
        };
        let body = icmpv6::neighbor_body(icmpv6::NEIGHBOR_ADVERTISEMENT, flags, target, Some(own));
        self.send_icmpv6((target, destination), hardware, UNFORWARDED, &body, transmitter);
    }

    /// Notes where a neighbour is that was asked for.
    pub(crate) fn hear_advertisement(&mut self, now: Instant, message: &Message<'_>) {
        let Some(target) = message.target() else { return };
        if !target.is_unspecified()
            && !self.is_own(target.into())
            && self.interface.expects_neighbor(target, now)
            && let Some(hardware) = message.hardware_option(icmpv6::OPTION_TARGET)
        {
            self.interface.fill_neighbor(target, EthernetAddress(hardware), now);
        }
    }

    /// Sends back what came in an echo request.
    pub(crate) fn echo(&mut self, message: &Message<'_>, transmitter: &mut dyn Outlet) {
        let Some(source) = self.answering_source(message.source, message.destination) else { return };
        let mut body = Vec::from(message.body);
        body[..4].copy_from_slice(&[icmpv6::ECHO_REQUEST + 1, 0, 0, 0]);
        self.send_icmpv6((source, message.source), message.hardware, HOP_LIMIT, &body, transmitter);
    }

    /// Says that nobody has the port that `frame`, a datagram, is for.
    pub(crate) fn refuse_datagram(&mut self, frame: &[u8], transmitter: &mut dyn Outlet) {
        let Some(packet) = frame.get(ETHERNET_HEADER..) else { return };
        let (Some(source), Some(destination)) = (icmpv6::address(packet, 8), icmpv6::address(packet, 24))
        else {
            return;
        };
        let Some(hardware) = frame.get(6..).and_then(|rest| rest.first_chunk::<6>()) else { return };
        // Errors answer nothing that was for a group (RFC 4443, 2.4 e).
        if source.is_multicast() || !self.is_own(destination.into()) {
            return;
        }
        let mut body = Vec::from([icmpv6::UNREACHABLE, 4, 0, 0, 0, 0, 0, 0]);
        body.extend_from_slice(&packet[..packet.len().min(LONGEST_ERROR - 48)]);
        self.send_icmpv6((destination, source), *hardware, HOP_LIMIT, &body, transmitter);
    }

    /// Returns the own address that answers what came from `source` to `destination`.
    fn answering_source(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Option<Ipv6Addr> {
        if source.is_unspecified() {
            return None;
        }
        if self.is_own(destination.into()) {
            return Some(destination);
        }
        match self.source_for(source.into()) {
            Some(IpAddr::V6(own)) if destination == icmpv6::ALL_NODES => Some(own),
            _ => None,
        }
    }

    #[inline(never)]
    fn send_icmpv6(
        &mut self,
        (source, destination): (Ipv6Addr, Ipv6Addr),
        to_hardware: [u8; 6],
        hop_limit: u8,
        body: &[u8],
        transmitter: &mut dyn Outlet,
    ) {
        let ends = Ends { hardware: self.local.hardware, to_hardware, source, destination };
        let frame = icmpv6::frame(ends, hop_limit, body);
        if self.local.is_for_us(&frame) {
            self.local.take(frame);
        } else if transmitter.has_room() && frame.len() <= self.capabilities.max_transmission_unit {
            put(&frame, transmitter);
        }
    }
}

/// Sends a frame that is there already.
#[inline(never)]
pub(super) fn put(frame: &[u8], transmitter: &mut dyn Outlet) {
    transmitter.transmit(frame.len(), &mut |buffer| {
        buffer.copy_from_slice(frame);
        Finish::Nothing
    });
}
