//! Channels: many senders, one receiver. Shaped like `std::sync::mpsc`.

use crate::task::{NEVER, WaitQueue, Woken};
use crate::thread::deadline_after;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;

/// The sending end of a channel without a bound.
pub struct Sender<T>(Tail<T>);

/// The sending end of a channel with a bound.
pub struct SyncSender<T>(Tail<T>);

/// The receiving end.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

/// The values that come, until all senders are gone.
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

/// The value could not be sent: the receiver is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendError<T>(pub T);

/// Why a value could not be sent without waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrySendError<T> {
    /// The channel is full.
    Full(T),
    /// The receiver is gone.
    Disconnected(T),
}

/// No value will come: all senders are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecvError;

/// Why no value could be received without waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryRecvError {
    /// None is here.
    Empty,
    /// All senders are gone.
    Disconnected,
}

/// Why no value was received in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvTimeoutError {
    /// The time is over.
    Timeout,
    /// All senders are gone.
    Disconnected,
}

struct Channel<T> {
    values: spin::Mutex<VecDeque<T>>,
    bound: usize,
    senders: AtomicUsize,
    is_received: AtomicBool,
    filled: WaitQueue,
    emptied: WaitQueue,
}

struct Tail<T> {
    channel: Arc<Channel<T>>,
}

/// Makes a channel that holds any number of values.
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (tail, receiver) = with_bound(usize::MAX);
    (Sender(tail), receiver)
}

/// Makes a channel that holds up to `bound` values, at least one.
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (tail, receiver) = with_bound(bound.max(1));
    (SyncSender(tail), receiver)
}

impl<T> Sender<T> {
    /// Sends a value. Never waits.
    ///
    /// # Errors
    ///
    /// The receiver is gone.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value)
    }
}

impl<T> SyncSender<T> {
    /// Sends a value; waits while the channel is full.
    ///
    /// # Errors
    ///
    /// The receiver is gone.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.send(value)
    }

    /// Sends a value if the channel is not full.
    ///
    /// # Errors
    ///
    /// See [`TrySendError`].
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(value)
    }
}

impl<T> Receiver<T> {
    /// Receives a value; waits for one.
    ///
    /// # Errors
    ///
    /// No value is here and all senders are gone.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(NEVER).map_err(|_| RecvError)
    }

    /// Receives a value; waits for one for at most `duration`.
    ///
    /// # Errors
    ///
    /// See [`RecvTimeoutError`].
    pub fn recv_timeout(&self, duration: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(deadline_after(duration))
    }

    /// Receives a value if one is here.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        if let Some(value) = self.channel.values.lock().pop_front() {
            self.channel.emptied.wake_one();
            return Ok(value);
        }
        match self.channel.senders.load(Ordering::Relaxed) {
            0 => Err(TryRecvError::Disconnected),
            _ => Err(TryRecvError::Empty),
        }
    }

    /// Returns the values that come, until all senders are gone.
    #[must_use]
    pub const fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    fn recv_until(&self, deadline_ns: u64) -> Result<T, RecvTimeoutError> {
        loop {
            match self.try_recv() {
                Ok(value) => return Ok(value),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) => {}
            }
            if self.channel.filled.wait_until(deadline_ns) == Woken::ByTime {
                return Err(RecvTimeoutError::Timeout);
            }
        }
    }
}

impl<T> Tail<T> {
    fn send(&self, mut value: T) -> Result<(), SendError<T>> {
        loop {
            match self.try_send(value) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(value)) => return Err(SendError(value)),
                Err(TrySendError::Full(back)) => value = back,
            }
            self.channel.emptied.wait();
        }
    }

    fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let channel = &self.channel;
        if !channel.is_received.load(Ordering::Relaxed) {
            return Err(TrySendError::Disconnected(value));
        }
        let mut values = channel.values.lock();
        if values.len() >= channel.bound {
            return Err(TrySendError::Full(value));
        }
        values.push_back(value);
        drop(values);
        channel.filled.wake_one();
        Ok(())
    }
}

impl<T> Clone for Tail<T> {
    fn clone(&self) -> Self {
        self.channel.senders.fetch_add(1, Ordering::Relaxed);
        Self { channel: self.channel.clone() }
    }
}

impl<T> Drop for Tail<T> {
    fn drop(&mut self) {
        if self.channel.senders.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.channel.filled.wake_all();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.is_received.store(false, Ordering::Relaxed);
        self.channel.emptied.wake_all();
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncSender")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the receiver of the channel is gone")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all senders of the channel are gone")
    }
}

impl<T: fmt::Debug> core::error::Error for SendError<T> {}

impl core::error::Error for RecvError {}

fn with_bound<T>(bound: usize) -> (Tail<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        values: spin::Mutex::new(VecDeque::new()),
        bound,
        senders: AtomicUsize::new(1),
        is_received: AtomicBool::new(true),
        filled: WaitQueue::new(),
        emptied: WaitQueue::new(),
    });
    (Tail { channel: channel.clone() }, Receiver { channel })
}
