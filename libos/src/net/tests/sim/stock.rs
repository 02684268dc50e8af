//! The published smoltcp as a host, unmodified and used as its authors mean it.

use super::host::{Host, PORT, Reading, number};
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use smoltcp::time::Instant;
use stock_smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use stock_smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use stock_smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use stock_smoltcp::time::Instant as StockInstant;
use stock_smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};

/// Bytes of an Ethernet frame.
const FRAME: usize = 1514;
/// Any port that the host may connect from.
const OWN_PORT: u16 = 49_500;

/// The host.
pub(super) struct Stock {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    is_open: bool,
}

/// Its network card.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

struct Incoming(Vec<u8>);

struct Outgoing<'a>(&'a mut Vec<Vec<u8>>);

impl Stock {
    /// A host with buffers of `size` bytes each way.
    pub(super) fn new(address: IpAddr, size: usize, seed: u64) -> Self {
        let hardware = EthernetAddress([2, 0, 0, 0, 0, number(address)]);
        let mut config = Config::new(HardwareAddress::Ethernet(hardware));
        config.random_seed = seed;
        let mut wire = Wire::default();
        let mut interface = Interface::new(config, &mut wire, StockInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let prefix = if address.is_ipv4() { 24 } else { 64 };
            addresses.push(IpCidr::new(IpAddress::from(address), prefix)).unwrap();
        });
        let buffer = || SocketBuffer::new(vec![0; size]);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(Socket::new(buffer(), buffer()));
        Self { interface, wire, sockets, handle, is_open: false }
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

impl Host for Stock {
    fn name(&self) -> &'static str {
        "the published stack"
    }

    fn arrive(&mut self, frame: Vec<u8>) {
        self.wire.incoming.push_back(frame);
    }

    fn work(&mut self, now: Instant, sent: &mut Vec<Vec<u8>>) {
        let now = StockInstant::from_micros(now.total_micros());
        let _changed = self.interface.poll(now, &mut self.wire, &mut self.sockets);
        sent.append(&mut self.wire.outgoing);
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let now = StockInstant::from_micros(now.total_micros());
        let next = self.interface.poll_at(now, &self.sockets)?;
        Some(Instant::from_micros(next.total_micros()))
    }

    fn listen(&mut self) {
        self.socket().listen(PORT).unwrap();
    }

    fn connect(&mut self, peer: IpAddr) {
        let socket: &mut Socket<'static> = self.sockets.get_mut(self.handle);
        socket.connect(self.interface.context(), (IpAddress::from(peer), PORT), OWN_PORT).unwrap();
    }

    fn is_open(&mut self) -> bool {
        let state = self.socket().state();
        self.is_open |= !matches!(state, State::Listen | State::SynSent | State::SynReceived);
        self.is_open
    }

    fn write(&mut self, fill: &mut dyn FnMut(&mut [u8]) -> usize) -> usize {
        let socket = self.socket();
        if !socket.can_send() {
            return 0;
        }
        socket
            .send(|space| {
                let count = fill(space);
                (count, count)
            })
            .unwrap_or(0)
    }

    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> Reading {
        let socket = self.socket();
        if !socket.can_recv() && socket.may_recv() {
            return Reading::Nothing;
        }
        let received = socket.recv(|bytes| {
            take(bytes);
            (bytes.len(), ())
        });
        match received {
            Ok(()) => Reading::Bytes,
            Err(RecvError::Finished) => Reading::End,
            Err(RecvError::InvalidState) => Reading::Broken("broken off".into()),
        }
    }

    fn close_sending(&mut self) {
        self.socket().close();
    }

    fn release(&mut self) {}

    fn connection_count(&mut self) -> usize {
        usize::from(self.socket().state() != State::Closed)
    }
}

impl Device for Wire {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _now: StockInstant) -> Option<(Incoming, Outgoing<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Incoming(frame), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _now: StockInstant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push(frame);
        result
    }
}
