//! The table of threads, the run queue, and the choice of the next one.
//!
//! The table is behind a lock that is never contended (one CPU, no preemption in the library OS) and never held
//! across a switch.

use super::idle;
use crate::gate::{self, Context, Memory};
use crate::process;
use crate::slots::{Id, Slots};
use crate::thread::Thread;
use crate::timers::Timers;
use abi::PAGE_SIZE;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use services::memory;
use services::memory::stack::{MINIMUM_BYTES, Stack};
use spin::Mutex;

/// The deadline of who waits without a limit.
pub(crate) const NEVER: u64 = u64::MAX;
/// After so many switches without idling the idle work gets a turn. Before that the threads that one batch of frames
/// has woken have had theirs, so that what they answer goes out together.
const TURNS: u32 = 256;
/// Stacks that are kept for the next threads of the same name and size.
const SPARE_STACKS: usize = 32;

/// Number of a thread.
pub(crate) type ThreadId = Id<Entry>;

/// It is never dropped, and nothing that would is linked.
static SCHEDULER: Mutex<Option<&'static mut Scheduler>> = Mutex::new(None);
/// The number of the running thread, for all who only want to know that; the main thread's is 0.
static RUNNING: AtomicU64 = AtomicU64::new(0);
/// Whether a thread has ended whose stack nobody has cleared away.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// The threads and who runs next.
struct Scheduler {
    threads: Slots<Entry>,
    ready: VecDeque<ThreadId>,
    sleepers: Timers<u64, ThreadId>,
    running: ThreadId,
    /// The thread that has just ended: its stack is in use until somebody else runs.
    ended: Option<Entry>,
    spare: Vec<Stack>,
    turns: u32,
}

/// A thread in the table.
#[derive(Debug)]
pub(crate) struct Entry {
    thread: Thread,
    context: Arc<Context>,
    start: Option<Start>,
    state: State,
    /// When a thread that is blocked runs again by itself.
    deadline_ns: u64,
    /// The time of its timer in the heap. It may be earlier than the deadline: then it is set anew when it fires, so
    /// that a thread that is mostly woken before its time leaves the heap alone.
    timer_ns: u64,
}

struct Start(Box<dyn FnOnce() + Send>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    Ready,
    Blocked,
}

/// Who runs next.
enum Next {
    /// The one who asks.
    Asker,
    /// Another one. `from` is the one who asks, unless it has ended.
    Other { from: Option<Arc<Context>>, to: Arc<Context> },
    /// Nobody, before the idle work has been looked at.
    IdleWork,
    /// Nobody.
    Nobody,
}

/// Returns the number of the running thread.
pub(crate) fn current() -> ThreadId {
    ThreadId::from_bits(RUNNING.load(Ordering::Relaxed))
}

/// Calls `look` with the running thread.
pub(crate) fn with_current<R>(look: impl FnOnce(&Thread) -> R) -> R {
    with(|scheduler| look(&scheduler.entry(scheduler.running).thread))
}

/// Returns how many threads there are.
pub(crate) fn thread_count() -> usize {
    with(|scheduler| scheduler.threads.len())
}

/// Makes a thread that runs `start` when its turn comes.
pub(crate) fn spawn(
    thread: &Thread,
    stack_bytes: usize,
    start: Box<dyn FnOnce() + Send>,
) -> Result<(), memory::Error> {
    let stack = stack(stack_bytes, thread.name().unwrap_or("(unnamed)"))?;
    let context = Arc::new(Context::new(stack, run_thread));
    with(|scheduler| {
        let start = Some(Start(start));
        let entry = Entry {
            thread: thread.clone(),
            context,
            start,
            state: State::Ready,
            deadline_ns: NEVER,
            timer_ns: NEVER,
        };
        let id = scheduler.threads.insert(entry);
        thread.set_id(id);
        scheduler.ready.push_back(id);
    });
    Ok(())
}

