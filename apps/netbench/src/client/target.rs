//! The server that is measured.

use crate::protocol::{BASE_PORT, Service};
use libos::io::{Error, ErrorKind, Result};
use libos::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use libos::vec::Vec;

/// Addresses of the server, with its base port.
#[derive(Debug)]
pub(super) struct Target(Vec<SocketAddr>);

impl Target {
    /// Reads `HOST` or `HOST:PORT`; a name is looked up.
    pub(super) fn find(text: &str) -> Result<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self([(address, BASE_PORT).into()].into()));
        }
        let addresses = match text.contains(':') {
            true => text.to_socket_addrs(),
            false => (text, BASE_PORT).to_socket_addrs(),
        };
        Ok(Self(addresses?.collect()))
    }

    /// Connects to a service.
    pub(super) fn connect(&self, service: Service) -> Result<TcpStream> {
        let stream = TcpStream::connect(&self.addresses(service)?[..])?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Returns the address of a service over UDP.
    pub(super) fn address(&self, service: Service) -> Result<SocketAddr> {
        let first = self.addresses(service)?.into_iter().next();
        first.ok_or(Error::new(ErrorKind::NotFound, "the name has no address"))
    }

    fn addresses(&self, service: Service) -> Result<Vec<SocketAddr>> {
        let at = |address: &SocketAddr| Some(SocketAddr::new(address.ip(), service.port(address.port())?));
        let addresses: Option<Vec<SocketAddr>> = self.0.iter().map(at).collect();
        addresses.ok_or(Error::new(ErrorKind::InvalidInput, "the base port is too high"))
    }
}
