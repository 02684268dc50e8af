//! Finds the meta-OS's source tree, the user's workspace, and the programs in either.
//!
//! A program is a binary of a package that depends on the library OS. Packages that are rooms of the meta-OS itself
//! (`metaos-*`) are no programs. What `cargo metadata` says is believed; nothing is guessed from file names.

use std::env;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package, TargetKind};

/// Variable that names the meta-OS's source tree, for a runner that was moved away from the one it was built from.
pub const HOME: &str = "METAOS_HOME";
/// Package that makes a program a guest.
const LIBRARY_OS: &str = "metaos-libos";
/// Start of the names of the meta-OS's own packages.
const OWN_PREFIX: &str = "metaos-";

/// Why a workspace or a program was not found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The source tree is not where it was.
    #[error("the meta-OS's source tree is not at {}; set {HOME} to where it is", .0.display())]
    NoHome(PathBuf),
    /// Cargo does not understand a workspace.
    #[error("cargo does not understand the workspace at {}: {cause}", directory.display())]
    Metadata {
        /// Where it was asked.
        directory: PathBuf,
        /// What it said.
        cause: String,
    },
    /// There is no such program.
    #[error("there is no program `{name}`; {}", list(known))]
    UnknownProgram {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
}

/// A cargo workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its root directory.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    programs: Vec<Program>,
}

/// A program that can be made into an image.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Program {
    /// Its binary.
    pub binary: String,
    /// Its package.
    pub package: String,
}

/// A program and the workspace it is built in.
#[derive(Clone, Debug)]
pub struct Found {
    /// The workspace.
    pub workspace: Workspace,
    /// The program.
    pub program: Program,
}

impl Workspace {
    /// Returns the meta-OS's own workspace.
    ///
    /// # Errors
    ///
    /// The source tree is not there any more.
    pub fn home() -> Result<Self, WorkspaceError> {
        let directory = home_directory();
        match directory.join("Cargo.toml").exists() {
            true => Self::at(&directory),
            false => Err(WorkspaceError::NoHome(directory)),
        }
    }

    /// Returns the workspace of the current directory; `None`: there is none.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::at(&env::current_dir().ok()?).ok()
    }

    /// Returns the workspace that `directory` is part of.
    ///
    /// # Errors
    ///
    /// Cargo finds none.
    pub fn at(directory: &Path) -> Result<Self, WorkspaceError> {
        let metadata = MetadataCommand::new().current_dir(directory).no_deps().exec();
        let metadata = metadata.map_err(|cause| WorkspaceError::Metadata {
            directory: directory.to_owned(),
            cause: cause.to_string().trim().to_owned(),
        })?;
        Ok(Self::from_metadata(&metadata))
    }

    /// Returns the programs, by name.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Returns where images are put.
    #[must_use]
    pub fn image_directory(&self) -> PathBuf {
        self.target.join("metaos")
    }

    fn from_metadata(metadata: &Metadata) -> Self {
        let mut programs: Vec<Program> = metadata
            .workspace_packages()
            .into_iter()
            .filter(|package| is_guest(package))
            .flat_map(binaries)
            .collect();
        programs.sort();
        Self {
            root: metadata.workspace_root.clone().into(),
            target: metadata.target_directory.clone().into(),
            programs,
        }
    }

    fn find(&self, name: &str) -> Option<&Program> {
        let is_named = |program: &&Program| program.binary == name || program.package == name;
        self.programs
            .iter()
            .find(|program| program.binary == name)
            .or_else(|| self.programs.iter().find(is_named))
    }
}

/// Finds the program `name`: in the current workspace first, then in the meta-OS's own.
///
/// # Errors
///
/// There is no such program; the message lists those there are.
pub fn find_program(name: &str) -> Result<Found, WorkspaceError> {
    let current = Workspace::current();
    let home = match current.as_ref().filter(|workspace| workspace.root == home_directory()) {
        Some(_) => None,
        None => Some(Workspace::home()?),
    };
    let workspaces: Vec<Workspace> = current.into_iter().chain(home).collect();
    for workspace in &workspaces {
        if let Some(program) = workspace.find(name) {
            return Ok(Found { workspace: workspace.clone(), program: program.clone() });
        }
    }
    let known =
        workspaces.iter().flat_map(Workspace::programs).map(|program| program.binary.clone()).collect();
    Err(WorkspaceError::UnknownProgram { name: name.to_owned(), known })
}

fn home_directory() -> PathBuf {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned();
    env::var_os(HOME).map_or_else(built_from, PathBuf::from)
}

fn is_guest(package: &Package) -> bool {
    let depends = package.dependencies.iter().any(|dependency| dependency.name == LIBRARY_OS);
    depends && !package.name.starts_with(OWN_PREFIX)
}

fn binaries(package: &Package) -> impl Iterator<Item = Program> {
    let package_name = package.name.to_string();
    let binaries = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
    let names: Vec<String> = binaries.map(|target| target.name.clone()).collect();
    names.into_iter().map(move |binary| Program { binary, package: package_name.clone() })
}

fn list(known: &[String]) -> String {
    match known {
        [] => "there are no programs here: a package that depends on metaos-libos would be one".to_owned(),
        names => format!("choose one of: {}, or give the path of an image", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_those_that_stand_on_the_library_os() {
        let home = Workspace::home().unwrap();
        let names: Vec<&str> = home.programs().iter().map(|program| program.binary.as_str()).collect();
        for name in ["echo", "hello", "http"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(home.programs().iter().all(|program| !program.package.starts_with(OWN_PREFIX)), "{names:?}");
    }

    #[test]
    fn an_unknown_program_is_answered_with_those_there_are() {
        let message = find_program("hullo").unwrap_err().to_string();
        assert!(message.contains("no program `hullo`"), "{message}");
        assert!(message.contains("hello"), "{message}");
    }
}
