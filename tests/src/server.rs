//! A machine that serves, and the address it serves at.
//!
//! A published port takes connections before the guest runs, so ready means that an answer came.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use runner::{Forward, Machine, MachineConfig, MachineError, Network, Outcome, UserNetwork};

use crate::client::Client;
use crate::namespace;
use crate::process::is_running;

/// Longest wait for the first answer; UEFI and GRUB on a busy machine take ten seconds.
const START: Duration = Duration::from_secs(60);
/// Longest wait for an answer in the first attempt. Later ones are given more, by a share of the time that has passed:
/// what came before the guest listened is lost, but on a busy machine an answer takes its time.
const FIRST_ATTEMPT: Duration = Duration::from_millis(50);
const SHARE: u32 = 8;
/// Longest wait for the end after a request to stop.
const STOP: Duration = Duration::from_secs(10);
/// The port that `http` serves.
const PORT: u16 = 80;

/// A running machine that answers HTTP.
#[derive(Debug)]
pub struct Server {
    machine: Machine,
    address: SocketAddr,
}

impl Server {
    /// Starts a machine with the user network and port 80 published, and waits until it answers.
    ///
    /// # Panics
    ///
    /// It does not answer.
    #[must_use]
    pub fn publish(mut config: MachineConfig) -> Self {
        let forwards = vec![Forward::tcp(0, PORT)];
        match &mut config.network {
            Network::User(user) => user.forwards = forwards,
            other => *other = Network::User(UserNetwork { forwards, ..UserNetwork::default() }),
        }
        Self::start(&config)
    }

    /// Starts a machine with the user network and waits until its first published port answers.
    ///
    /// # Panics
    ///
    /// It does not answer, or publishes none.
    #[must_use]
    pub fn start(config: &MachineConfig) -> Self {
        let machine = start(config);
        let address = (Ipv4Addr::LOCALHOST, machine.forwards()[0].host_port).into();
        Self { machine, address }.ready()
    }

    /// Starts a machine on the tap interface of a [`namespace`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// It does not answer.
    #[must_use]
    pub fn plug_in(mut config: MachineConfig) -> Self {
        namespace::plug_in(&mut config);
        Self { machine: start(&config), address: (namespace::GUEST.ip, PORT).into() }.ready()
    }

    /// Returns where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it serves, as a URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Opens a connection.
    ///
    /// # Panics
    ///
    /// Nobody answers.
    #[must_use]
    pub fn client(&self) -> Client {
        let client = Client::connect(self.address);
        client.unwrap_or_else(|error| {
            panic!("no connection: {error}; the console said:\n{}", self.machine.console())
        })
    }

    /// Checks that `/` is answered.
    ///
    /// # Panics
    ///
    /// It is not.
    pub fn assert_serves(&self) {
        let answer = self.client().get("/");
        let console = self.machine.console();
        let response =
            answer.unwrap_or_else(|error| panic!("no answer: {error}; the console said:\n{console}"));
        assert_eq!(response.status, 200, "{response:?}");
        assert!(!response.body.is_empty(), "{response:?}");
    }

    /// Waits until `/` is answered again, after more was asked than it could answer.
    ///
    /// # Panics
    ///
    /// It is not.
    pub fn assert_serves_soon(&self) {
        let process = self.machine.process_id();
        let answer = wait_until_serving(self.address, START, || !is_running(process));
        assert!(answer.is_some(), "no answer any more; the console said:\n{}", self.machine.console());
    }

    /// Asks it to stop, and returns how it ended.
    ///
    /// # Errors
    ///
    /// It does not stop, or ends without a word.
    pub fn stop(self) -> Result<Outcome, MachineError> {
        self.machine.request_stop();
        self.machine.wait(STOP)
    }

    /// Asks it to stop, and checks that it was well until then.
    ///
    /// # Panics
    ///
    /// It does not stop, or with a status of failure, or crashed.
    pub fn stop_well(self) {
        stop_well(self.machine);
    }

    fn ready(self) -> Self {
        let process = self.machine.process_id();
        let is_over = || !is_running(process);
        if wait_until_serving(self.address, START, is_over).is_some() {
            return self;
        }
        match self.stop() {
            Ok(Outcome { crash: Some(crash), .. }) => panic!("{crash}"),
            Ok(outcome) => {
                panic!("no answer; it ended with {} and said:\n{}", outcome.status, outcome.console)
            }
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// Asks a machine to stop, and checks that it was well until then.
///
/// # Panics
///
/// It does not stop, or with a status of failure, or crashed.
pub fn stop_well(machine: Machine) {
    machine.request_stop();
    let outcome = machine.wait(STOP).unwrap_or_else(|error| panic!("{error}"));
    if let Some(crash) = outcome.crash {
        panic!("{crash}");
    }
    assert_eq!(outcome.status, 0, "the console said:\n{}", outcome.console);
}

/// Waits at most `limit` until `/` is answered at `address`, and returns how long it took; `None` as well when there is
/// nobody left to answer.
#[must_use]
pub fn wait_until_serving(
    address: SocketAddr,
    limit: Duration,
    is_over: impl Fn() -> bool,
) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() < limit && !is_over() {
        let patience = FIRST_ATTEMPT + start.elapsed() / SHARE;
        let attempt = Client::connect_within(address, patience).and_then(|mut client| client.get("/"));
        match attempt {
            Ok(_) => return Some(start.elapsed()),
            Err(error) if is_timeout(&error) => {}
            // Refused: the guest runs and does not listen yet, or nobody is there yet.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

fn start(config: &MachineConfig) -> Machine {
    Machine::start(config).unwrap_or_else(|error| panic!("{error}"))
}
