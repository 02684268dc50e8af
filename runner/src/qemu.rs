//! Finds QEMU on this machine, and asks which one it is.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

/// Name of the program.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// Variable that names another QEMU.
pub const OVERRIDE: &str = "METAOS_QEMU";
/// Oldest version that is known to boot images on every machine offered here.
pub const OLDEST: Version = Version { major: 8, minor: 0 };

/// Why there is no QEMU.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QemuError {
    /// It is not installed.
    #[error("{PROGRAM} is not installed; run `cargo metaos doctor` to see how to get it")]
    Missing,
    /// It does not say which it is.
    #[error("`{0} --version` does not answer like QEMU; set {OVERRIDE} to a working one")]
    NoVersion(String),
}

/// A version of QEMU.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Returns QEMU's path.
///
/// # Errors
///
/// It is not installed.
pub fn find() -> Result<PathBuf, QemuError> {
    match env::var_os(OVERRIDE) {
        Some(path) => Some(PathBuf::from(path)).filter(|path| is_executable(path)),
        None => find_program(PROGRAM),
    }
    .ok_or(QemuError::Missing)
}

/// Asks the QEMU at `path` for its version.
///
/// # Errors
///
/// It does not run, or does not answer like QEMU.
pub fn version(path: &Path) -> Result<Version, QemuError> {
    let answer = Command::new(path).arg("--version").output().ok();
    let answer = answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    answer.as_deref().and_then(parse_version).ok_or_else(|| QemuError::NoVersion(path.display().to_string()))
}

/// Returns the path of a program that the shell would find.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    find_in(&env::var_os("PATH")?, name)
}

fn find_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|directory| directory.join(name)).find(|program| is_executable(program))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn parse_version(answer: &str) -> Option<Version> {
    let number = answer.strip_prefix("QEMU emulator version ")?.split_whitespace().next()?;
    let mut parts = number.split('.');
    Some(Version { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let answer = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright";
        assert_eq!(parse_version(answer), Some(Version { major: 10, minor: 0 }));
        assert_eq!(parse_version("qemu-img version 10.0.2"), None);
        assert_eq!(parse_version(""), None);
        assert!(Version { major: 7, minor: 2 } < OLDEST);
    }

    #[test]
    fn a_program_is_found_only_where_it_can_be_run() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("tool");
        std::fs::write(&program, "").unwrap();
        assert_eq!(find_in(directory.path().as_os_str(), "tool"), None);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_in(directory.path().as_os_str(), "tool"), Some(program));
        assert_eq!(find_in(OsStr::new(""), "tool"), None);
    }
}
