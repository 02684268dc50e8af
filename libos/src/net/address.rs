//! What can be bound and connected to: addresses and names. Shaped like `std::net`.

use super::dns::{ResolveError, Wanted};
use super::link::AddressesV6;
use super::runtime::{self, Attempt};
use crate::io::{Error, ErrorKind, Result};
use crate::readiness::Readiness;
use crate::task::NEVER;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Something that gives one or more socket addresses.
pub trait ToSocketAddrs {
    /// The addresses.
    type Iter: Iterator<Item = SocketAddr>;

    /// Returns the addresses. A name is looked up, which waits.
    ///
    /// # Errors
    ///
    /// The text is no address, or the name is not found.
    fn to_socket_addrs(&self) -> Result<Self::Iter>;
}

/// Calls `act` with each address in turn until it succeeds.
pub(super) fn each<R>(
    addresses: impl ToSocketAddrs,
    mut act: impl FnMut(SocketAddr) -> Result<R>,
) -> Result<R> {
    let mut last = Error::new(ErrorKind::InvalidInput, "no address was given");
    for address in addresses.to_socket_addrs()? {
        match act(address) {
            Ok(result) => return Ok(result),
            Err(error) => last = error,
        }
    }
    Err(last)
}

macro_rules! one_address {
    ($($kind:ty),*) => {$(
        impl ToSocketAddrs for $kind {
            type Iter = core::iter::Once<SocketAddr>;

            fn to_socket_addrs(&self) -> Result<Self::Iter> {
                Ok(core::iter::once(SocketAddr::from(*self)))
            }
        }
    )*};
}

one_address!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> Result<Self::Iter> {
        look_up(self.0, self.1)
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> Result<Self::Iter> {
        look_up(&self.0, self.1)
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> Result<Self::Iter> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(vec![address].into_iter());
        }
        let invalid = Error::new(ErrorKind::InvalidInput, "no socket address; write HOST:PORT");
        let (host, port) = self.rsplit_once(':').ok_or(invalid)?;
        look_up(host, port.parse().map_err(|_| invalid)?)
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> Result<Self::Iter> {
        self.as_str().to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = core::iter::Copied<core::slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> Result<Self::Iter> {
        Ok(self.iter().copied())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs(&self) -> Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

fn look_up(host: &str, port: u16) -> Result<vec::IntoIter<SocketAddr>> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) if host.eq_ignore_ascii_case("localhost") => {
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
        }
        Err(_) => resolve(host)?,
    };
    let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
    Ok(addresses.into_iter())
}

/// Asks the name servers. The resolver has time limits of its own.
fn resolve(name: &str) -> Result<Vec<IpAddr>> {
    runtime::wait_for_address(Ipv6Addr::UNSPECIFIED.into())?;
    let question = runtime::with(|shard, clock| {
        let wanted = wanted(shard.stack().link().v6());
        let (dns, link) = shard.stack().resolver();
        dns.ask(clock.now(), link, name, wanted)
    })?;
    let mut question = Some(question.map_err(explain)?);
    let answer = runtime::wait_for(NEVER, |shard, _, token| {
        let (dns, _) = shard.stack().resolver();
        let asked = question.take().expect("the question comes back until it is answered");
        match dns.answer(asked) {
            Ok(answer) => Attempt::Done(answer),
            Err(asked) => {
                question = Some(asked);
                dns.waiters.add(Readiness::READABLE, token);
                Attempt::Wait
            }
        }
    })?;
    answer.unwrap_or(Err(ResolveError::NotFound)).map_err(explain)
}

/// Decides by the own addresses which ones a peer can be reached at, and which better.
fn wanted(own: &AddressesV6) -> Wanted {
    // What the internet routes (RFC 4291, 2.4, and the registry of it).
    let is_global = |address: Ipv6Addr| address.segments()[0] & 0xe000 == 0x2000;
    match own.has_wide() {
        false => Wanted::V4,
        true if own.own.iter().any(|own| is_global(own.address())) => Wanted::V6First,
        true => Wanted::V4First,
    }
}

fn explain(error: ResolveError) -> Error {
    match error {
        ResolveError::NoServer => {
            Error::new(ErrorKind::NotFound, "no name server is known; give the guest net.dns=ADDRESS")
        }
        ResolveError::BadName => Error::new(ErrorKind::InvalidInput, "not a host name"),
        ResolveError::NotFound => {
            Error::new(ErrorKind::NotFound, "the name servers know no address for this name")
        }
    }
}
