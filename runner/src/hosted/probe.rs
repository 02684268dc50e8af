//! Whether a guest can run as a process here. Probed, never assumed.
//!
//! Two things can be missing under a kernel that calls itself Linux (a container's own kernel, an old or cut down one):
//! seccomp, which confines the guest, and the addresses that the guest is linked at.

use std::fs;
use std::ptr;

use abi::{PAGE_SIZE, layout};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Start of each range that a guest uses.
const RANGES: [u64; 7] = [
    layout::GUEST_IMAGE.0,
    layout::SERVICE_STATE.0,
    layout::PACKET_POOL.0,
    layout::INFO_PAGE.0,
    layout::HEAP.0,
    layout::STACKS.0,
    layout::MMAP_AREA.0,
];

/// Why a guest cannot run as a process.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostedRefusal {
    /// No seccomp.
    #[error("this kernel has no seccomp, which confines a guest")]
    NoSeccomp,
    /// An address is not to be had.
    #[error("this kernel gives no memory at {address:#x}: {cause}")]
    NoAddress {
        /// The address.
        address: u64,
        /// What it answered.
        cause: String,
    },
}

/// Looks for what a guest needs.
///
/// # Errors
///
/// Something is missing, and what.
pub fn probe() -> Result<(), HostedRefusal> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").ok();
    if !has_seccomp(&status, actions.as_deref()) {
        return Err(HostedRefusal::NoSeccomp);
    }
    RANGES.into_iter().try_for_each(|address| {
        can_map(address).map_err(|cause| HostedRefusal::NoAddress { address, cause: cause.to_string() })
    })
}

/// A kernel without the list of actions (before 4.14) knows the one we want, if it has filters at all.
fn has_seccomp(status: &str, actions: Option<&str>) -> bool {
    let has_filters = status.lines().any(|line| line.starts_with("Seccomp:"));
    has_filters && actions.is_none_or(|actions| actions.split_whitespace().any(|action| action == "trap"))
}

/// Maps a page there and unmaps it. This process itself may have something there: then the address exists.
fn can_map(address: u64) -> Result<(), Errno> {
    let place = ptr::without_provenance_mut(usize::try_from(address).map_err(|_| Errno::NOMEM)?);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
    // SAFETY: nothing that is mapped already is touched (FIXED_NOREPLACE), and nobody knows the new page.
    match unsafe { mmap_anonymous(place, PAGE_SIZE, ProtFlags::empty(), flags) } {
        Ok(page) => {
            // SAFETY: the page was mapped just now, and nobody else knows it. Older kernels take the address for a
            // wish and map another.
            unsafe { munmap(page, PAGE_SIZE) }?;
            if ptr::eq(page, place) { Ok(()) } else { Err(Errno::NOMEM) }
        }
        Err(Errno::EXIST) => Ok(()),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_the_action_or_without_filters_is_refused() {
        let status = "Name:\tx\nSeccomp:\t0\n";
        assert!(has_seccomp(status, Some("kill_process kill_thread trap errno\n")));
        assert!(has_seccomp(status, None));
        assert!(!has_seccomp(status, Some("kill_process")));
        assert!(!has_seccomp("Name:\tx\n", None));
    }

    #[test]
    fn an_address_of_the_kernel_is_not_to_be_had() {
        assert_eq!(can_map(layout::HEAP.0), Ok(()));
        assert!(can_map(layout::NUCLEUS.0).is_err());
    }
}
