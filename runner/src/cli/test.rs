//! `cargo metaos test`: gets what the tests need and runs all of them, those in machines included.

use std::process::{Command, Stdio};

use clap::Args;

use super::Outcome;
use crate::install::{self, Need, Permission};
use crate::workspace::Workspace;

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
        let home = Workspace::home()?;
        let runner: &[&str] = if has_nextest() { &["nextest", "run"] } else { &["test"] };
        let status = cargo().args(runner).args(&self.arguments).current_dir(&home.root).status()?;
        // A status above 255 does not exist; none at all is a signal.
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(super::STATUS_FAILED))
    }
}

fn has_nextest() -> bool {
    let asked = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
