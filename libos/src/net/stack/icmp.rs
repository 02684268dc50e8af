//! ICMP: neighbours and routers of IPv6, echoes, and errors about what we have sent.

use super::Stack;
use crate::net::device::Transmitter;
use crate::net::icmpv6::{self, Message};
use crate::readiness::Readiness;
use smoltcp::time::Instant;

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
            _ => {}
        }
    }

    fn hear_neighbor(&mut self, now: Instant, message: &Message<'_>, transmitter: &mut impl Transmitter) {
        if let Some(autoconf) = &mut self.autoconf {
            autoconf.hear_neighbor(now, message);
            self.adopt_v6();
        }
        if message.kind() == icmpv6::NEIGHBOR_SOLICITATION {
            self.link.hear_solicitation(now, message, transmitter);
        } else {
            self.link.hear_advertisement(now, message);
        }
        self.resolve_again(now, transmitter);
    }

    /// Sends what is due for the own IPv6 addresses.
    pub(super) fn poll_v6(&mut self, now: Instant, transmitter: &mut impl Transmitter) {
        let Some(autoconf) = &mut self.autoconf else { return };
        if !self.unclaimed.is_empty() {
            autoconf.claim(now, &core::mem::take(&mut self.unclaimed), &mut self.link, transmitter);
        }
        if autoconf.deadline().is_some_and(|deadline| deadline <= now) {
            autoconf.poll(now, &mut self.link, transmitter);
            self.adopt_v6();
        }
    }

    /// Uses the IPv6 addresses that hold now, if they are others than before.
    pub(super) fn adopt_v6(&mut self) {
        let Some(autoconf) = &self.autoconf else { return };
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
