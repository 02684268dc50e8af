//! Many readers or one writer.

use crate::task::WaitQueue;
use core::fmt;
use core::ops::{Deref, DerefMut};

/// A value that many threads may read at once, or one may change.
pub struct RwLock<T: ?Sized> {
    waiting: WaitQueue,
    value: spin::RwLock<T>,
}

/// The right to read; given back on drop.
pub struct RwLockReadGuard<'a, T: ?Sized> {
    waiting: &'a WaitQueue,
    /// Empty only while it is dropped.
    guard: Option<spin::RwLockReadGuard<'a, T>>,
}

/// The right to change; given back on drop.
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    waiting: &'a WaitQueue,
    /// Empty only while it is dropped.
    guard: Option<spin::RwLockWriteGuard<'a, T>>,
}

impl<T> RwLock<T> {
    /// Makes a lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { waiting: WaitQueue::new(), value: spin::RwLock::new(value) }
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for the right to read.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        loop {
            if let Some(guard) = self.try_read() {
                return guard;
            }
            self.waiting.wait();
        }
    }

    /// Waits for the right to change.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        loop {
            if let Some(guard) = self.try_write() {
                return guard;
            }
            self.waiting.wait();
        }
    }

    /// Takes the right to read if nobody may change the value.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        Some(RwLockReadGuard { waiting: &self.waiting, guard: Some(self.value.try_read()?) })
    }

    /// Takes the right to change if nobody else uses the value.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        Some(RwLockWriteGuard { waiting: &self.waiting, guard: Some(self.value.try_write()?) })
    }

    /// Returns the value; nobody else can use it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("a guard is empty only while it is dropped")
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect("a guard is empty only while it is dropped")
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect("a guard is empty only while it is dropped")
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.guard.take());
        // Who waits may be readers and writers: each looks whether its turn has come.
        self.waiting.wake_all();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.guard.take());
        self.waiting.wake_all();
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