/// Blocks the running thread until somebody [`wake`]s it or the clock reaches `deadline_ns`. May return early.
pub(crate) fn block_until(deadline_ns: u64) {
    process::heed_stop();
    let next = with(|scheduler| {
        scheduler.block(deadline_ns);
        scheduler.next()
    });
    run_others(next);
}

/// Lets the others run first.
pub(crate) fn yield_now() {
    process::heed_stop();
    let is_alone = with(|scheduler| {
        let running = scheduler.running;
        scheduler.entry_mut(running).state = State::Ready;
        scheduler.ready.push_back(running);
        scheduler.ready.len() == 1
    });
    if is_alone {
        idle::poll();
    }
    run_others(with(Scheduler::next));
}

/// Lets the others run first, if somebody can.
pub(crate) fn yield_to_others() {
    if is_somebody_ready() { yield_now() } else { process::heed_stop() }
}

/// Lets a blocked thread run again. One that runs, or has ended, stays as it is.
pub(crate) fn wake(id: ThreadId) {
    with(|scheduler| scheduler.wake(id));
}

/// Ends the running thread.
pub(crate) fn exit_current() -> ! {
    with(|scheduler| scheduler.ended = scheduler.threads.remove(scheduler.running));
    HAS_ENDED.store(true, Ordering::Relaxed);
    loop {
        let next = with(Scheduler::next);
        match next {
            Next::Other { from, to } => {
                drop(from);
                gate::leave(to)
            }
            Next::IdleWork => idle::poll(),
            Next::Asker | Next::Nobody => idle::wait(),
        }
    }
}

/// Wakes those whose time has come and returns when the next one's does.
pub(super) fn fire_sleepers(now_ns: u64) -> u64 {
    with(|scheduler| scheduler.fire_sleepers(now_ns))
}

/// Tells whether somebody can run.
pub(super) fn is_somebody_ready() -> bool {
    with(|scheduler| !scheduler.ready.is_empty())
}

/// Runs the others, `next` first, until the running thread may go on.
fn run_others(mut next: Next) {
    loop {
        match next {
            Next::Asker => return,
            Next::Other { from, to } => {
                let from = from.expect("the running thread has not ended");
                gate::switch(&from, to);
                return clear_away();
            }
            Next::IdleWork => idle::poll(),
            Next::Nobody => idle::wait(),
        }
        next = with(Scheduler::next);
    }
}

/// Where every thread but the first starts.
extern "C" fn run_thread() -> ! {
    clear_away();
    let start = with(|scheduler| {
        let running = scheduler.running;
        scheduler.entry_mut(running).start.take()
    });
    if let Some(Start(start)) = start {
        start();
    }
    exit_current()
}

fn stack(bytes: usize, name: &str) -> Result<Memory, memory::Error> {
    match with(|scheduler| scheduler.take_spare(bytes, name)) {
        Some(stack) => Ok(Memory::Guarded(stack)),
        None => Memory::new(bytes, name),
    }
}

/// Takes the stack of the thread that has ended last, now that somebody else runs.
fn clear_away() {
    if HAS_ENDED.load(Ordering::Relaxed) {
        HAS_ENDED.store(false, Ordering::Relaxed);
        recover_stack();
    }
}

#[cold]
fn recover_stack() {
    let ended = with(|scheduler| scheduler.ended.take());
    let Some(Entry { context, .. }) = ended else { return };
    if let Ok(context) = Arc::try_unwrap(context)
        && let Some(Memory::Guarded(stack)) = context.into_stack()
    {
        // Dropped here, outside the lock, if it is not kept.
        let _surplus = with(|scheduler| scheduler.keep(stack));
    }
}

fn with<R>(act: impl FnOnce(&mut Scheduler) -> R) -> R {
    let mut scheduler = SCHEDULER.lock();
    if scheduler.is_none() {
        *scheduler = Some(Scheduler::start());
    }
    act(scheduler.as_mut().expect("it has just been made"))
}

