//! TCP for programs, shaped like `std::net`.

mod listener;
mod options;
mod stream;

use crate::io::{Error, ErrorKind, Result};
use crate::task::NEVER;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

pub use listener::{Incoming, TcpListener};
pub use options::Shutdown;
pub use stream::TcpStream;

/// Stores a time limit; [`NEVER`] stands for none.
pub(super) fn set_timeout(store: &AtomicU64, timeout: Option<Duration>) -> Result<()> {
    let limit = match timeout {
        None => NEVER,
        Some(Duration::ZERO) => {
            return Err(Error::new(ErrorKind::InvalidInput, "a time limit of zero; use set_nonblocking"));
        }
        Some(limit) => u64::try_from(limit.as_nanos()).unwrap_or(NEVER),
    };
    store.store(limit, Ordering::Relaxed);
    Ok(())
}

/// Returns a stored time limit.
pub(super) fn timeout(store: &AtomicU64) -> Option<Duration> {
    match store.load(Ordering::Relaxed) {
        NEVER => None,
        limit => Some(Duration::from_nanos(limit)),
    }
}
