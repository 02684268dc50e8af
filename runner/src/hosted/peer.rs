//! A link between two hosted guests: a pair of packet sockets, one end each.
//!
//! The runner of the first guest makes the pair and listens at the path; whoever connects is handed the other end
//! (`SCM_RIGHTS`, `unix(7)`). So the guests talk to each other directly, the first need not wait for the second, and the
//! second may go and come again. At most one has the other end at a time: its connection is held as long as it runs.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::forwarder::socket_pair;

/// How often, and how far apart, the path is tried: another runner may be just about to listen there.
const TRIES: u32 = 20;
const DISTANCE: Duration = Duration::from_millis(10);
/// What is sent with the descriptor, since something must be.
const GREETING: [u8; 1] = [b'P'];

/// A guest's hold on its link.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held, and what ends a link is that they are dropped")]
pub(crate) enum Peer {
    First(Door),
    /// The connection to the first says that the second is still there.
    Second(UnixStream),
}

/// What the first keeps open.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    visitor: Arc<Mutex<Visitor>>,
    listener: Arc<UnixListener>,
    server: Option<JoinHandle<()>>,
}

/// Who has the other end.
#[derive(Debug)]
enum Visitor {
    Nobody,
    /// Whoever holds the other end of this connection.
    There(UnixStream),
    /// The first goes: nobody is let in any more.
    Closed,
}

/// Joins the link at `path` and returns this guest's end.
pub(super) fn join(path: &Path) -> io::Result<(OwnedFd, Peer)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for turn in 1..=TRIES {
        match UnixStream::connect(path) {
            Ok(connection) => return accept_end(connection),
            // Nobody listens and nobody will: a runner that was killed left it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && turn == TRIES => {
                remove_socket(path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                thread::sleep(DISTANCE);
                continue;
            }
            Err(_) => {}
        }
        match UnixListener::bind(path) {
            Ok(listener) => return open_door(path, listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
        thread::sleep(DISTANCE);
    }
    Err(last)
}

impl Drop for Door {
    fn drop(&mut self) {
        // The path first, so that nobody connects to a link that is about to go.
        drop(fs::remove_file(&self.path));
        let visitor = std::mem::replace(&mut *lock(&self.visitor), Visitor::Closed);
        if let Visitor::There(connection) = visitor {
            drop(connection.shutdown(std::net::Shutdown::Both));
        }
        // It wakes `accept`.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        drop(self.server.take().map(JoinHandle::join));
    }
}

/// Whoever connects to an ordinary file is refused, too: that one stays.
fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.file_type().is_socket() {
        true => fs::remove_file(path),
        false => Err(io::Error::other("that is no socket; choose another path")),
    }
}

fn open_door(path: &Path, listener: UnixListener) -> io::Result<(OwnedFd, Peer)> {
    let (ours, theirs) = socket_pair()?;
    let listener = Arc::new(listener);
    let visitor = Arc::new(Mutex::new(Visitor::Nobody));
    let (incoming, current) = (Arc::clone(&listener), Arc::clone(&visitor));
    let server = thread::spawn(move || {
        while let Ok((mut connection, _)) = incoming.accept() {
            if !let_in(&current, &connection) {
                continue;
            }
            if hand_over(&connection, theirs.as_fd()).is_ok() {
                // Until it closes.
                drop(connection.read(&mut [0; 1]));
            }
        }
    });
    let door = Door { path: path.to_owned(), visitor, listener, server: Some(server) };
    Ok((ours, Peer::First(door)))
}

/// Notes who comes, so that the door can end the connection, and tells whether it could.
fn let_in(visitor: &Mutex<Visitor>, connection: &UnixStream) -> bool {
    let mut visitor = lock(visitor);
    let (Visitor::Nobody | Visitor::There(_), Ok(connection)) = (&*visitor, connection.try_clone()) else {
        return false;
    };
    *visitor = Visitor::There(connection);
    true
}

fn lock(visitor: &Mutex<Visitor>) -> MutexGuard<'_, Visitor> {
    visitor.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hand_over(connection: &UnixStream, end: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let ends = [end];
    if !control.push(SendAncillaryMessage::ScmRights(&ends)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(connection, &[IoSlice::new(&GREETING)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn accept_end(connection: UnixStream) -> io::Result<(OwnedFd, Peer)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    // A second guest is on the link already if nothing comes.
    connection.set_read_timeout(Some(DISTANCE * TRIES))?;
    let mut greeting = [0; 1];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(&connection, &mut [IoSliceMut::new(&mut greeting)], &mut control, flags).map_err(|error| {
        match error {
            rustix::io::Errno::AGAIN => io::Error::other("two guests are joined there already"),
            error => error.into(),
        }
    })?;
    let ends = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut ends) => ends.next(),
        _ => None,
    });
    let end = ends.last().ok_or_else(|| io::Error::other("who listens there is no runner"))?;
    Ok((end, Peer::Second(connection)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{recv, send};

    fn receive(end: &OwnedFd) -> Vec<u8> {
        let mut buffer = [0; 16];
        let (count, _) = recv(end, &mut buffer[..], RecvFlags::empty()).unwrap();
        buffer[..count].to_vec()
    }

    #[test]
    fn two_are_joined_and_the_path_goes_with_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link");
        let (first, first_peer) = join(&path).unwrap();
        // What was sent before there was a second waits for it.
        send(&first, b"early", SendFlags::empty()).unwrap();
        let (second, second_peer) = join(&path).unwrap();
        assert_eq!(receive(&second), b"early");
        send(&second, b"answer", SendFlags::empty()).unwrap();
        assert_eq!(receive(&first), b"answer");
        drop(first_peer);
        assert!(!path.exists());
        drop(second_peer);
    }

    #[test]
    fn a_third_is_refused_until_the_second_has_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link");
        let (_first, _first_peer) = join(&path).unwrap();
        let second = join(&path).unwrap();
        assert!(join(&path).unwrap_err().to_string().contains("joined there already"));
        drop(second);
        assert!(matches!(join(&path).unwrap().1, Peer::Second(_)));
    }

    /// Who was accepted just before the door closed would keep it from closing for as long as he stays.
    #[test]
    fn who_comes_while_the_door_closes_is_not_let_in() {
        let (connection, _other) = UnixStream::pair().unwrap();
        let visitor = Mutex::new(Visitor::Nobody);
        assert!(let_in(&visitor, &connection));
        *lock(&visitor) = Visitor::Closed;
        assert!(!let_in(&visitor, &connection));
        assert!(matches!(*lock(&visitor), Visitor::Closed));
    }

    #[test]
    fn a_path_that_was_left_behind_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link");
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(join(&path).unwrap().1, Peer::First(_)));
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(join(&file).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
