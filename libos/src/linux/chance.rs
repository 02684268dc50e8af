//! `getrandom`.

use super::errno::{Errno, Outcome};
use super::{gate, user};
use alloc::vec;
use services::io::entropy;

/// `GRND_NONBLOCK`, `GRND_RANDOM`, `GRND_INSECURE`.
const FLAGS: u64 = 7;
/// Most bytes of one call; a program asks again for the rest.
const MOST: u64 = 4096;

pub(super) fn fill(start: u64, length: u64, flags: u64) -> Outcome {
    if flags & !FLAGS != 0 {
        return Err(Errno::Invalid);
    }
    let length = length.min(MOST);
    let range = user::writable(start, length)?;
    let mut bytes = vec![0; range.length()];
    entropy::fill(&mut bytes).map_err(|_| Errno::Again)?;
    gate::copy_to(&range, 0, &bytes);
    Ok(length)
}
