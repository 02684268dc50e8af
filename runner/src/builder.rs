//! Builds guests and the nucleus with cargo, and links them into images.
//!
//! Each guest crate is built by a cargo call of its own, so that no other crate's features leak into it. Compiler
//! flags of the environment are kept out: a `-C target-cpu=native` that does a host program good puts instructions
//! into a nucleus that it must not contain. Files are put in place whole, for several runs may build at once.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{Message, TargetKind};
use linker::{GuestPolicy, Input, LinkError, Options, Report};

use crate::crash::{Owner, Symbols};
use crate::workspace::{Program, Workspace, WorkspaceError};

/// Profile that images are built with unless it is said otherwise.
pub const PROFILE: &str = "guest";
/// The nucleus, package and binary.
const NUCLEUS: &str = "metaos-nucleus";
/// The guest that serves Linux programs, package and binary.
const LINUX_DOOR: &str = "linux-door";

/// The profile `guest` for a workspace that does not define it; the same settings as in the meta-OS's own.
const FOREIGN_PROFILE: [&str; 12] = [
    "profile.guest.inherits=\"release\"",
    "profile.guest.panic=\"abort\"",
    "profile.guest.opt-level=2",
    "profile.guest.lto=\"fat\"",
    "profile.guest.codegen-units=1",
    "profile.guest.debug=\"line-tables-only\"",
    "profile.guest.package.metaos-abi.opt-level=\"z\"",
    "profile.guest.package.metaos-entry.opt-level=\"z\"",
    "profile.guest.package.metaos-hosted.opt-level=\"z\"",
    "profile.guest.package.metaos-libos.opt-level=\"s\"",
    "profile.guest.package.metaos-services.opt-level=\"s\"",
    "profile.guest.package.metaos-smoltcp.opt-level=\"s\"",
];

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A workspace is missing.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// Cargo could not be started.
    #[error("cannot run cargo: {0}")]
    NoCargo(io::Error),
    /// Cargo failed and has said why.
    #[error("cargo could not build `{0}`; its messages are above")]
    Cargo(String),
    /// Cargo built something else.
    #[error("cargo built no binary `{binary}` in package `{package}`")]
    NoBinary {
        /// Package that was asked for.
        package: String,
        /// Binary that was asked for.
        binary: String,
    },
    /// The linker refuses.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// A file cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
}

/// An image to be built.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Workspace of the program.
    pub workspace: Workspace,
    /// The program.
    pub program: Program,
    /// Cargo profile of the program.
    pub profile: String,
    /// What is asked of the guest's machine code.
    pub policy: GuestPolicy,
    /// Physical load address: [`abi::layout::LOAD_DIRECT`], or [`abi::layout::LOAD_GRUB`] for a disc.
    pub load_address: u64,
    /// Where the image is put; `None`: among what cargo builds.
    pub output: Option<PathBuf>,
}

impl BuildRequest {
    /// Asks for `program` as users get it: optimised, checked, for a direct boot.
    #[must_use]
    pub fn new(workspace: Workspace, program: Program) -> Self {
        Self {
            workspace,
            program,
            profile: PROFILE.to_owned(),
            policy: GuestPolicy::Checked,
            load_address: abi::layout::LOAD_DIRECT,
            output: None,
        }
    }

    fn image_path(&self) -> PathBuf {
        let suffix = if self.load_address == abi::layout::LOAD_DIRECT { "" } else { "-grub" };
        let profile = if self.profile == PROFILE { String::new() } else { format!("-{}", self.profile) };
        let name = format!("{}{profile}{suffix}.img", self.program.binary);
        self.output.clone().unwrap_or_else(|| self.workspace.image_directory().join(name))
    }
}

/// An image and the files it was made of.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The image.
    pub image: PathBuf,
    /// The unstripped ELF files, which lie beside the image.
    pub symbols: Symbols,
    /// What the image is made of.
    pub report: Report,
}

/// What all may do with a file that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Read it.
    Data,
    /// Run it as a process, too.
    Executable,
}

