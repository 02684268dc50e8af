//! `cargo metaos inspect`: tells what an image is made of.

use std::path::PathBuf;

use clap::Args;
use linker::Input;

use super::Outcome;

/// Options of `inspect`.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// Image to look at
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
}

impl Inspect {
    pub(super) fn execute(self) -> Outcome {
        let name = self.image.display().to_string();
        let bytes = std::fs::read(&self.image).map_err(|cause| format!("cannot read {name}: {cause}"))?;
        println!("{}", linker::inspect(&Input { name: &name, bytes: &bytes })?);
        Ok(0)
    }
}
