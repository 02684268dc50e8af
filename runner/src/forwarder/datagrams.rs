//! Published UDP ports: to the guest, each client is a port of the gateway, so that an answer finds its client.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use stock_smoltcp as smoltcp;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

/// Datagrams, and their bytes, that wait each way for a client.
const PACKETS: usize = 64;
const BYTES: usize = 128 << 10;
/// Most clients of a port; the one that was silent longest makes room.
const CLIENTS: usize = 256;
/// A client that was silent so long is forgotten.
const SILENCE: Duration = Duration::from_secs(120);
/// Datagrams that are read in one turn.
const TURN: usize = 64;

/// A published port.
#[derive(Debug)]
pub(super) struct Datagrams {
    host: UdpSocket,
    guest: IpEndpoint,
    clients: Vec<Client>,
    incoming: Box<[u8]>,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    handle: SocketHandle,
    heard: Instant,
}

impl Datagrams {
    pub(super) fn new(host: UdpSocket, guest: IpEndpoint) -> Self {
        let incoming = vec![0; usize::from(u16::MAX)].into_boxed_slice();
        Self { host, guest, clients: Vec::new(), incoming }
    }

    /// Returns the host's socket.
    pub(super) fn host(&self) -> &UdpSocket {
        &self.host
    }

    /// Carries over what there is. `port` gives a port of the gateway that is free.
    pub(super) fn carry(&mut self, sockets: &mut SocketSet<'static>, mut port: impl FnMut() -> u16) {
        self.forget(sockets);
        for _ in 0..TURN {
            match self.host.recv_from(&mut self.incoming) {
                Ok((length, address)) => {
                    let handle = self.client(address, sockets, &mut port);
                    let socket = sockets.get_mut::<udp::Socket<'_>>(handle);
                    // A guest that does not keep up loses datagrams, as from any network.
                    let _ = socket.send_slice(&self.incoming[..length], self.guest);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A client that has gone: its own datagrams were not taken.
                Err(_) => {}
            }
        }
        for client in &mut self.clients {
            let socket = sockets.get_mut::<udp::Socket<'_>>(client.handle);
            while let Ok((bytes, from)) = socket.recv() {
                if from.endpoint == self.guest {
                    client.heard = Instant::now();
                    // A client that does not keep up loses datagrams, too.
                    drop(self.host.send_to(bytes, client.address));
                }
            }
        }
    }

    fn client(
        &mut self,
        address: SocketAddr,
        sockets: &mut SocketSet<'static>,
        port: &mut impl FnMut() -> u16,
    ) -> SocketHandle {
        if let Some(client) = self.clients.iter_mut().find(|client| client.address == address) {
            client.heard = Instant::now();
            return client.handle;
        }
        if self.clients.len() >= CLIENTS {
            let silent = (0..self.clients.len()).min_by_key(|index| self.clients[*index].heard).unwrap_or(0);
            sockets.remove(self.clients.swap_remove(silent).handle);
        }
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; PACKETS], vec![0; BYTES]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        // Refused only for port 0, which is none of ours.
        let _ = socket.bind(IpListenEndpoint::from(port()));
        let handle = sockets.add(socket);
        self.clients.push(Client { address, handle, heard: Instant::now() });
        handle
    }

    fn forget(&mut self, sockets: &mut SocketSet<'static>) {
        self.clients.retain(|client| {
            let is_kept = client.heard.elapsed() < SILENCE;
            if !is_kept {
                sockets.remove(client.handle);
            }
            is_kept
        });
    }
}
