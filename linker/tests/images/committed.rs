//! The files in `tests/data` of the workspace are what this generator makes, and are refused as they should be.
//!
//! After a change of a case or a message: `cargo test -p metaos-linker --test images -- --ignored regenerate`.

use std::fs;
use std::path::PathBuf;

use abi::layout::LOAD_DIRECT;
use metaos_linker::{GuestPolicy, Input, Options, Role, link};

use crate::refused::cases;
use crate::samples;

const GOOD_NUCLEUS: &str = "good-nucleus.elf";
const GOOD_GUEST: &str = "good-guest.elf";
const EXPECTED: &str = "expected.txt";

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data"))
}

/// Returns all files of the directory: names and contents.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![(GOOD_NUCLEUS, samples::nucleus().build()), (GOOD_GUEST, samples::guest().build())];
    let mut expected = String::from("# file | role | message; made by the linker's test `regenerate`\n");
    for case in cases() {
        expected.push_str(&format!("{} | {} | {}\n", case.file, case.role, case.message));
        files.push((case.file, case.bytes));
    }
    files.push((EXPECTED, expected.into_bytes()));
    files
}

#[test]
fn every_bad_file_is_refused_with_its_message() {
    let (nucleus, guest) = (samples::nucleus().build(), samples::guest().build());
    let good_nucleus = Input { name: GOOD_NUCLEUS, bytes: &nucleus };
    let good_guest = Input { name: GOOD_GUEST, bytes: &guest };
    let options = Options { load_address: LOAD_DIRECT, guest_policy: GuestPolicy::Checked };
    for case in cases() {
        let bad = Input { name: case.file, bytes: &case.bytes };
        let outcome = match case.role {
            Role::Nucleus => link(&bad, &good_guest, &options),
            Role::Guest => link(&good_nucleus, &bad, &options),
        };
        let error = outcome.err().map(|error| error.to_string());
        assert_eq!(error, Some(format!("{}: {}", case.file, case.message)));
    }
}

#[test]
fn the_committed_files_are_the_generated_ones() {
    let files = files();
    for (name, bytes) in &files {
        let found = fs::read(directory().join(name)).unwrap_or_default();
        assert!(found == *bytes, "{name} differs; run the test `regenerate`");
    }
    let count = fs::read_dir(directory()).unwrap().count();
    assert_eq!(count, files.len(), "tests/data holds files that nobody makes");
}

#[test]
#[ignore = "writes tests/data"]
fn regenerate() {
    for (name, bytes) in files() {
        fs::write(directory().join(name), bytes).unwrap();
    }
}
