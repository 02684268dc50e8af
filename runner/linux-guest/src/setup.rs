//! What an init has to do before a program can run: file systems, drivers, limits, settings.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;

use rustix::mount::MountFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Directory of the drivers; the names start with their place in the order in which they are loaded.
const MODULES: &str = "/modules";
/// Open files that 10 000 connections need, and some.
const FILES: u64 = 65_536;

/// The network settings of the kernel's command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Own address.
    pub(crate) address: Ipv4Addr,
    /// Bits of the network's prefix.
    pub(crate) prefix: u8,
    /// Gateway.
    pub(crate) gateway: Ipv4Addr,
}

/// Mounts what the program reads.
pub(crate) fn mount() -> io::Result<()> {
    rustix::mount::mount("proc", "/proc", "proc", MountFlags::empty(), None)?;
    Ok(rustix::mount::mount("sys", "/sys", "sysfs", MountFlags::empty(), None)?)
}

/// Returns what the kernel reads the time from: a device as clock would cost every packet an exit from the CPU.
pub(crate) fn clock_source() -> String {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Loads the drivers.
pub(crate) fn load_modules() -> io::Result<()> {
    let mut paths: Vec<_> =
        fs::read_dir(MODULES)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    for path in paths {
        rustix::system::finit_module(File::open(&path)?, c"", 0)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Reads the settings: `net.ip=ADDRESS/PREFIX net.gw=ADDRESS`, as our own guest has them.
pub(crate) fn settings() -> io::Result<Settings> {
    let line = fs::read_to_string("/proc/cmdline")?;
    let word = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
    let parsed = || {
        let (address, prefix) = word("net.ip=")?.split_once('/')?;
        let gateway = word("net.gw=")?.parse().ok()?;
        Some(Settings { address: address.parse().ok()?, prefix: prefix.parse().ok()?, gateway })
    };
    parsed()
        .ok_or_else(|| io::Error::other("the command line needs net.ip=ADDRESS/PREFIX and net.gw=ADDRESS"))
}

/// Lets the program have as many connections as are asked of it.
pub(crate) fn raise_limits() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum.map(|most| most.max(FILES));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), maximum })?)
}
