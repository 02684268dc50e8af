//! `cargo metaos inspect`: tells what an image is made of, or which system calls a Linux program makes and how.

use std::path::PathBuf;

use clap::Args;
use linker::rewrite::{LinuxProgram, Plan};
use linker::{Input, LinkError, Refusal};

use super::Outcome;

/// Options of `inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Image or static Linux program to look at
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Inspect {
    pub(super) fn execute(self) -> Outcome {
        let name = self.file.display().to_string();
        let bytes = std::fs::read(&self.file).map_err(|cause| format!("cannot read {name}: {cause}"))?;
        match linker::inspect(&Input { name: &name, bytes: &bytes }) {
            Ok(report) => println!("{report}"),
            Err(error) if is_foreign(&error) => println!("{}", inspect_program(&name, &bytes)?),
            Err(error) => return Err(error.into()),
        }
        Ok(0)
    }
}

/// Tells whether a file that is no image may still be a Linux program.
fn is_foreign(error: &LinkError) -> bool {
    matches!(error.refusal(), Refusal::NotAnImage | Refusal::Dynamic(_))
}

fn inspect_program(name: &str, bytes: &[u8]) -> Result<String, String> {
    let program = LinuxProgram::parse(bytes).map_err(|refusal| format!("{name}: {refusal}"))?;
    Ok(Plan::of(&program).summary().to_string())
}
