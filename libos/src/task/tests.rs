//! Threads on the host, over a machine that can only wait.

use super::{NEVER, WaitQueue, Woken, block_until, wake_at_event};
use crate::sync::{Barrier, Condvar, Mutex, OnceLock, RwLock, mpsc};
use crate::thread;
use crate::time::Instant;
use abi::boot::{BootInfo, Device, MAX_DEVICES, Region, Window};
use abi::control::CrashKind;
use abi::info::EVENTS;
use abi::{Access, BusAddr, Error, InfoPage, Machine, VirtAddr};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Mutex as HostMutex, PoisonError};

/// Nanoseconds a tick: time runs as fast as the counter, which is about right.
const ONE: u64 = 1 << 32;
const EVENT: usize = 9;
const COMMAND_LINE: &[u8] =
    b"net.ip=10.0.0.2/24 env.A=1 env.B=two\\ words env.A=3 -- program one \"two words\" --";

static INFO: InfoPage = InfoPage {
    version: AtomicU64::new(abi::VERSION as u64),
    tsc_base: AtomicU64::new(0),
    ns_base: AtomicU64::new(0),
    tsc_multiplier: AtomicU64::new(ONE),
    wall_ns: AtomicU64::new(0),
    real_time_clock: AtomicU64::new(u64::MAX),
    events_total: AtomicU64::new(0),
    events: [const { AtomicU64::new(0) }; EVENTS],
};
static BOOT: BootInfo = BootInfo {
    version: 0,
    cpus: 1,
    memory_bytes: 64 << 20,
    command_line_length: 0,
    device_count: 0,
    devices: [const {
        Device {
            transport: 0,
            kind: 0,
            notify_multiplier: 0,
            first_event: 0,
            event_count: 0,
            window_count: 0,
            windows: [const { Window { physical: 0, length: 0, shared: 0 } }; abi::boot::MAX_WINDOWS],
            regions: [const { Region { window: 0, offset: 0, length: 0 } }; abi::boot::region::COUNT],
        }
    }; MAX_DEVICES],
};
static WAITS: AtomicUsize = AtomicUsize::new(0);
/// There is one scheduler, so one test at a time.
static TURN: HostMutex<()> = HostMutex::new(());

struct Host;

impl Machine for Host {
    fn info(&self) -> &'static InfoPage {
        &INFO
    }

    fn boot(&self) -> &'static BootInfo {
        &BOOT
    }

    fn command_line(&self) -> &'static [u8] {
        COMMAND_LINE
    }

    fn map(&self, _: VirtAddr, _: usize, _: Access) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn protect(&self, _: VirtAddr, _: usize, _: Access) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn unmap(&self, _: VirtAddr, _: usize) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn map_dma(&self, _: VirtAddr, _: usize, _: usize) -> Result<BusAddr, Error> {
        Err(Error::Unsupported)
    }

    fn map_window(&self, _: usize, _: usize, _: VirtAddr) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Lets an event happen each time somebody waits without a limit.
    fn wait(&self, deadline_ns: u64, events_seen: u64) {
        assert_eq!(events_seen, INFO.events_seen());
        WAITS.fetch_add(1, Ordering::Relaxed);
        if deadline_ns == NEVER {
            INFO.events[EVENT].fetch_add(1, Ordering::Relaxed);
            INFO.events_total.fetch_add(1, Ordering::Relaxed);
        }
        while services::clock::now_ns() < deadline_ns && deadline_ns != NEVER {
            std::thread::yield_now();
        }
    }

    fn register_upcall(&self, _: VirtAddr, _: VirtAddr) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn return_from_upcall(&self) -> ! {
        unreachable!("nobody upcalls")
    }

    fn set_tick(&self, _: u64) {}

    fn console_read(&self, _: &mut [u8]) -> usize {
        0
    }

    fn console_write(&self, _: &[u8]) {}

    fn crash(&self, _: CrashKind, text: &str) -> ! {
        panic!("{text}")
    }

    fn exit(&self, status: u8) -> ! {
        panic!("exit with {status}")
    }
}

/// Runs a test as the main thread of a guest.
pub(crate) fn as_guest(test: impl FnOnce()) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    services::machine::install(&Host);
    test();
}

#[test]
fn threads_take_turns_and_leave_their_results() {
    as_guest(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let order = order.clone();
                thread::spawn(move || {
                    for _ in 0..3 {
                        order.lock().push(number);
                        thread::yield_now();
                    }
                    number * 10
                })
            })
            .collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(results, [0, 10, 20]);
        assert_eq!(*order.lock(), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    });
}

#[test]
fn a_thread_has_its_name_and_keeps_its_registers() {
    as_guest(|| {
        let builder = thread::Builder::new().name("worker".to_string());
        let worker = builder.spawn(|| {
            let (mut whole, mut part) = (1_u64, 1.0_f64);
            for round in 1..50 {
                whole = whole.wrapping_mul(round) ^ round;
                part = part.mul_add(1.5, 0.25);
                thread::yield_now();
            }
            (whole, part, thread::current().name().map(ToString::to_string))
        });
        let (mut whole, mut part) = (1_u64, 1.0_f64);
        for round in 1..50 {
            whole = whole.wrapping_mul(round) ^ round;
            part = part.mul_add(1.5, 0.25);
            thread::yield_now();
        }
        let theirs = worker.unwrap().join().unwrap();
        assert_eq!(theirs, (whole, part, Some("worker".to_string())));
        assert_eq!(thread::current().name(), Some("main"));
    });
}

