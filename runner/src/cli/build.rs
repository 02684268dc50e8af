//! `cargo metaos build`: makes an image, or a disc, and tells what it is made of.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Outcome;
use super::settings::Settings;
use crate::builder::{BuildRequest, build_app, build_linux, is_linux_program};
use crate::install::{self, Need, Permission};
use crate::iso;
use crate::workspace::find_program;

/// Options of `build`.
#[derive(Debug, Args)]
pub(super) struct Build {
    /// Program of the workspace, or path of a static Linux program
    #[arg(value_name = "APP")]
    app: String,
    /// File to write; the symbols for crash reports go beside it
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Makes a disc that boots through GRUB, on BIOS and UEFI; address, environment and arguments stand on it
    #[arg(long)]
    iso: bool,
    /// Installs what --iso needs through the system's package manager if it is missing
    #[arg(long, requires = "iso")]
    install: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Build {
    pub(super) fn execute(self) -> Outcome {
        if !self.iso && !self.settings.is_empty() {
            return Err(
                "only a disc carries address, environment and arguments; an image is given them by run"
                    .into(),
            );
        }
        if self.iso { self.build_disc() } else { self.build_image() }
    }

    fn build_image(self) -> Outcome {
        let path = Path::new(&self.app);
        if is_linux_program(path) {
            let built = build_linux(path, self.output)?;
            println!("{}\n{}", built.image.display(), built.report);
            return Ok(0);
        }
        let found = find_program(&self.app)?;
        let request =
            BuildRequest { output: self.output, ..BuildRequest::new(found.workspace, found.program) };
        let built = build_app(&request)?;
        println!("{}\n{}", built.image.display(), built.report);
        Ok(0)
    }

    fn build_disc(self) -> Outcome {
        let permission = if self.install { Permission::Granted } else { Permission::IfRoot };
        install::ensure(&[Need::Iso], permission)?;
        let found = find_program(&self.app)?;
        let name = format!("{}.iso", found.program.binary);
        let command_line = self.settings.command_line(&found.program.binary);
        let output = self.output.unwrap_or_else(|| found.workspace.image_directory().join(name));
        let load_address = abi::layout::LOAD_GRUB;
        let built =
            build_app(&BuildRequest { load_address, ..BuildRequest::new(found.workspace, found.program) })?;
        iso::make(&built.image, &command_line, &output)?;
        println!("{}\n{}", output.display(), built.report);
        Ok(0)
    }
}
