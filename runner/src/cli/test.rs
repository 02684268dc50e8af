//! `cargo metaos test`: gets what the tests need and runs all of them, those in machines included.

use std::iter;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;

use super::Outcome;
use crate::install::{self, Need, Permission};
use crate::workspace::Workspace;

/// Crates for guests whose libraries have unit tests that run on the host. Not among the workspace's default members,
/// so that no host crate's features leak into them.
const GUEST_LIBRARIES: [&str; 3] = ["metaos-nucleus", "metaos-entry", "http"];

/// What the unit tests of the patched smoltcp want: all that a guest uses of it, and the standard library.
const STACK_FEATURES: &str = "std,medium-ethernet,medium-ip,proto-ipv4,proto-dhcpv4,proto-ipv6,proto-ipv6-slaac,\
    proto-dns,proto-ipv4-fragmentation,socket-icmp,socket-udp,socket-tcp,socket-tcp-reno,socket-dhcpv4,socket-dns,\
    async,multicast,auto-icmp-echo-reply";

/// Options of `test`.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// Installs what is missing through the system's package manager
    #[arg(long)]
    install: bool,
    /// Arguments for `cargo nextest run`, or `cargo test` where nextest is not installed
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

impl Test {
    pub(super) fn execute(self) -> Outcome {
        let permission = if self.install { Permission::Granted } else { Permission::IfRoot };
        install::ensure(&[Need::Qemu, Need::Iso, Need::Tests], permission)?;
        let root = Workspace::home()?.root;
        let libraries = GUEST_LIBRARIES.iter().flat_map(|name| ["--package", name]);
        let libraries: Vec<&str> = iter::once("--lib").chain(libraries).collect();
        let stack = ["--lib", "--package", "metaos-smoltcp", "--features", STACK_FEATURES];
        for selection in [&libraries[..], &stack] {
            let status = self.run(&root, selection)?;
            if status != 0 {
                return Ok(status);
            }
        }
        self.run(&root, &[])
    }

    /// Runs the tests that `selection` names and returns the status of the test runner.
    fn run(&self, root: &Path, selection: &[&str]) -> Outcome {
        let has_nextest = has_nextest();
        let mut command = cargo();
        command.args(if has_nextest { &["nextest", "run"][..] } else { &["test"] });
        if has_nextest && !self.arguments.is_empty() {
            // Where the user asks for some tests by name, not every part has one.
            command.arg("--no-tests=pass");
        }
        command.args(selection).args(&self.arguments).current_dir(root);
        // A status above 255 does not exist; none at all is a signal.
        let code = command.status()?.code();
        Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(super::STATUS_FAILED))
    }
}

fn has_nextest() -> bool {
    let asked = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
