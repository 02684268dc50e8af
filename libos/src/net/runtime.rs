//! The one shard of the guest, and how threads wait for it.
//!
//! It starts when the first socket is made. From then on it is part of the idle work: while nobody can run, frames
//! come and go.

use super::card::Card;
use super::config::{Source, SourceV6, Sources};
use super::hash::Keys;
use super::offloads;
use super::pool::BufferPlan;
use super::shard::{Polled, Shard};
use super::tuning::Tuning;
use crate::io::{Error, ErrorKind, Result};
use crate::readiness::Token;
use crate::task::{self, NEVER, Poller, Work};
use crate::{env, eprintln};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use services::io::entropy;
use services::io::net::{Net, Offloads, Statistics};
use services::{clock, exit, machine};
use smoltcp::time::Instant;
use spin::{Mutex, MutexGuard};

/// How long to wait for an address.
const ADDRESS_PATIENCE_NS: u64 = 10_000_000_000;
/// How long what is written is still sent when the guest ends.
const DRAIN_PATIENCE_NS: u64 = 1_000_000_000;
/// How often a card that cannot interrupt is looked at.
const POLL_INTERVAL_NS: u64 = 200_000;
/// Batches that one poll takes in before the threads get their turn.
const ROUNDS: usize = 4;

/// It is never dropped; what would drop it would be the better part of the image.
static RUNTIME: Mutex<Option<&'static mut Runtime>> = Mutex::new(None);
/// What the card had done before the last wait, for those who may not ask it.
static AT_LAST_WAIT: Mutex<Statistics> = Mutex::new(Statistics::NONE);

/// The shard, and a list that is kept for its storage.
struct Runtime {
    shard: Shard<Card>,
    woken: Vec<Token>,
    /// The time of the last poll.
    polled_at: Instant,
}

/// What a thread tries to do with a socket.
pub(super) enum Attempt<R> {
    /// It is done.
    Done(R),
    /// It must wait; it has left its token where it will be woken.
    Wait,
}

/// The clock, for those who look at it: reading it is dear.
#[derive(Clone, Copy)]
pub(super) struct Clock;

/// How long to wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// Until the clock reaches this many ns.
    Until(u64),
    /// For so many ns from the first time that there is something to wait for.
    For(u64),
}

impl Clock {
    pub(super) fn now(self) -> Instant {
        now()
    }
}

/// Calls `act` with the shard; starts it if this is the first time.
pub(super) fn with<R>(act: impl FnOnce(&mut Shard<Card>, Clock) -> R) -> Result<R> {
    let mut runtime = lock();
    if runtime.is_none() {
        *runtime = Some(start()?);
    }
    let shard = &mut runtime.as_mut().expect("it has just been started").shard;
    Ok(act(shard, Clock))
}

/// Calls `attempt` until it is done, waiting in between; `None` if the clock reaches `deadline_ns` before.
pub(super) fn wait_for<R>(
    deadline_ns: u64,
    attempt: impl FnMut(&mut Shard<Card>, Clock, Token) -> Attempt<R>,
) -> Result<Option<R>> {
    wait(Patience::Until(deadline_ns), attempt)
}

/// Calls `attempt` until it is done, waiting in between; `None` if patience ends before.
pub(super) fn wait<R>(
    mut patience: Patience,
    mut attempt: impl FnMut(&mut Shard<Card>, Clock, Token) -> Attempt<R>,
) -> Result<Option<R>> {
    let token = Token::Thread(task::current());
    loop {
        if let Attempt::Done(result) = with(|shard, clock| attempt(shard, clock, token))? {
            return Ok(Some(result));
        }
        let deadline_ns = match patience {
            Patience::Until(NEVER) | Patience::For(NEVER) => NEVER,
            Patience::Until(deadline_ns) if clock::now_ns() >= deadline_ns => return Ok(None),
            Patience::Until(deadline_ns) => deadline_ns,
            Patience::For(limit_ns) => clock::now_ns().saturating_add(limit_ns),
        };
        patience = Patience::Until(deadline_ns);
        task::block_until(deadline_ns);
    }
}

/// Waits until the guest has an address to talk to `address` with, or to be talked to there if it is its own: of the
/// same version, or of any if it is `::`.
pub(super) fn wait_for_address(address: IpAddr) -> Result<()> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return Ok(());
    }
    let deadline_ns = clock::now_ns().saturating_add(ADDRESS_PATIENCE_NS);
    let settled = wait_for(deadline_ns, |shard, _, token| {
        if shard.stack().is_ready_for(address) {
            return Attempt::Done(());
        }
        shard.stack().wait_for_settings(token);
        Attempt::Wait
    })?;
    settled.ok_or(if address.is_ipv4() || address.is_unspecified() {
        Error::new(
            ErrorKind::NetworkUnreachable,
            "no address by DHCP within 10 s; start a DHCP server or give the guest net.ip=ADDRESS/LENGTH",
        )
    } else {
        Error::new(
            ErrorKind::NetworkUnreachable,
            "no router advertises IPv6 addresses; start one or give the guest net.ip6=ADDRESS/LENGTH",
        )
    })
}

/// Sends what is due at once.
pub(super) fn push() {
    if lock().is_some() {
        task::poll();
    }
}

/// Returns how many connections there are.
pub(super) fn connection_count() -> usize {
    lock().as_mut().map_or(0, |runtime| runtime.shard.stack().connection_count())
}