#[test]
fn a_thousand_threads_end() {
    as_guest(|| {
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let threads: Vec<_> = (0..10)
                .map(|_| {
                    let count = count.clone();
                    thread::spawn(move || count.fetch_add(1, Ordering::Relaxed))
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
        }
        assert_eq!(count.load(Ordering::Relaxed), 1000);
        assert_eq!(super::thread_count(), 1);
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_time() {
    as_guest(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = [30, 10, 20]
            .into_iter()
            .map(|milliseconds| {
                let order = order.clone();
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(milliseconds));
                    order.lock().push(milliseconds);
                })
            })
            .collect();
        let before = Instant::now();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*order.lock(), [10, 20, 30]);
        assert!(before.elapsed() >= Duration::from_millis(30));
    });
}

#[test]
fn a_wait_ends_with_its_time_or_before() {
    as_guest(|| {
        let queue = Arc::new(WaitQueue::new());
        assert_eq!(queue.wait_until(services::clock::now_ns() + 1_000_000), Woken::ByTime);
        let other = queue.clone();
        let waker = thread::spawn(move || other.wake_one());
        assert_eq!(queue.wait_until(services::clock::now_ns() + 1_000_000_000), Woken::BySomebody);
        waker.join().unwrap();
    });
}

#[test]
fn parking_heeds_an_unpark_that_came_before() {
    as_guest(|| {
        let main = thread::current();
        main.unpark();
        thread::park();
        let waker = thread::spawn(move || main.unpark());
        thread::park();
        waker.join().unwrap();
        let before = Instant::now();
        thread::park_timeout(Duration::from_millis(1));
        assert!(before.elapsed() >= Duration::from_millis(1));
    });
}

#[test]
fn an_event_of_the_machine_wakes() {
    as_guest(|| {
        let waits = WAITS.load(Ordering::Relaxed);
        let seen = INFO.event(EVENT);
        wake_at_event(EVENT, seen, super::current());
        block_until(NEVER);
        assert!(INFO.event(EVENT) > seen);
        assert!(WAITS.load(Ordering::Relaxed) > waits);
    });
}

#[test]
fn a_mutex_is_held_across_a_wait() {
    as_guest(|| {
        let value = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..5)
            .map(|_| {
                let value = value.clone();
                thread::spawn(move || {
                    for _ in 0..10 {
                        let mut guard = value.lock();
                        let before = *guard;
                        thread::yield_now();
                        *guard = before + 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*value.lock(), 50);
    });
}

#[test]
fn a_condition_is_waited_for() {
    as_guest(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = shared.clone();
        let waiter = thread::spawn(move || {
            let guard = other.0.lock();
            *other.1.wait_while(guard, |is_set| !*is_set)
        });
        thread::yield_now();
        *shared.0.lock() = true;
        shared.1.notify_one();
        assert!(waiter.join().unwrap());
        let (_guard, outcome) = shared.1.wait_timeout(shared.0.lock(), Duration::from_millis(1));
        assert!(outcome.timed_out());
    });
}

#[test]
fn channels_carry_values_and_the_end() {
    as_guest(|| {
        let (sender, receiver) = mpsc::sync_channel(2);
        let producers: Vec<_> = (0..3)
            .map(|number| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for index in 0..10 {
                        sender.send(number * 10 + index).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let mut values: Vec<_> = receiver.iter().collect();
        values.sort_unstable();
        assert_eq!(values, (0..30).collect::<Vec<_>>());
        for producer in producers {
            producer.join().unwrap();
        }
        let (sender, receiver) = mpsc::channel();
        assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(mpsc::RecvTimeoutError::Timeout));
        drop(receiver);
        assert_eq!(sender.send(1), Err(mpsc::SendError(1)));
    });
}

#[test]
fn readers_share_and_writers_do_not() {
    as_guest(|| {
        let value = Arc::new(RwLock::new(1));
        let first = value.read();
        assert!(value.try_read().is_some());
        assert!(value.try_write().is_none());
        let other = value.clone();
        let writer = thread::spawn(move || *other.write() = 2);
        thread::yield_now();
        assert_eq!(*first, 1);
        drop(first);
        writer.join().unwrap();
        assert_eq!(*value.read(), 2);
    });
}

#[test]
fn a_value_is_made_once_though_making_waits() {
    as_guest(|| {
        let cell = Arc::new(OnceLock::new());
        let made = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (cell, made) = (cell.clone(), made.clone());
                thread::spawn(move || {
                    *cell.get_or_init(|| {
                        thread::yield_now();
                        made.fetch_add(1, Ordering::Relaxed)
                    })
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 0);
        }
        assert_eq!((made.load(Ordering::Relaxed), cell.set(9)), (1, Err(9)));
    });
}

#[test]
fn a_barrier_lets_a_round_through_together() {
    as_guest(|| {
        let barrier = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let barrier = barrier.clone();
                thread::spawn(move || (0..5).filter(|_| barrier.wait().is_leader()).count())
            })
            .collect();
        let leaders: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(leaders, 5);
    });
}

#[test]
fn arguments_and_variables_come_from_the_command_line() {
    as_guest(|| {
        assert_eq!(crate::env::args().collect::<Vec<_>>(), ["program", "one", "two words", "--"]);
        assert_eq!(crate::env::var("A").unwrap(), "3");
        assert_eq!(crate::env::var("B").unwrap(), "two words");
        assert!(crate::env::var("C").is_err());
        let settings: Vec<_> = crate::env::settings().map(|(name, _)| name).collect();
        assert_eq!(settings, ["net.ip", "env.A", "env.B", "env.A"]);
    });
}
