//! A network of the test's own: a network namespace with one tap interface, which a machine can be plugged into.
//!
//! Nothing of it is seen outside, so tests that run side by side use the same names and addresses, and it vanishes
//! with its last process. It takes root: a test that cannot have one says so and passes.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use runner::network::Address;
use runner::{CommandLine, MachineConfig, Network};

/// The tap interface.
pub const INTERFACE: &str = "tap0";
/// The host's address on it.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The guest's address on it.
pub const GUEST: Address = Address { ip: Ipv4Addr::new(10, 9, 0, 2), prefix: 24 };

/// Runs `body` on a thread of its own in a namespace of its own; programs that it starts and threads that it spawns
/// are there too. `None`: this user may not have one, which is printed.
///
/// # Panics
///
/// `body` panics, or the namespace cannot be furnished.
pub fn run<T: Send>(body: impl FnOnce() -> T + Send) -> Option<T> {
    let result = thread::scope(|scope| scope.spawn(|| enter().map(|()| body())).join());
    match result {
        Ok(Ok(value)) => Some(value),
        Ok(Err(reason)) => {
            println!("skipped: {reason}");
            None
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Plugs a machine into the tap interface and gives it its address.
pub fn plug_in(config: &mut MachineConfig) {
    config.network = Network::Tap(INTERFACE.to_owned());
    let line = std::mem::replace(&mut config.command_line, CommandLine::new());
    config.command_line = line.option("net.ip", GUEST).option("net.gw", HOST);
}

/// Moves the calling thread into a new namespace.
fn enter() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespace without root: {error}"))?;
    std::fs::File::open("/dev/net/tun")
        .map_err(|error| format!("no tap interfaces: /dev/net/tun: {error}"))?;
    let steps = [
        "link set lo up".to_owned(),
        format!("tuntap add {INTERFACE} mode tap"),
        format!("addr add {HOST}/{} dev {INTERFACE}", GUEST.prefix),
        format!("link set {INTERFACE} up"),
    ];
    steps.iter().for_each(|step| ip(step));
    Ok(())
}

/// Calls `ip` with words as one would type them.
///
/// # Panics
///
/// It is not installed, or fails.
pub fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}
