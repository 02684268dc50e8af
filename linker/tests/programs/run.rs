//! Patched programs run under Linux and do what they did before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use metaos_linker::rewrite::{LinuxProgram, Plan};

use crate::{native, samples};

#[test]
fn patched_programs_do_what_they_did() {
    let folder = tempfile::tempdir().unwrap();
    for sample in samples::all() {
        let (patched, _) = native::executable(&sample.bytes);
        let expected = run(folder.path(), &sample.bytes, sample.arguments);
        let outcome = run(folder.path(), &patched, sample.arguments);
        assert!(expected.status.code().is_some_and(|code| code < 64), "{}: {expected:?}", sample.name);
        assert_eq!(outcome, expected, "{}", sample.name);
        assert!(!expected.stdout.is_empty());
        print_summary(sample.name, &sample.bytes);
    }
}

fn run(folder: &Path, bytes: &[u8], arguments: &[&str]) -> Output {
    // BusyBox looks at its own name.
    let folder = tempfile::tempdir_in(folder).unwrap();
    let path = folder.path().join("busybox");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Command::new("timeout").arg("20").arg(&path).args(arguments).env("LC_ALL", "C").output().unwrap()
}

fn print_summary(name: &str, bytes: &[u8]) {
    let start = Instant::now();
    let program = LinuxProgram::parse(bytes).unwrap();
    let summary = Plan::of(&program).summary();
    println!("== {name}: {} bytes, planned in {:.1?}\n{summary}", bytes.len(), start.elapsed());
}
