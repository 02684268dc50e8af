//! Gets programs that are missing through the system's own package manager.
//!
//! The commands are put together first and shown or run afterwards, so that what a user is told to type and what
//! root gets done are the same. Debian 12 is the one special case: its own QEMU is too old, the one of its
//! backports suite serves, and that suite has to be added, from the mirror that apt uses already.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::machine::arguments::uefi_firmware;
use crate::qemu::{self, QemuError};

/// File by which the backports suite is added.
const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/metaos-backports.sources";
/// Where apt keeps its sources.
const APT_SOURCES: [&str; 2] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d"];
/// Not a program, but looked for among them.
const UEFI: &str = "UEFI firmware";
/// Debian 12's backports.
const BACKPORTS: &str = "bookworm-backports";

/// Something that can be installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// QEMU.
    Qemu,
    /// What makes discs.
    Iso,
    /// What the behaviour tests use.
    Tests,
    /// What the benchmark uses.
    Bench,
    /// What carries the packets of a guest that runs as a process.
    Passt,
    /// The profiler.
    Perf,
    /// The debugger.
    Gdb,
}

/// Whether the package manager may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Only as root.
    IfRoot,
    /// The user said so: through sudo if need be.
    Granted,
}

/// Why something is still missing.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It may not be installed by us.
    #[error("{what} is missing; get it by\n\n{plan}\nor run this command again with --install")]
    NotAllowed {
        /// What is missing.
        what: String,
        /// The commands that get it.
        plan: Plan,
    },
    /// This system is not known.
    #[error("{0} is missing, and this system's package manager is not known; install it by hand")]
    UnknownSystem(String),
    /// A step failed.
    #[error("`{step}` failed: {cause}")]
    Failed {
        /// The command.
        step: String,
        /// What happened.
        cause: String,
    },
    /// It was installed and is still not there.
    #[error("{0} was installed but cannot be found in PATH")]
    StillMissing(String),
}

/// A package manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum System {
    /// apt; with Debian 12's backports if they are needed.
    Apt(Backports),
    /// dnf.
    Dnf,
    /// pacman.
    Pacman,
    /// apk.
    Apk,
}

/// What Debian's backports are needed for here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backports {
    /// The system's own QEMU serves.
    NotNeeded,
    /// They are among the sources already.
    Present,
    /// They have to be added, as this source.
    Add(String),
}

/// Commands that install something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan(Vec<Step>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Write { path: &'static str, contents: String },
    Run(Vec<String>),
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| writeln!(f, "    {step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(words) => write!(f, "sudo {}", words.join(" ")),
            Self::Write { path, contents } => {
                let lines: Vec<String> = contents.lines().map(|line| format!("'{line}'")).collect();
                write!(f, "printf '%s\\n' {} | sudo tee {path}", lines.join(" "))
            }
        }
    }
}

impl Need {
    /// Returns the programs by which it is recognised and that are not there.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        let programs: &[&'static str] = match self {
            Self::Qemu => &[qemu::PROGRAM],
            Self::Iso => &["grub-mkrescue", "xorriso", "mformat"],
            Self::Bench => &["wrk", "ip", "cc"],
            Self::Passt => &["passt"],
            Self::Perf => &["perf"],
            Self::Gdb => &["gdb"],
            Self::Tests => &["curl", "wrk", "ip", "g++", UEFI],
        };
        programs.iter().copied().filter(|program| !is_there(program)).collect()
    }

    fn packages(self, system: &System) -> &'static [&'static str] {
        match (self, system) {
            (Self::Qemu, System::Apt(_)) => &["qemu-system-x86"],
            (Self::Qemu, System::Dnf) => &["qemu-system-x86-core"],
            (Self::Qemu, System::Pacman) => &["qemu-system-x86"],
            (Self::Qemu, System::Apk) => &["qemu-system-x86_64"],
            (Self::Iso, System::Apt(_)) => {
                &["grub-common", "grub-pc-bin", "grub-efi-amd64-bin", "xorriso", "mtools"]
            }
            (Self::Iso, System::Dnf) => {
                &["grub2-tools-extra", "grub2-pc-modules", "grub2-efi-x64-modules", "xorriso", "mtools"]
            }
            (Self::Iso, System::Pacman) => &["grub", "libisoburn", "mtools"],
            (Self::Iso, System::Apk) => &["grub", "grub-bios", "grub-efi", "xorriso", "mtools"],
            (Self::Bench, System::Apt(_)) => &["wrk", "iproute2", "gcc", "libc6-dev"],
            (Self::Bench, System::Dnf) => &["wrk", "iproute", "gcc", "glibc-static"],
            (Self::Bench, System::Pacman) => &["wrk", "iproute2", "gcc"],
            (Self::Bench, System::Apk) => &["wrk", "iproute2", "gcc", "musl-dev"],
            (Self::Perf, System::Apt(_)) => &["linux-perf"],
            (Self::Perf, _) => &["perf"],
            (Self::Passt, _) => &["passt"],
            (Self::Gdb, _) => &["gdb"],
            (Self::Tests, System::Apt(_)) => &["curl", "wrk", "iproute2", "g++", "ovmf"],
            (Self::Tests, System::Dnf) => &["curl", "wrk", "iproute", "gcc-c++", "edk2-ovmf"],
            (Self::Tests, System::Pacman) => &["curl", "wrk", "iproute2", "gcc", "edk2-ovmf"],
            (Self::Tests, System::Apk) => &["curl", "wrk", "iproute2", "g++", "ovmf"],
        }
    }
}

