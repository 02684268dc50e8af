//! A machine that runs `echo`, and its addresses.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use runner::{Forward, Machine, MachineConfig, Network, UserNetwork};

use crate::server;

/// The port of the protocol (RFC 862).
const PORT: u16 = 7;
/// Longest wait for the start.
const START: Duration = Duration::from_secs(30);
/// Longest wait for one answer, at the start and later.
const ATTEMPT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// A running machine that sends back what it gets.
#[derive(Debug)]
pub struct Echo {
    machine: Machine,
}

impl Echo {
    /// Starts a machine that runs it, with the user network and both ports published.
    ///
    /// # Panics
    ///
    /// It cannot be started.
    #[must_use]
    pub fn publish(mut config: MachineConfig) -> Self {
        let forwards = vec![Forward::tcp(0, PORT), Forward::udp(0, PORT)];
        match &mut config.network {
            Network::User(user) => user.forwards = forwards,
            other => *other = Network::User(UserNetwork { forwards, ..UserNetwork::default() }),
        }
        Self { machine: Machine::start(&config).unwrap_or_else(|error| panic!("{error}")) }
    }

    /// Returns where it takes connections.
    #[must_use]
    pub fn tcp_address(&self) -> SocketAddr {
        self.address(0)
    }

    /// Returns where it takes datagrams.
    #[must_use]
    pub fn udp_address(&self) -> SocketAddr {
        self.address(1)
    }

    /// Returns a connection on which a byte has come back already.
    ///
    /// # Panics
    ///
    /// None comes back.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(stream) = connect(self.tcp_address()) {
                return stream;
            }
            assert!(Instant::now() < deadline, "echo does not answer; it said:\n{}", self.machine.console());
            thread::sleep(PAUSE);
        }
    }

    /// Asks it to stop, and checks that it was well until then.
    ///
    /// # Panics
    ///
    /// It was not.
    pub fn stop_well(self) {
        server::stop_well(self.machine);
    }

    fn address(&self, index: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.machine.forwards()[index].host_port).into()
    }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, ATTEMPT)?;
    stream.set_read_timeout(Some(ATTEMPT))?;
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