/// Returns what the network card has done; nothing before it is used. In a closure given to `read_with` or `write_with`
/// that is what it had done when the guest last had nothing to do.
pub(super) fn statistics() -> Statistics {
    if let Some(runtime) = RUNTIME.try_lock() {
        return runtime
            .as_ref()
            .map_or_else(Statistics::default, |runtime| runtime.shard.card().statistics());
    }
    *AT_LAST_WAIT.lock()
}

/// Returns bytes for the receive buffer of a UDP socket.
pub(super) fn datagram_capacity() -> usize {
    match memory() >> 20 {
        0..24 => 8 << 10,
        // The largest datagram that there is.
        _ => 64 << 10,
    }
}

#[cold]
fn start() -> Result<&'static mut Runtime> {
    let words: Vec<(String, String)> = env::settings().collect();
    let pairs = words.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let sources = Sources::from_words(pairs.clone())
        .map_err(|error| Error::new(ErrorKind::InvalidInput, error.text()))?;
    let allowed = offloads::from_words(pairs.clone())
        .map_err(|error| Error::new(ErrorKind::InvalidInput, error.text()))?;
    let mut random = [[0; 8]; 3];
    entropy::fill(random.as_flattened_mut()).map_err(|_| {
        Error::new(
            ErrorKind::NetworkDown,
            "no source of random bytes; use a CPU with RDRAND or add a virtio-rng device",
        )
    })?;
    let mut card = Card::new(open(allowed)?);
    card.end_wait();
    let plan = BufferPlan::for_memory(memory());
    let [seed, first, second] = random.map(u64::from_le_bytes);
    let mut shard = Shard::new(card, plan, seed, now());
    shard.stack().set_keys(Keys::new(first, second));
    let (tuning, wrong) = Tuning::from_words(pairs);
    if let Some(wrong) = wrong {
        eprintln!("network: {wrong}");
    }
    shard.stack().tune(tuning);
    match sources.v4 {
        Source::Dhcp => shard.stack().start_dhcp(now()),
        Source::Given(settings) => shard.stack().configure(Some(&settings)),
    }
    match sources.v6 {
        SourceV6::Automatic => shard.stack().start_v6(now()),
        SourceV6::Given(settings) => shard.stack().give_v6(settings, now()),
        SourceV6::Off => {}
    }
    task::install_poller(&NetworkPoller);
    exit::before_exit(drain);
    Ok(Box::leak(Box::new(Runtime { shard, woken: Vec::new(), polled_at: Instant::ZERO })))
}

fn open(allowed: Offloads) -> Result<Net> {
    match Net::open(allowed) {
        Ok(Some(net)) => Ok(net),
        Ok(None) => {
            Err(Error::new(ErrorKind::NetworkDown, "no network device; start the guest with one (--net)"))
        }
        Err(error) => {
            eprintln!("network: {error}");
            Err(Error::new(ErrorKind::NetworkDown, "the network device does not start"))
        }
    }
}

/// Waits until what was written is sent, but not long.
fn drain() {
    let deadline_ns = clock::now_ns().saturating_add(DRAIN_PATIENCE_NS);
    while clock::now_ns() < deadline_ns && matches!(with(|shard, _| shard.stack().has_unsent()), Ok(true)) {
        NetworkPoller.poll();
        let events_seen = machine::info().events_seen();
        let next = NetworkPoller.deadline_ns().min(deadline_ns);
        if next > clock::now_ns() && NetworkPoller.begin_wait() == Work::None {
            machine::current().wait(next, events_seen);
        }
        NetworkPoller.end_wait();
    }
}

/// Takes the shard. Nobody else has it: threads do not switch while they do, and what programs pass to `read_with` and
/// `write_with` must not use the network.
fn lock() -> MutexGuard<'static, Option<&'static mut Runtime>> {
    RUNTIME.try_lock().expect("a closure given to read_with or write_with uses the network itself")
}

fn memory() -> usize {
    usize::try_from(machine::current().boot().memory_bytes).unwrap_or(usize::MAX)
}

fn now() -> Instant {
    Instant::from_micros(i64::try_from(clock::now_ns() / 1000).unwrap_or(i64::MAX))
}

/// The network's part of the idle work.
struct NetworkPoller;

impl Poller for NetworkPoller {
    fn poll(&self) {
        let mut runtime = lock();
        let Some(runtime) = runtime.as_mut() else { return };
        let Runtime { shard, woken, polled_at } = &mut **runtime;
        for _ in 0..ROUNDS {
            *polled_at = now();
            let polled = shard.poll(*polled_at);
            shard.stack().take_woken(woken);
            if polled == Polled::Nothing || !woken.is_empty() {
                break;
            }
        }
        for token in woken.drain(..) {
            token.wake();
        }
    }

    fn deadline_ns(&self) -> u64 {
        let runtime = lock();
        let Some(runtime) = runtime.as_ref() else { return NEVER };
        // What is to be done at once counts from the last poll: reading the clock is dear.
        let deadline = runtime.shard.deadline(runtime.polled_at);
        let deadline_ns = deadline.map_or(NEVER, |deadline| {
            u64::try_from(deadline.total_micros()).unwrap_or(0).saturating_mul(1000)
        });
        if runtime.shard.card().has_events() {
            deadline_ns
        } else {
            deadline_ns.min(clock::now_ns() + POLL_INTERVAL_NS)
        }
    }

    fn begin_wait(&self) -> Work {
        lock().as_mut().map_or(Work::None, |runtime| {
            *AT_LAST_WAIT.lock() = runtime.shard.card().statistics();
            runtime.shard.device().begin_wait()
        })
    }

    fn end_wait(&self) {
        if let Some(runtime) = lock().as_mut() {
            runtime.shard.device().end_wait();
        }
    }
}
