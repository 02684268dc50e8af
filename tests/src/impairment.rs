//! A bad line between two network ports: it delays, loses and reorders frames by a seeded plan of its own.
//!
//! The kernel's own impairments (`tc netem`) are not to be had everywhere; this one needs nothing, and the fate of the
//! n-th frame each way depends on the seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// How long a port waits for a frame before it looks whether it is still wanted.
pub const PATIENCE: Duration = Duration::from_millis(50);
/// Frames under way in one direction; more are dropped, as in any queue.
const QUEUE: usize = 4096;

/// What the line does to frames, each way.
#[derive(Clone, Copy, Debug)]
pub struct Impairment {
    /// How long a frame is under way.
    pub delay: Duration,
    /// The share of frames that get lost.
    pub loss: f64,
    /// The share of frames that are overtaken by others.
    pub reorder: f64,
    /// How much longer those are under way.
    pub lag: Duration,
}

/// Where frames come from.
pub trait Source: Send + 'static {
    /// Waits for a frame, at most [`PATIENCE`]; `None`: none has come.
    ///
    /// # Errors
    ///
    /// No frame will ever come any more.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;
}

/// Where frames go.
pub trait Sink: Send + 'static {
    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// Nobody is there any more.
    fn send(&mut self, frame: &[u8]) -> io::Result<()>;
}

/// A line between two ports, which works until it is dropped.
#[derive(Debug)]
pub struct Line {
    is_over: Arc<AtomicBool>,
    counters: Arc<Counters>,
    threads: Vec<JoinHandle<()>>,
}

/// What has become of the frames, both ways together.
#[derive(Debug, Default)]
struct Counters {
    carried: AtomicU64,
    lost: AtomicU64,
    reordered: AtomicU64,
}

/// A frame on its way, in the order of arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Instant,
    number: u64,
    frame: Vec<u8>,
}

impl Line {
    /// Connects two ports.
    #[must_use]
    pub fn new(
        impairment: Impairment,
        seed: u64,
        (left_source, left_sink): (impl Source, impl Sink),
        (right_source, right_sink): (impl Source, impl Sink),
    ) -> Self {
        let mut line = Self { is_over: Arc::default(), counters: Arc::default(), threads: Vec::new() };
        line.direct(impairment, Rng::with_seed(seed), left_source, right_sink);
        line.direct(impairment, Rng::with_seed(!seed), right_source, left_sink);
        line
    }

    /// Returns how many frames were carried, lost and reordered so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let Counters { carried, lost, reordered } = &*self.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(carried), read(lost), read(reordered))
    }

    /// Carries frames one way.
    fn direct(&mut self, impairment: Impairment, rng: Rng, source: impl Source, sink: impl Sink) {
        let (sender, arrived) = channel();
        let (is_over, counters) = (Arc::clone(&self.is_over), Arc::clone(&self.counters));
        self.threads
            .push(thread::spawn(move || judge(source, &sender, impairment, rng, &is_over, &counters)));
        self.threads.push(thread::spawn(move || deliver(&arrived, sink)));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A thread that failed has said so; there is nothing to be done about it here.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Decides what becomes of each frame.
fn judge(
    mut source: impl Source,
    sender: &Sender<UnderWay>,
    impairment: Impairment,
    mut rng: Rng,
    is_over: &AtomicBool,
    counters: &Counters,
) {
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        let frame = match source.receive() {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(_) => return,
        };
        number += 1;
        let (is_lost, is_late) = (rng.f64() < impairment.loss, rng.f64() < impairment.reorder);
        if is_lost {
            counters.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        counters.carried.fetch_add(1, Ordering::Relaxed);
        counters.reordered.fetch_add(u64::from(is_late), Ordering::Relaxed);
        let lag = if is_late { impairment.lag } else { Duration::ZERO };
        let due = Instant::now() + impairment.delay + lag;
        if sender.send(UnderWay { due, number, frame }).is_err() {
            return;
        }
    }
}

/// Hands frames over when their time has come.
fn deliver(arrived: &Receiver<UnderWay>, mut sink: impl Sink) {
    let mut under_way: BinaryHeap<Reverse<UnderWay>> = BinaryHeap::new();
    loop {
        let wait = under_way.peek().map(|Reverse(next)| next.due.saturating_duration_since(Instant::now()));
        match arrived.recv_timeout(wait.unwrap_or(PATIENCE)) {
            Ok(frame) if under_way.len() < QUEUE => under_way.push(Reverse(frame)),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while under_way.peek().is_some_and(|Reverse(next)| next.due <= Instant::now()) {
            let Some(Reverse(next)) = under_way.pop() else { break };
            if sink.send(&next.frame).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct In(Receiver<Vec<u8>>);
    struct Out(Sender<Vec<u8>>);

    impl Source for In {
        fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
            match self.0.recv_timeout(PATIENCE) {
                Ok(frame) => Ok(Some(frame)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    impl Sink for Out {
        fn send(&mut self, frame: &[u8]) -> io::Result<()> {
            self.0.send(frame.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    /// Sends numbered frames over a line and returns those that came out.
    fn carried(impairment: Impairment, seed: u64) -> Vec<u16> {
        let (enter, left) = channel();
        let (right, leave) = channel();
        let (_unused, silent) = channel();
        let line = Line::new(impairment, seed, (In(left), Out(channel().0)), (In(silent), Out(right)));
        for number in 0..1000_u16 {
            enter.send(number.to_be_bytes().to_vec()).unwrap();
        }
        let mut numbers = Vec::new();
        while let Ok(frame) = leave.recv_timeout(Duration::from_millis(500)) {
            numbers.push(u16::from_be_bytes([frame[0], frame[1]]));
        }
        // The line ends with its source, whatever is still under way.
        drop((enter, line));
        numbers
    }

    #[test]
    fn the_seed_decides_which_frames_get_lost() {
        let impairment = Impairment { delay: Duration::ZERO, loss: 0.1, reorder: 0.0, lag: Duration::ZERO };
        let first = carried(impairment, 7);
        assert!((800..970).contains(&first.len()), "{}", first.len());
        assert!(first.is_sorted());
        assert_eq!(first, carried(impairment, 7));
        assert_ne!(first, carried(impairment, 8));
    }

    #[test]
    fn late_frames_are_overtaken_and_none_is_lost() {
        let lag = Duration::from_millis(100);
        let impairment = Impairment { delay: Duration::from_millis(5), loss: 0.0, reorder: 0.1, lag };
        let mut numbers = carried(impairment, 7);
        assert!(!numbers.is_sorted());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<u16>>());
    }
}
