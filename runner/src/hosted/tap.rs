//! Attaches to a tap interface as QEMU does, with the header that lets the kernel sum and cut for the guest.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

mod request {
    nix::ioctl_write_ptr_bad!(attach, libc::TUNSETIFF, libc::ifreq);
}

/// Takes the interface `name`, which exists and nobody else has.
pub(super) fn open(name: &str) -> io::Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte stays zero.
    for (place, byte) in ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    let flags = libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR)
        .map_err(io::Error::other)?;
    let wish = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    // SAFETY: the descriptor is open, the request takes one `ifreq`, and that lives until the call returns.
    unsafe { request::attach(file.as_raw_fd(), &raw const wish) }?;
    Ok(file.into())
}