impl Scheduler {
    /// Adopts the running thread as the main thread.
    #[cold]
    fn start() -> &'static mut Self {
        let mut threads = Slots::new();
        let thread = Thread::new(Some("main"));
        let context = Arc::new(Context::running());
        let entry = Entry {
            thread: thread.clone(),
            context,
            start: None,
            state: State::Running,
            deadline_ns: NEVER,
            timer_ns: NEVER,
        };
        let running = threads.insert(entry);
        debug_assert_eq!(running.to_bits(), 0, "the main thread is the first");
        thread.set_id(running);
        Box::leak(Box::new(Self {
            threads,
            ready: VecDeque::new(),
            sleepers: Timers::new(),
            running,
            ended: None,
            spare: Vec::new(),
            turns: 0,
        }))
    }

    fn entry(&self, id: ThreadId) -> &Entry {
        self.threads.get(id).expect("a thread stays in the table while it lives")
    }

    fn entry_mut(&mut self, id: ThreadId) -> &mut Entry {
        self.threads.get_mut(id).expect("a thread stays in the table while it lives")
    }

    fn block(&mut self, deadline_ns: u64) {
        let id = self.running;
        let entry = self.entry_mut(id);
        entry.state = State::Blocked;
        entry.deadline_ns = deadline_ns;
        if deadline_ns < entry.timer_ns {
            entry.timer_ns = deadline_ns;
            self.sleepers.add(deadline_ns, id);
            self.tidy_sleepers();
        }
    }

    fn wake(&mut self, id: ThreadId) {
        if let Some(entry) = self.threads.get_mut(id)
            && entry.state == State::Blocked
        {
            entry.state = State::Ready;
            self.ready.push_back(id);
        }
    }

    fn next(&mut self) -> Next {
        self.turns += 1;
        if self.turns >= TURNS {
            self.turns = 0;
            return Next::IdleWork;
        }
        let Some(id) = self.ready.pop_front() else {
            self.turns = 0;
            return Next::Nobody;
        };
        self.entry_mut(id).state = State::Running;
        if id == self.running {
            return Next::Asker;
        }
        let from = self.threads.get(self.running).map(|entry| entry.context.clone());
        let to = self.entry(id).context.clone();
        self.running = id;
        RUNNING.store(id.to_bits(), Ordering::Relaxed);
        Next::Other { from, to }
    }

    fn fire_sleepers(&mut self, now_ns: u64) -> u64 {
        while let Some((at, id)) = self.sleepers.pop_due(now_ns) {
            // Another timer of the thread, or of one that is gone, means nothing.
            let Some(entry) = self.threads.get_mut(id).filter(|entry| entry.timer_ns == at) else { continue };
            entry.timer_ns = NEVER;
            if entry.state == State::Blocked && entry.deadline_ns <= now_ns {
                self.wake(id);
            } else if entry.state == State::Blocked && entry.deadline_ns != NEVER {
                entry.timer_ns = entry.deadline_ns;
                self.sleepers.add(entry.deadline_ns, id);
            }
        }
        self.sleepers.next().unwrap_or(NEVER)
    }

    /// Drops timers that mean nothing any more.
    fn tidy_sleepers(&mut self) {
        if self.sleepers.len() > 2 * self.threads.len() + 64 {
            let threads = &self.threads;
            self.sleepers.retain(|at, id| threads.get(id).is_some_and(|entry| entry.timer_ns == at));
        }
    }

    fn take_spare(&mut self, bytes: usize, name: &str) -> Option<Stack> {
        let fits =
            |stack: &Stack| stack.size() >= bytes && stack.size() <= bytes.max(MINIMUM_BYTES) + PAGE_SIZE;
        let index = self.spare.iter().rposition(|stack| fits(stack) && stack.name() == name)?;
        Some(self.spare.swap_remove(index))
    }

    /// Keeps a stack for the next thread of its name, or gives it back if there are enough.
    fn keep(&mut self, stack: Stack) -> Option<Stack> {
        if self.spare.len() >= SPARE_STACKS {
            return Some(stack);
        }
        self.spare.push(stack);
        None
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Start")
    }
}