/// Makes sure that everything of `needs` is there, installing what is not if that is allowed.
///
/// # Errors
///
/// Something is missing and may not, or cannot, be installed.
pub fn ensure(needs: &[Need], permission: Permission) -> Result<(), InstallError> {
    let lacking: Vec<Need> = needs.iter().copied().filter(|need| !need.missing().is_empty()).collect();
    let programs =
        |needs: &[Need]| needs.iter().flat_map(|need| need.missing()).collect::<Vec<_>>().join(", ");
    if lacking.is_empty() {
        return Ok(());
    }
    let what = programs(&lacking);
    let system = System::detect().ok_or_else(|| InstallError::UnknownSystem(what.clone()))?;
    let plan = Plan::new(&lacking, &system);
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && permission == Permission::IfRoot {
        return Err(InstallError::NotAllowed { what, plan });
    }
    eprintln!("metaos: installing {what}");
    plan.run(if is_root { &[] } else { &["sudo"] })?;
    let missing = programs(&lacking);
    if missing.is_empty() { Ok(()) } else { Err(InstallError::StillMissing(missing)) }
}

fn is_there(program: &str) -> bool {
    match program {
        qemu::PROGRAM => qemu::find() != Err(QemuError::Missing),
        UEFI => uefi_firmware().is_some(),
        _ => {
            qemu::find_program(program).is_some()
                || qemu::find_program(&program.replace("grub-", "grub2-")).is_some()
        }
    }
}

impl System {
    /// Finds out which package manager this system has.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let has = |program| qemu::find_program(program).is_some();
        if has("apt-get") {
            Some(Self::Apt(backports(&release, &apt_sources())))
        } else if has("dnf") {
            Some(Self::Dnf)
        } else if has("pacman") {
            Some(Self::Pacman)
        } else if has("apk") {
            Some(Self::Apk)
        } else {
            None
        }
    }
}

impl Plan {
    /// Puts the commands for `needs` together.
    #[must_use]
    pub fn new(needs: &[Need], system: &System) -> Self {
        let packages = |needs: &[Need]| -> Vec<&str> {
            needs.iter().flat_map(|need| need.packages(system)).copied().collect()
        };
        let all = packages(needs);
        let run = |words: &[&str], packages: &[&str]| {
            Step::Run(words.iter().chain(packages).map(|word| (*word).to_owned()).collect())
        };
        Self(match system {
            System::Apt(backports) => apt_steps(needs, backports, &packages),
            System::Dnf => vec![run(&["dnf", "install", "-y"], &all)],
            System::Pacman => vec![run(&["pacman", "-S", "--needed", "--noconfirm"], &all)],
            System::Apk => vec![run(&["apk", "add"], &all)],
        })
    }

    fn run(&self, prefix: &[&str]) -> Result<(), InstallError> {
        self.0.iter().try_for_each(|step| {
            step.run(prefix)
                .map_err(|cause| InstallError::Failed { step: step.to_string(), cause: cause.to_string() })
        })
    }
}

