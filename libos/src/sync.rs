//! Locks and channels, shaped like `std::sync`.
//!
//! Threads are cooperative and switch only where they wait, so these locks matter where a thread waits while it holds
//! one. A panic ends the guest: there is no poisoning, and `lock` returns the guard itself.

mod barrier;
mod condvar;
mod mutex;
mod once;
mod rwlock;

pub mod mpsc;

pub use alloc::sync::{Arc, Weak};
pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use core::sync::atomic;
pub use mutex::{Mutex, MutexGuard};
pub use once::{LazyLock, Once, OnceLock};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