/// Builds a program and the nucleus, and links them. Cargo shows its progress on standard error.
///
/// # Errors
///
/// Cargo fails, the linker refuses, or a file cannot be written.
pub fn build_app(request: &BuildRequest) -> Result<BuiltImage, BuildError> {
    let home = Workspace::home()?;
    let nucleus = build_nucleus(&home)?;
    let guest = build_binary(&request.workspace, &request.program, &request.profile)?;
    link_image(&nucleus, &guest, request)
}

/// Tells whether a file is a Linux program that [`build_linux`] takes, or would if it were static.
#[must_use]
pub fn is_linux_program(path: &Path) -> bool {
    path.is_file() && fs::read(path).is_ok_and(|bytes| linker::is_linux_program(&bytes))
}

/// Makes an image of a static Linux program, which stays as it is: nothing is compiled for it but what serves it.
///
/// # Errors
///
/// Cargo fails, the linker refuses, or a file cannot be read or written.
pub fn build_linux(program: &Path, output: Option<PathBuf>) -> Result<BuiltImage, BuildError> {
    let program_bytes = read(program)?;
    let home = Workspace::home()?;
    let nucleus = build_nucleus(&home)?;
    let door = Program { package: LINUX_DOOR.to_owned(), binary: LINUX_DOOR.to_owned() };
    let door = build_binary(&home, &door, PROFILE)?;
    let (nucleus_bytes, door_bytes) = (read(&nucleus)?, read(&door)?);
    let names = [&nucleus, &door, &program.to_owned()].map(|path| path.to_string_lossy().into_owned());
    let [nucleus_input, door_input, program_input] =
        [(&names[0], &nucleus_bytes), (&names[1], &door_bytes), (&names[2], &program_bytes)]
            .map(|(name, bytes)| Input { name, bytes });
    let options = Options { load_address: abi::layout::LOAD_DIRECT, guest_policy: GuestPolicy::Checked };
    let image = linker::link_linux(&nucleus_input, &door_input, &program_input, &options)?;
    let path = output.unwrap_or_else(|| linux_image_path(&home, program));
    put(&path, &image.bytes, Mode::Executable)?;
    put(&Symbols::path_beside(&path, Owner::Nucleus), &nucleus_bytes, Mode::Data)?;
    put(&Symbols::path_beside(&path, Owner::Guest), &door_bytes, Mode::Data)?;
    put(&Symbols::path_beside(&path, Owner::Program), &program_bytes, Mode::Data)?;
    Ok(BuiltImage { symbols: Symbols::beside(&path), image: path, report: image.report })
}

/// Returns where the image of a program goes: programs of the same name in several folders do not meet.
fn linux_image_path(home: &Workspace, program: &Path) -> PathBuf {
    let whole = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    home.image_directory().join(format!("linux/{:016x}/{name}.img", hasher.finish()))
}

/// Builds the nucleus, always as users get it, and returns its ELF file.
///
/// # Errors
///
/// Cargo fails.
pub fn build_nucleus(home: &Workspace) -> Result<PathBuf, BuildError> {
    build_binary(home, &Program { package: NUCLEUS.to_owned(), binary: NUCLEUS.to_owned() }, PROFILE)
}

/// Builds one binary and returns its ELF file.
///
/// # Errors
///
/// Cargo fails, or there is no such binary.
pub fn build_binary(workspace: &Workspace, program: &Program, profile: &str) -> Result<PathBuf, BuildError> {
    let built = build_package(workspace, &program.package, &["--bin", &program.binary], profile)?;
    let found = built.into_iter().find(|(name, _)| *name == program.binary);
    let missing =
        || BuildError::NoBinary { package: program.package.clone(), binary: program.binary.clone() };
    found.map(|(_, path)| path).ok_or_else(missing)
}

/// Builds every binary of a package in one go and returns them by name.
///
/// # Errors
///
/// Cargo fails.
pub fn build_binaries(
    workspace: &Workspace,
    package: &str,
    profile: &str,
) -> Result<Vec<(String, PathBuf)>, BuildError> {
    build_package(workspace, package, &["--bins"], profile)
}