impl Step {
    fn run(&self, prefix: &[&str]) -> io::Result<()> {
        match self {
            Self::Run(words) => succeed(command(prefix, words).stdin(Stdio::null())),
            Self::Write { path, contents } if prefix.is_empty() => fs::write(path, contents),
            Self::Write { path, contents } => {
                let mut child =
                    command(prefix, &["tee", *path]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
                if let Some(mut input) = child.stdin.take() {
                    io::Write::write_all(&mut input, contents.as_bytes())?;
                }
                judge(child.wait()?)
            }
        }
    }
}

fn command(prefix: &[&str], words: &[impl AsRef<OsStr>]) -> Command {
    let mut all = prefix.iter().map(OsStr::new).chain(words.iter().map(AsRef::as_ref));
    let mut command = Command::new(all.next().unwrap_or_default());
    command.args(all);
    command
}

fn succeed(command: &mut Command) -> io::Result<()> {
    // What a package manager has to say goes to standard error: standard output is the program's.
    judge(command.stdout(io::stderr()).status()?)
}

fn judge(status: std::process::ExitStatus) -> io::Result<()> {
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

fn apt_steps<'a>(
    needs: &[Need],
    backports: &Backports,
    packages: &dyn Fn(&[Need]) -> Vec<&'a str>,
) -> Vec<Step> {
    let run = |words: &str, packages: &[&str]| {
        let words = words.split(' ').chain(packages.iter().copied());
        Step::Run(words.map(str::to_owned).collect())
    };
    let install = "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends";
    let (from_backports, own): (Vec<Need>, Vec<Need>) =
        needs.iter().copied().partition(|need| *need == Need::Qemu && *backports != Backports::NotNeeded);
    let mut steps = Vec::new();
    if let (Backports::Add(contents), false) = (backports, from_backports.is_empty()) {
        steps.push(Step::Write { path: BACKPORTS_FILE, contents: contents.clone() });
    }
    steps.push(run("apt-get update", &[]));
    if !from_backports.is_empty() {
        steps.push(run(&format!("{install} -t {BACKPORTS}"), &packages(&from_backports)));
    }
    if !own.is_empty() {
        steps.push(run(install, &packages(&own)));
    }
    steps
}

/// Finds out whether this is Debian 12, and what its backports lack.
fn backports(release: &str, sources: &str) -> Backports {
    let has = |line: &str| release.lines().any(|found| found.trim() == line);
    let is_bookworm = has("ID=debian") && (has("VERSION_ID=\"12\"") || has("VERSION_CODENAME=bookworm"));
    if !is_bookworm {
        return Backports::NotNeeded;
    }
    let is_active = |line: &str| !line.trim_start().starts_with('#') && line.contains(BACKPORTS);
    if sources.lines().any(is_active) {
        return Backports::Present;
    }
    // Without a known mirror there is nowhere to take backports from; the plain suite is the best guess.
    let Some((mirror, key)) = mirror(sources) else { return Backports::NotNeeded };
    let signed = key.map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
    Backports::Add(format!("Types: deb\nURIs: {mirror}\nSuites: {BACKPORTS}\nComponents: main\n{signed}"))
}

/// Returns the mirror of the suite `bookworm`, and the key it is signed by if the source names one.
fn mirror(sources: &str) -> Option<(String, Option<String>)> {
    stanza_mirror(sources).or_else(|| line_mirror(sources))
}

/// The form of many lines (deb822).
fn stanza_mirror(sources: &str) -> Option<(String, Option<String>)> {
    let field = |stanza: &str, name: &str| {
        let mut lines = stanza.lines().filter(|line| !line.starts_with('#'));
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    };
    let names_suite = |stanza: &&str| {
        field(stanza, "Suites")
            .is_some_and(|suites| suites.split_whitespace().any(|suite| suite == "bookworm"))
    };
    let stanza = sources.split("\n\n").find(names_suite)?;
    let mirror = field(stanza, "URIs")?.split_whitespace().next()?.to_owned();
    Some((mirror, field(stanza, "Signed-By").filter(|key| key.starts_with('/'))))
}

/// The form of one line.
fn line_mirror(sources: &str) -> Option<(String, Option<String>)> {
    let mut lines = sources.lines().filter_map(|line| line.trim().strip_prefix("deb "));
    lines.find_map(|line| {
        let (options, rest) = match line.trim().strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", line),
        };
        let mut words = rest.split_whitespace();
        let mirror = words.next()?.to_owned();
        let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        (words.next()? == "bookworm").then(|| (mirror, key.map(str::to_owned)))
    })
}

/// Returns all of apt's sources as one text, files separated by an empty line.
fn apt_sources() -> String {
    let is_source = |path: &PathBuf| path.extension().is_some_and(|end| end == "sources" || end == "list");
    let mut paths: Vec<PathBuf> = vec![PathBuf::from(APT_SOURCES[0])];
    let directory = fs::read_dir(Path::new(APT_SOURCES[1])).into_iter().flatten().flatten();
    paths.extend(directory.map(|entry| entry.path()).filter(is_source));
    paths.sort();
    let texts: Vec<String> = paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    texts.join("\n\n")
}

#[cfg(test)]
mod tests;
