//! Threads, shaped like `std::thread`.
//!
//! They are cooperative: a thread runs until it blocks, yields or ends. A panic ends the whole guest, so joining a
//! thread cannot fail.

use crate::io;
use crate::task::{self, NEVER, ThreadId, WaitQueue};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::convert::Infallible;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use services::clock;
use spin::Mutex;

/// Bytes of stack that a thread gets unless its [`Builder`] says otherwise.
pub const DEFAULT_STACK_BYTES: usize = 64 << 10;

/// Result of joining a thread: a panic never gets that far.
pub type Result<T> = core::result::Result<T, Infallible>;

/// A handle to a thread.
#[derive(Clone)]
pub struct Thread {
    inner: Arc<Inner>,
}

/// Unique number of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ThreadNumber(u64);

struct Inner {
    name: Option<String>,
    id: AtomicU64,
    has_token: AtomicBool,
    has_ended: AtomicBool,
    joiners: WaitQueue,
}

/// Makes a thread with a name or a stack of another size.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<String>,
    stack_bytes: Option<usize>,
}

/// The right to wait for a thread's end and to take its result.
pub struct JoinHandle<T> {
    thread: Thread,
    result: Arc<Mutex<Option<T>>>,
}

/// Starts a thread.
///
/// # Panics
///
/// If there is no memory for its stack; [`Builder::spawn`] tells instead.
pub fn spawn<F, T>(run: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(run).expect("there is memory for the stack of a thread")
}

/// Returns the running thread.
#[must_use]
pub fn current() -> Thread {
    task::with_current(Thread::clone)
}

/// Lets the other threads run first.
pub fn yield_now() {
    task::yield_now();
}

/// Waits for at least `duration`.
pub fn sleep(duration: Duration) {
    let deadline_ns = deadline_after(duration);
    while clock::now_ns() < deadline_ns {
        task::block_until(deadline_ns);
    }
}

/// Waits until somebody calls [`Thread::unpark`] for this thread; returns at once if that has happened since the last
/// time. May return for no reason.
pub fn park() {
    park_until(NEVER);
}

/// As [`park`], for at most `duration`.
pub fn park_timeout(duration: Duration) {
    park_until(deadline_after(duration));
}

/// Returns how many threads may run at the same time.
///
/// # Errors
///
/// None.
pub fn available_parallelism() -> io::Result<core::num::NonZero<usize>> {
    Ok(core::num::NonZero::<usize>::MIN)
}

impl Thread {
    pub(crate) fn new(name: Option<&str>) -> Self {
        let inner = Inner {
            name: name.map(String::from),
            id: AtomicU64::new(0),
            has_token: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            joiners: WaitQueue::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the thread's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// Returns the thread's number.
    #[must_use]
    pub fn id(&self) -> ThreadNumber {
        ThreadNumber(self.inner.id.load(Ordering::Relaxed))
    }

    /// Lets the thread return from [`park`].
    pub fn unpark(&self) {
        self.inner.has_token.store(true, Ordering::Relaxed);
        task::wake(self.task());
    }

    pub(crate) fn set_id(&self, id: ThreadId) {
        self.inner.id.store(id.to_bits(), Ordering::Relaxed);
    }

    fn task(&self) -> ThreadId {
        ThreadId::from_bits(self.inner.id.load(Ordering::Relaxed))
    }

    fn end(&self) {
        self.inner.has_ended.store(true, Ordering::Relaxed);
        self.inner.joiners.wake_all();
    }
}

impl Builder {
    /// Makes a builder for a thread without a name and with [`DEFAULT_STACK_BYTES`] of stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the thread; reports name its stack so.
    #[must_use]
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// Gives the thread a stack of `bytes`, rounded up to whole pages and to the smallest that is possible.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_bytes = Some(bytes);
        self
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// There is no memory for its stack.
    pub fn spawn<F, T>(self, run: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let thread = Thread::new(self.name.as_deref());
        let handle = JoinHandle { thread: thread.clone(), result: Arc::new(Mutex::new(None)) };
        let start = start_routine(thread.clone(), handle.result.clone(), run);
        task::spawn(&thread, self.stack_bytes.unwrap_or(DEFAULT_STACK_BYTES), start).map_err(|_| {
            io::Error::new(io::ErrorKind::OutOfMemory, "no memory for a thread's stack; start with more (-m)")
        })?;
        Ok(handle)
    }
}

impl<T> JoinHandle<T> {
    /// Returns the thread.
    #[must_use]
    pub const fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Tells whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.inner.has_ended.load(Ordering::Relaxed)
    }

    /// Waits for the thread's end and takes its result.
    ///
    /// # Errors
    ///
    /// None: a thread that panics takes the guest with it.
    ///
    /// # Panics
    ///
    /// Never: a thread that has ended has left a result.
    pub fn join(self) -> Result<T> {
        while !self.is_finished() {
            self.thread.inner.joiners.wait();
        }
        Ok(self
            .result
            .lock()
            .take()
            .expect("a thread leaves its result before it ends, and only one may take it"))
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}

/// Returns the time `duration` from now, in ns since boot.
pub(crate) fn deadline_after(duration: Duration) -> u64 {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(NEVER);
    clock::now_ns().saturating_add(nanoseconds)
}

fn park_until(deadline_ns: u64) {
    let thread = current();
    if !thread.inner.has_token.load(Ordering::Relaxed) && clock::now_ns() < deadline_ns {
        task::block_until(deadline_ns);
    }
    thread.inner.has_token.store(false, Ordering::Relaxed);
}

fn start_routine<F, T>(thread: Thread, result: Arc<Mutex<Option<T>>>, run: F) -> Box<dyn FnOnce() + Send>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Box::new(move || {
        let value = run();
        *result.lock() = Some(value);
        drop(result);
        thread.end();
    })
}
