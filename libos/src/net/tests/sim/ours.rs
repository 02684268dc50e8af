//! A stack of ours as a host.

use super::host::{Host, PORT, Reading, number};
use crate::net::connection::{ConnectionId, Received};
use crate::net::listener::ListenerId;
use crate::net::pool::BufferPlan;
use crate::net::shard::{Polled, Shard};
use crate::net::stack::Progress;
use crate::net::tests::wire::{Queues, device, receive, send, settings, settings_v6};
use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use smoltcp::time::Instant;

/// Most rounds of work at one moment.
const ROUNDS: usize = 1000;

/// The host.
pub(super) struct Ours {
    shard: Shard<Queues>,
    listener: Option<ListenerId>,
    connection: Option<ConnectionId>,
    is_open: bool,
    /// What buffers may take together beyond their floors.
    budget: usize,
}

impl Ours {
    pub(super) fn new(address: IpAddr, plan: BufferPlan, seed: u64) -> Self {
        let number = number(address);
        let mut shard = Shard::new(device(number), plan, seed, Instant::from_micros(0));
        match address {
            IpAddr::V4(address) => shard.stack().configure(Some(&settings(address))),
            IpAddr::V6(address) => shard.stack().give_v6(settings_v6(address), Instant::from_micros(0)),
        }
        Self { shard, listener: None, connection: None, is_open: false, budget: plan.budget }
    }

    fn accept(&mut self) {
        let Some(listener) = self.listener else { return };
        if let Ok(Some((id, _))) = self.shard.stack().accept(listener) {
            self.shard.stack().stop_listening(listener);
            (self.listener, self.connection) = (None, Some(id));
        }
    }
}

impl Host for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn arrive(&mut self, frame: Vec<u8>) {
        self.shard.device().incoming.0.push_back(frame);
    }

    fn work(&mut self, now: Instant, sent: &mut Vec<Vec<u8>>) {
        for _ in 0..ROUNDS {
            let polled = self.shard.poll(now);
            sent.append(&mut self.shard.device().outgoing.frames);
            if polled == Polled::Nothing && self.shard.deadline(now).is_none_or(|deadline| deadline > now) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.shard.deadline(now)
    }

    fn listen(&mut self) {
        let address = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT);
        self.listener = Some(self.shard.stack().listen(address, 8).unwrap().0);
    }

    fn connect(&mut self, peer: IpAddr) {
        self.connection = Some(self.shard.stack().connect(SocketAddr::new(peer, PORT)).unwrap());
    }

    fn is_open(&mut self) -> bool {
        self.accept();
        let Some(id) = self.connection else { return false };
        self.is_open = self.is_open || self.shard.stack().connected(id) != Ok(Progress::Waiting);
        self.is_open
    }

    fn write(&mut self, fill: &mut dyn FnMut(&mut [u8]) -> usize) -> usize {
        let Some(id) = self.connection else { return 0 };
        let sent = send(self.shard.stack(), id, |space| {
            let count = fill(space);
            (count, count)
        });
        sent.ok().flatten().unwrap_or(0)
    }

    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> Reading {
        let Some(id) = self.connection else { return Reading::Broken("it was released".into()) };
        let received = receive(self.shard.stack(), id, |bytes| {
            take(bytes);
            (bytes.len(), ())
        });
        match received {
            Ok(Received::Bytes(())) => Reading::Bytes,
            Ok(Received::Nothing) => Reading::Nothing,
            Ok(Received::End) => Reading::End,
            Err(error) => Reading::Broken(format!("{error:?}")),
        }
    }

    fn close_sending(&mut self) {
        let _closed = self.connection.map(|id| self.shard.stack().close_sending(id));
    }

    fn release(&mut self) {
        if let Some(id) = self.connection.take() {
            self.shard.stack().abandon(id);
        }
    }

    fn connection_count(&mut self) -> usize {
        self.shard.stack().connection_count()
    }

    fn audit(&mut self) {
        let stack = self.shard.stack();
        stack.audit();
        if stack.connection_count() == 0 {
            assert_eq!(stack.budget_left(), self.budget, "what buffers took is given back");
        }
    }
}
