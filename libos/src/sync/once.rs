//! What is done or set once.

use super::mutex::Mutex;
use core::fmt;
use core::ops::Deref;

/// Something that is done once.
#[derive(Debug)]
pub struct Once {
    done: OnceLock<()>,
}

/// A value that is set once.
pub struct OnceLock<T> {
    /// Held while somebody makes the value, who may wait meanwhile.
    making: Mutex<()>,
    value: spin::Once<T>,
}

/// A value that is made when it is first used.
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: Mutex<Option<F>>,
}

impl Once {
    /// Makes one that is not done.
    #[must_use]
    pub const fn new() -> Self {
        Self { done: OnceLock::new() }
    }

    /// Calls `act` unless that was done before; waits if it is being done.
    pub fn call_once(&self, act: impl FnOnce()) {
        self.done.get_or_init(act);
    }

    /// Tells whether it is done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.done.get().is_some()
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> OnceLock<T> {
    /// Makes one without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self { making: Mutex::new(()), value: spin::Once::new() }
    }

    /// Returns the value if it is set.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// It is set already; `value` comes back.
    pub fn set(&self, value: T) -> Result<(), T> {
        let _making = self.making.lock();
        if self.value.get().is_some() {
            return Err(value);
        }
        self.value.call_once(|| value);
        Ok(())
    }

    /// Returns the value, and makes it first if it is not set; waits if it is being made.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.value.get() {
            return value;
        }
        let _making = self.making.lock();
        if let Some(value) = self.value.get() {
            return value;
        }
        let value = make();
        self.value.call_once(|| value)
    }

    /// Takes the value out.
    pub fn into_inner(self) -> Option<T> {
        self.value.try_into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// Makes a value that `make` makes when it is first used.
    pub const fn new(make: F) -> Self {
        Self { value: OnceLock::new(), make: Mutex::new(Some(make)) }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.get_or_init(|| {
            let make = self.make.lock().take();
            make.expect("the value is made at most once")()
        })
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyLock").field(&self.value.get()).finish()
    }
}
