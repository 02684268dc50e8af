//! What the linker refuses: each file in `data` with the message that stands beside it in `expected.txt`.
//!
//! The files are made by the linker's own tests; here they are only read, as a user's files are.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use abi::layout::LOAD_DIRECT;
use linker::{GuestPolicy, Image, Input, LinkError, Options, inspect, link};

const GOOD_NUCLEUS: &str = "good-nucleus.elf";
const GOOD_GUEST: &str = "good-guest.elf";
const EXPECTED: &str = "expected.txt";

fn path(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data")).join(file)
}

/// One line of `expected.txt`.
struct Expectation {
    file: String,
    role: String,
    message: String,
}

fn expectations() -> Vec<Expectation> {
    let text = fs::read_to_string(path(EXPECTED)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut fields = line.splitn(3, " | ").map(str::to_owned);
            let mut field = || fields.next().expect("a line has three fields");
            Expectation { file: field(), role: field(), message: field() }
        })
        .collect()
}

fn link_files(nucleus: &str, guest: &str) -> Result<Image, LinkError> {
    let nucleus_bytes = fs::read(path(nucleus)).unwrap();
    let guest_bytes = fs::read(path(guest)).unwrap();
    link(
        &Input { name: nucleus, bytes: &nucleus_bytes },
        &Input { name: guest, bytes: &guest_bytes },
        &Options { load_address: LOAD_DIRECT, guest_policy: GuestPolicy::Checked },
    )
}

#[test]
fn each_bad_file_is_refused_with_a_message_that_names_it() {
    for Expectation { file, role, message } in expectations() {
        let outcome = match role.as_str() {
            "nucleus" => link_files(&file, GOOD_GUEST),
            _ => link_files(GOOD_NUCLEUS, &file),
        };
        let error = outcome.err().map(|error| error.to_string());
        assert_eq!(error, Some(format!("{file}: {message}")));
    }
}

#[test]
fn a_good_pair_is_linked() {
    let image = link_files(GOOD_NUCLEUS, GOOD_GUEST).unwrap();
    assert_eq!(inspect(&Input { name: "image", bytes: &image.bytes }), Ok(image.report));
}

#[test]
fn an_input_is_not_taken_for_an_image() {
    let bytes = fs::read(path(GOOD_GUEST)).unwrap();
    let error = inspect(&Input { name: GOOD_GUEST, bytes: &bytes }).unwrap_err();
    assert_eq!(error.to_string(), "good-guest.elf: not a metaos image; make one with `cargo metaos build`");
}

#[test]
fn every_file_has_its_expectation() {
    let mut expected: BTreeSet<String> = expectations().into_iter().map(|line| line.file).collect();
    expected.extend([GOOD_NUCLEUS, GOOD_GUEST, EXPECTED].map(str::to_owned));
    let found: BTreeSet<String> = fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
}