/// Links ELF files that were built before.
///
/// # Errors
///
/// The linker refuses, or a file cannot be read or written.
pub fn link_image(nucleus: &Path, guest: &Path, request: &BuildRequest) -> Result<BuiltImage, BuildError> {
    let (nucleus_bytes, guest_bytes) = (read(nucleus)?, read(guest)?);
    let (nucleus_name, guest_name) = (nucleus.to_string_lossy(), guest.to_string_lossy());
    let options = Options { load_address: request.load_address, guest_policy: request.policy };
    let image = linker::link(
        &Input { name: &nucleus_name, bytes: &nucleus_bytes },
        &Input { name: &guest_name, bytes: &guest_bytes },
        &options,
    )?;
    let confined_guest = linker::confine(&Input { name: &guest_name, bytes: &guest_bytes })?;
    let path = request.image_path();
    put(&path, &image.bytes, Mode::Executable)?;
    // Copies, so that a crash is explained by what ran and not by what was built since.
    put(&Symbols::path_beside(&path, Owner::Nucleus), &nucleus_bytes, Mode::Data)?;
    put(&Symbols::path_beside(&path, Owner::Guest), &confined_guest, Mode::Executable)?;
    Ok(BuiltImage { symbols: Symbols::beside(&path), image: path, report: image.report })
}

fn build_package(
    workspace: &Workspace,
    package: &str,
    selection: &[&str],
    profile: &str,
) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let mut command = cargo(workspace);
    command.args(["build", "--package", package, "--profile", profile]).args(selection);
    command.arg("--message-format=json-render-diagnostics");
    if !defines_profile(workspace, profile) {
        for setting in FOREIGN_PROFILE {
            command.args(["--config", setting]);
        }
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(BuildError::NoCargo)?;
    let mut built = Vec::new();
    if let Some(output) = child.stdout.take() {
        for message in Message::parse_stream(BufReader::new(output)) {
            built.extend(message.ok().and_then(executable));
        }
    }
    let status = child.wait().map_err(BuildError::NoCargo)?;
    if status.success() { Ok(built) } else { Err(BuildError::Cargo(package.to_owned())) }
}

fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root);
    command
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .env("CARGO_TARGET_DIR", &workspace.target);
    command
}

fn defines_profile(workspace: &Workspace, profile: &str) -> bool {
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml")).unwrap_or_default();
    let header = format!("[profile.{profile}]");
    manifest.lines().any(|line| line.trim() == header)
}

fn executable(message: Message) -> Option<(String, PathBuf)> {
    let Message::CompilerArtifact(artifact) = message else { return None };
    let is_binary = artifact.target.kind.contains(&TargetKind::Bin);
    let path = artifact.executable.filter(|_| is_binary)?;
    Some((artifact.target.name, path.into()))
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|cause| BuildError::File { path: path.to_owned(), cause })
}

/// Writes a file under another name and renames it, so that nobody ever sees half of it.
pub(crate) fn put(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), BuildError> {
    put_whole(path, bytes, mode).map_err(|cause| BuildError::File { path: path.to_owned(), cause })
}

pub(crate) fn put_whole(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory)?;
    let mut file = tempfile::Builder::new().prefix(".metaos-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(mode.permissions())?;
    file.persist(path)?;
    Ok(())
}

impl Mode {
    fn permissions(self) -> fs::Permissions {
        let bits = match self {
            Self::Data => 0o644,
            Self::Executable => 0o755,
        };
        std::os::unix::fs::PermissionsExt::from_mode(bits)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_put_in_place_whole_and_leaves_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/app.img");
        put(&path, b"first", Mode::Data).unwrap();
        put(&path, b"second", Mode::Executable).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn images_of_several_kinds_do_not_overwrite_each_other() {
        let program = Program { binary: "hello".to_owned(), package: "hello".to_owned() };
        let plain = BuildRequest::new(Workspace::home().unwrap(), program);
        let disc = BuildRequest { load_address: abi::layout::LOAD_GRUB, ..plain.clone() };
        let test = BuildRequest { profile: "guest-test".to_owned(), ..plain.clone() };
        let names =
            [&plain, &disc, &test].map(|request| request.image_path().file_name().unwrap().to_owned());
        assert_eq!(names, ["hello.img", "hello-grub.img", "hello-guest-test.img"]);
    }

    #[test]
    fn the_own_workspace_defines_the_profile_and_a_foreign_one_is_given_it() {
        let home = Workspace::home().unwrap();
        assert!(defines_profile(&home, PROFILE));
        assert!(!defines_profile(&home, "absent"));
    }
}
