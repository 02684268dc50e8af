//! The programs: built with what is installed here, or taken from their package. What is missing is said and left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program and how to run it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) arguments: &'static [&'static str],
}

const SHELL: &str = "echo one; for i in 1 2 3; do echo $((i*i)); done; echo a b c | wc -w; ls -d / /tmp; \
                     (exit 4); echo $?; printf '%05d\\n' 42; seq 5 | sort -r | head -2; X=$(echo sub); echo $X; \
                     cat /etc/hostname /nothing 2>&1 | tail -1; true & wait; exit 9";

/// Name, compiler and its arguments, source.
const BUILT: [(&str, &str, &[&str], &str); 10] = [
    ("glibc", "gcc", &["-O2", "-static", "-pthread"], "work.c"),
    ("glibc, stripped", "gcc", &["-O2", "-static", "-pthread", "-s"], "work.c"),
    ("glibc, movable", "gcc", &["-O2", "-static-pie", "-pthread"], "work.c"),
    ("glibc, not optimised", "gcc", &["-O0", "-static", "-pthread"], "work.c"),
    ("glibc, C++", "g++", &["-O2", "-static", "-s"], "throw.cpp"),
    ("glibc, SQLite", "gcc", &["-O2", "-static", "-s"], "tables.c"),
    ("musl", "musl-gcc", &["-O2", "-static", "-pthread"], "work.c"),
    ("musl, stripped", "musl-gcc", &["-O2", "-static", "-pthread", "-s"], "work.c"),
    ("Rust", "rustc", &["-O", "-Ctarget-feature=+crt-static"], "work.rs"),
    (
        "Rust, stripped",
        "rustc",
        &["-O", "-Ctarget-feature=+crt-static", "-Crelocation-model=static", "-Cstrip=symbols"],
        "work.rs",
    ),
];

/// Builds and finds all programs that can be had here.
pub(crate) fn all() -> Vec<Sample> {
    let folder = tempfile::tempdir().unwrap();
    let mut samples: Vec<Sample> = BUILT
        .iter()
        .filter_map(|(name, compiler, arguments, source)| {
            let bytes = build(compiler, arguments, source, folder.path())?;
            Some(Sample { name, bytes, arguments: &["argument"] })
        })
        .collect();
    match fs::read("/bin/busybox") {
        Ok(bytes) => samples.push(Sample { name: "busybox", bytes, arguments: &["sh", "-c", SHELL] }),
        Err(_) => eprintln!("skipped: busybox; install busybox-static"),
    }
    assert!(samples.iter().any(|sample| sample.name == "Rust"), "rustc is there, or this test would not be");
    samples
}

/// Builds one program; `None`, and a word why, where its compiler or library is not installed.
fn build(compiler: &str, arguments: &[&str], source: &str, folder: &Path) -> Option<Vec<u8>> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
    let output = folder.join("program");
    let libraries: &[&str] = if source.ends_with("tables.c") { &["-lsqlite3", "-lm"] } else { &[] };
    let built =
        Command::new(compiler).args(arguments).arg(&source).arg("-o").arg(&output).args(libraries).output();
    match built {
        Ok(built) if built.status.success() => Some(fs::read(&output).unwrap()),
        Ok(built) => {
            let errors = String::from_utf8_lossy(&built.stderr);
            eprintln!("skipped: {compiler} {arguments:?} {}: {errors}", source.display());
            None
        }
        Err(cause) => {
            eprintln!(
                "skipped: {compiler} ({cause}); install gcc, g++, libc6-dev, musl-tools or libsqlite3-dev"
            );
            None
        }
    }
}
