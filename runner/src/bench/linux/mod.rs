//! The guest to compare with: Debian's own cloud kernel, and a static program as its init.
//!
//! The kernel package comes by the system's own package manager, unchanged; nothing is installed. What is booted is
//! the kernel out of its compressed file, by the same direct boot as our own images, with an initramfs that holds the
//! drivers of the network card and the program.

mod initramfs;
mod kernel;
mod package;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::builder::Mode;
use crate::workspace::Workspace;

/// The drivers, in the order in which they are loaded: each needs those before it.
const MODULES: [&str; 8] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
];
/// Where the program's source lies, in the meta-OS's own tree.
const PROGRAM: &str = "runner/linux-guest";
/// The program's binary.
const BINARY: &str = "metaos-linux-guest";
/// The target it is built for; named, so that its flags do not reach build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What stands on its command line: no console messages, and no clearing of every allocation, which Debian has on.
pub(super) const OPTIONS: [&str; 4] = ["console=ttyS0", "quiet", "init_on_alloc=0", "panic=-1"];

/// Why there is no Linux guest.
#[derive(Debug, thiserror::Error)]
pub enum LinuxError {
    /// The package cannot be had.
    #[error(transparent)]
    Package(#[from] package::PackageError),
    /// The kernel's file is of an unknown form.
    #[error("{}: {cause}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: kernel::KernelError,
    },
    /// The program cannot be built.
    #[error(
        "the Linux guest's program could not be built; cargo's messages are above (it takes a static libc: libc6-dev, glibc-static)"
    )]
    Program,
    /// A file cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
}

/// The guest's files.
#[derive(Clone, Debug)]
pub(super) struct LinuxGuest {
    /// The kernel, an ELF file that boots by PVH.
    pub(super) kernel: PathBuf,
    /// Its initramfs.
    pub(super) initramfs: PathBuf,
    /// Version of the kernel package.
    pub(super) version: String,
    /// Bytes of the kernel as it is shipped, and of the initramfs.
    pub(super) size: u64,
}

impl LinuxGuest {
    /// Makes the guest; what was made before in `directory` is taken again.
    pub(super) fn prepare(home: &Workspace, directory: &Path) -> Result<Self, LinuxError> {
        let package = package::obtain(directory)?;
        let kernel = package.root.join("vmlinux");
        let shipped = read(&package.kernel)?;
        if !kernel.exists() {
            let elf = kernel::extract(&shipped)
                .map_err(|cause| LinuxError::Kernel { path: package.kernel.clone(), cause })?;
            write(&kernel, &elf)?;
        }
        let program = build_program(home, directory)?;
        let archive = initramfs::archive(&read(&program)?, &read_modules(&package.modules)?);
        let initramfs = directory.join("initramfs.cpio");
        write(&initramfs, &archive)?;
        let size = (shipped.len() + archive.len()) as u64;
        Ok(Self { kernel, initramfs, version: package.version, size })
    }
}

/// Builds the program that the stock Linux guest runs, below `directory`, and returns it. Called with the argument `serve`
/// it serves on whatever Linux it is started on.
///
/// # Errors
///
/// Cargo fails.
pub fn build_program(home: &Workspace, directory: &Path) -> Result<PathBuf, LinuxError> {
    // Linked statically: there is nothing else in the guest.
    let target = directory.join("linux-guest");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--target", TARGET])
        .current_dir(home.root.join(PROGRAM))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", &target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(target.join(TARGET).join("release").join(BINARY)),
        _ => Err(LinuxError::Program),
    }
}

/// Reads the drivers; some distributions ship them compressed.
fn read_modules(directory: &Path) -> Result<Vec<(String, Vec<u8>)>, LinuxError> {
    MODULES.iter().map(|module| read_module(directory, module)).collect()
}

fn read_module(directory: &Path, module: &str) -> Result<(String, Vec<u8>), LinuxError> {
    let name = module.rsplit('/').next().unwrap_or(module).to_owned();
    let plain = directory.join(module);
    let compressed = directory.join(format!("{module}.xz"));
    if plain.exists() || !compressed.exists() {
        return Ok((name, read(&plain)?));
    }
    let bytes = kernel::decompress(&read(&compressed)?)
        .map_err(|cause| LinuxError::Kernel { path: compressed, cause })?;
    Ok((name, bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, LinuxError> {
    fs::read(path).map_err(|cause| LinuxError::File { path: path.to_owned(), cause })
}

/// Puts a file in place whole.
fn write(path: &Path, bytes: &[u8]) -> Result<(), LinuxError> {
    crate::builder::put_whole(path, bytes, Mode::Data)
        .map_err(|cause| LinuxError::File { path: path.to_owned(), cause })
}
