//! Fetches Debian's kernel package by apt, and unpacks it without installing it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The package that always depends on the newest cloud kernel.
const NEWEST: &str = "linux-image-cloud-amd64";

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// apt does not know the package.
    #[error(
        "apt knows no package {NEWEST}; the Linux guest is Debian's cloud kernel: run `apt-get update` on a Debian \
         (its main archive has it), or leave Linux out with --against none"
    )]
    Unknown,
    /// A program fails.
    #[error("`{command}` failed: {message}; leave Linux out with --against none")]
    Failed {
        /// The command.
        command: String,
        /// What it said.
        message: String,
    },
    /// The package is not as expected.
    #[error("{}: there is no {missing} in the kernel package", root.display())]
    Incomplete {
        /// Where it was unpacked.
        root: PathBuf,
        /// What is missing.
        missing: &'static str,
    },
}

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub(super) struct Package {
    /// Where it was unpacked.
    pub(super) root: PathBuf,
    /// Version of the package.
    pub(super) version: String,
    /// The kernel as it is shipped.
    pub(super) kernel: PathBuf,
    /// Directory of its drivers.
    pub(super) modules: PathBuf,
}

/// Returns the package that was unpacked into `directory` before, or gets the newest.
pub(super) fn obtain(directory: &Path) -> Result<Package, PackageError> {
    let root = directory.join("debian");
    if !root.join("version").exists() {
        download(&root)?;
    }
    let incomplete = |missing| PackageError::Incomplete { root: root.clone(), missing };
    let release = first_entry(&root.join("lib/modules"))
        .or_else(|| first_entry(&root.join("usr/lib/modules")))
        .ok_or_else(|| incomplete("directory of drivers"))?;
    let kernel = fs::read_dir(root.join("boot")).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_kernel =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"));
    Ok(Package {
        version: fs::read_to_string(root.join("version")).unwrap_or_default().trim().to_owned(),
        kernel: kernel.into_iter().find(is_kernel).ok_or_else(|| incomplete("kernel"))?,
        modules: release.join("kernel"),
        root,
    })
}

/// Unpacks beside `root` and renames: a broken download leaves nothing that looks whole.
fn download(root: &Path) -> Result<(), PackageError> {
    let name = newest()?;
    eprintln!("metaos: fetching {name} for the Linux guest");
    let failed = |error: io::Error| PackageError::Failed {
        command: format!("mkdir {}", root.display()),
        message: error.to_string(),
    };
    let parent = root.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let scratch = tempfile::tempdir_in(parent).map_err(failed)?;
    run("apt-get", &["download".as_ref(), name.as_ref()], scratch.path())?;
    let package = first_entry(scratch.path())
        .ok_or_else(|| PackageError::Incomplete { root: scratch.path().to_owned(), missing: "package" })?;
    let fresh = scratch.path().join("unpacked");
    run("dpkg-deb", &["-x".as_ref(), package.as_ref(), fresh.as_ref()], scratch.path())?;
    let version = run("dpkg-deb", &["-f".as_ref(), package.as_ref(), "Version".as_ref()], scratch.path())?;
    fs::write(fresh.join("version"), format!("{name} {version}")).map_err(failed)?;
    // Somebody else may have been quicker; theirs serves as well.
    drop(fs::rename(&fresh, root));
    Ok(())
}

/// Resolves the package that depends on the newest kernel. Without package lists root fetches them once.
fn newest() -> Result<String, PackageError> {
    if let Some(name) = dependency() {
        return Ok(name);
    }
    if rustix::process::geteuid().is_root() {
        run("apt-get", &["update".as_ref()], Path::new("/"))?;
    }
    dependency().ok_or(PackageError::Unknown)
}

fn dependency() -> Option<String> {
    let output = run("apt-cache", &["depends".as_ref(), NEWEST.as_ref()], Path::new("/")).ok()?;
    let mut names = output.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.find(|name| name.starts_with("linux-image-")).map(str::to_owned)
}

fn run(program: &str, arguments: &[&OsStr], directory: &Path) -> Result<String, PackageError> {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let failed =
        |message: String| PackageError::Failed { command: format!("{program} {}", words.join(" ")), message };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

fn first_entry(directory: &Path) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).next()
}
