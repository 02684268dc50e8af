//! A tap interface, held by the test: it reads what Linux sends there and writes what Linux shall receive.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::impairment::{PATIENCE, Sink, Source};

/// Longest frame that Linux sends on an interface with the usual MTU.
const LONGEST_FRAME: usize = 2048;

/// A tap interface of the calling thread's network namespace.
#[derive(Debug)]
pub struct Tap(File);

mod request {
    use nix::libc;

    nix::ioctl_write_ptr_bad!(attach, libc::TUNSETIFF, libc::ifreq);
}

impl Tap {
    /// Takes the interface `name`, which exists.
    ///
    /// # Errors
    ///
    /// It does not exist, or somebody else has it.
    pub fn open(name: &str) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open("/dev/net/tun")?;
        let mut ifr_name = [0; libc::IFNAMSIZ];
        // The last byte stays zero.
        for (place, byte) in ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            *place = libc::c_char::from_ne_bytes([byte]);
        }
        let flags = libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI).map_err(io::Error::other)?;
        let wish = libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
        // SAFETY: the descriptor is open, the request takes one `ifreq`, and that lives until the call returns.
        unsafe { request::attach(file.as_raw_fd(), &raw const wish) }?;
        Ok(Self(file))
    }

    /// Returns the two directions.
    ///
    /// # Errors
    ///
    /// The process may have no more descriptors.
    pub fn split(self) -> io::Result<(Self, Self)> {
        let second = self.0.try_clone()?;
        Ok((self, Self(second)))
    }
}

impl Source for Tap {
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::ZERO);
        if poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], patience)? == 0 {
            return Ok(None);
        }
        let mut frame = vec![0; LONGEST_FRAME];
        let length = self.0.read(&mut frame)?;
        frame.truncate(length);
        Ok(Some(frame))
    }
}

impl Sink for Tap {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.0.write_all(frame)
    }
}
