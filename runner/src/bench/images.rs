//! What guests are started from: our images, the Linux guest's files, and the plugin that counts.
//!
//! All of it is made before the benchmark enters its namespace, for cargo and apt need the host's network.

use std::path::{Path, PathBuf};

use super::BenchError;
use super::counter::Plugin;
use super::guest::{GuestError, Kind, Program};
use super::linux::LinuxGuest;
use super::session::{Output, Plan};
use crate::builder::{BuildRequest, build_app};
use crate::crash::Symbols;
use crate::workspace::{Workspace, find_program};

/// The files.
#[derive(Debug)]
pub(super) struct Images {
    http: Option<OurImage>,
    netbench: Option<OurImage>,
    /// The Linux guest, unless it is left out.
    pub(super) linux: Option<LinuxGuest>,
    /// The plugin.
    pub(super) plugin: Plugin,
}

/// An image of ours.
#[derive(Clone, Debug)]
pub(super) struct OurImage {
    pub(super) path: PathBuf,
    pub(super) symbols: Symbols,
}

impl Images {
    /// Makes what `plan` needs and is not there.
    pub(super) fn prepare(plan: &Plan) -> Result<Self, BenchError> {
        let home = Workspace::home().map_err(GuestError::from)?;
        let directory = home.image_directory().join("bench");
        let is_needed = plan.guests.contains(&Kind::Linux) && plan.output == Output::Table;
        let linux = || LinuxGuest::prepare(&home, &directory).map_err(GuestError::from);
        Ok(Self {
            http: OurImage::for_plan(plan, Program::Http)?,
            netbench: OurImage::for_plan(plan, Program::Netbench)?,
            linux: if is_needed { Some(linux()?) } else { None },
            plugin: Plugin::compile(&directory)?,
        })
    }

    /// Returns our image of `program`.
    pub(super) fn ours(&self, program: Program) -> Result<&OurImage, GuestError> {
        let image = match program {
            Program::Http => &self.http,
            Program::Netbench => &self.netbench,
        };
        image.as_ref().ok_or(GuestError::NoImage)
    }

    /// Returns the Linux guest.
    pub(super) fn linux(&self) -> Result<&LinuxGuest, GuestError> {
        self.linux.as_ref().ok_or(GuestError::NoImage)
    }
}

impl OurImage {
    fn for_plan(plan: &Plan, program: Program) -> Result<Option<Self>, GuestError> {
        let is_needed = plan.workloads.iter().any(|workload| workload.program() == program);
        if !is_needed || !plan.guests.contains(&Kind::Ours) {
            return Ok(None);
        }
        Ok(Some(match &plan.image {
            Some(path) => Self::existing(path),
            None => Self::build(program.name())?,
        }))
    }

    fn existing(path: &Path) -> Self {
        Self { path: path.to_owned(), symbols: Symbols::beside(path) }
    }

    fn build(program: &str) -> Result<Self, GuestError> {
        let found = find_program(program)?;
        let built = build_app(&BuildRequest::new(found.workspace, found.program))?;
        Ok(Self { path: built.image, symbols: built.symbols })
    }
}
