//! A stack of ours as a host.

use super::host::{Host, PORT, Reading};
use crate::net::connection::{ConnectionId, Received};
use crate::net::listener::ListenerId;
use crate::net::pool::BufferPlan;
use crate::net::shard::{Polled, Shard};
use crate::net::stack::Progress;
use crate::net::tests::wire::{Queues, device, receive, send, settings};
use alloc::format;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
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
    pub(super) fn new(address: Ipv4Addr, plan: BufferPlan, seed: u64) -> Self {
        let [.., number] = address.octets();
        let mut shard = Shard::new(device(number), plan, seed, Instant::from_micros(0));
        shard.stack().configure(Some(&settings(address)));
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
        let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT);
        self.listener = Some(self.shard.stack().listen(address, 8).unwrap().0);
    }

    fn connect(&mut self, peer: Ipv4Addr) {
        self.connection = Some(self.shard.stack().connect(SocketAddrV4::new(peer, PORT)).unwrap());
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
