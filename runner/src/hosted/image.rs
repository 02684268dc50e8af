//! The file that is executed.
//!
//! An image that may be executed where it lies is. One that may not (it came by mail, its file system is mounted
//! `noexec`, or whoever wrote it still has it open) is executed from a copy in memory, which leaves nothing behind.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use abi::layout;
use rustix::fs::{Access, MemfdFlags, access, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;

/// Bytes of an ELF header up to and with the entry (ELF-64, figure 2).
const HEADER: usize = 32;
/// Where the entry stands in it.
const ENTRY: usize = 24;
/// A copy's descriptor must not be one of those that the process is given.
const COPY_DESCRIPTOR: i32 = 100;

/// Why a file cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// Linux would start something else, or nothing.
    #[error(
        "{} has no start for Linux; build it again by `cargo metaos build`, or choose --accel tcg", .0.display()
    )]
    NoStart(PathBuf),
    /// It may not be executed, and no copy can be made.
    #[error("{} may not be executed, and cannot be copied into memory: {cause}; chmod +x it", path.display())]
    NoCopy {
        /// The file.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
}

/// Tells whether the image at `path` can be started by Linux.
///
/// # Errors
///
/// The file cannot be read.
pub fn has_linux_start(path: &Path) -> io::Result<bool> {
    let mut header = [0; HEADER];
    match File::open(path)?.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    let entry = header[ENTRY..].try_into().map_or(0, u64::from_le_bytes);
    Ok(header.starts_with(b"\x7fELF") && (layout::GUEST_IMAGE.0..layout::GUEST_IMAGE_END.0).contains(&entry))
}

/// A file that can be executed as long as this value lives.
#[derive(Debug)]
pub(crate) struct Executable {
    path: PathBuf,
    /// The copy in memory, if one was needed.
    _copy: Option<OwnedFd>,
}

impl Executable {
    /// Takes the image at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        let unreadable = |cause| ImageError::Unreadable { path: path.to_owned(), cause };
        if !has_linux_start(path).map_err(unreadable)? {
            return Err(ImageError::NoStart(path.to_owned()));
        }
        if access(path, Access::EXEC_OK).is_ok() {
            let path = std::path::absolute(path).map_err(unreadable)?;
            return Ok(Self { path, _copy: None });
        }
        let copy = copy(path).map_err(|cause| ImageError::NoCopy { path: path.to_owned(), cause })?;
        Ok(Self { path: format!("/proc/self/fd/{}", copy.as_raw_fd()).into(), _copy: Some(copy) })
    }

    /// Returns what is to be executed; for a copy, a path that holds in this process and its children.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn copy(path: &Path) -> io::Result<OwnedFd> {
    let name = path.file_name().unwrap_or_default();
    let memory = memfd_create(name.as_encoded_bytes(), MemfdFlags::CLOEXEC)?;
    let copy = fcntl_dupfd_cloexec(&memory, COPY_DESCRIPTOR)?;
    io::copy(&mut File::open(path)?, &mut File::from(memory))?;
    fs::set_permissions(
        format!("/proc/self/fd/{}", copy.as_raw_fd()),
        std::os::unix::fs::PermissionsExt::from_mode(0o500),
    )?;
    Ok(copy)
}
