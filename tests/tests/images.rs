//! Laws on size: what the parts of an image may weigh, and that a program carries only what it uses.

use std::fs;
use std::path::{Path, PathBuf};

use linker::{Input, Report, Room};
use metaos_tests::program::{self, Boot};
use metaos_tests::sources::lines_of_code;
use object::{Object, ObjectSymbol};
use runner::Symbols;
use rustc_demangle::demangle;

const KIB: u64 = 1024;
/// Most bytes of the image of each program.
const IMAGES: [(&str, u64); 2] = [("hello", 120 * KIB), ("http", 300 * KIB)];
/// Most lines of code of the nucleus.
const NUCLEUS_LINES: usize = 2500;
/// What the names of functions of threads and of the network stack contain.
const NOT_IN_HELLO: [&str; 3] = ["smoltcp", "metaos_libos::net", "metaos_libos::task"];

#[test]
fn images_stay_within_their_budgets() {
    for (name, most) in IMAGES {
        let path = program::image(directory(), name, Boot::Direct);
        let bytes = fs::metadata(&path).expect("the image has just been linked").len();
        println!("{name}: {:.1} of {} KiB", kib(bytes), most / KIB);
        assert!(
            bytes <= most,
            "{name} takes {:.1} KiB of {} KiB:\n{}",
            kib(bytes),
            most / KIB,
            report(&path)
        );
    }
}

#[test]
fn the_nucleus_stays_within_its_lines() {
    let lines = lines_of_code(&workspace().join("metaos/nucleus/src"));
    println!("nucleus: {lines} of {NUCLEUS_LINES} lines");
    assert!(lines > 0);
    assert!(lines <= NUCLEUS_LINES, "the nucleus has {lines} lines of code of {NUCLEUS_LINES}");
}

/// Threads and the network stack are linked by their use.
#[test]
fn hello_carries_neither_threads_nor_network_stack() {
    let path = program::image(directory(), "hello", Boot::Direct);
    let found: Vec<String> = functions(&path)
        .into_iter()
        .filter(|name| NOT_IN_HELLO.iter().any(|part| name.contains(part)))
        .collect();
    assert_eq!(found, Vec::<String>::new());
    let report = report(&path);
    let smoltcp = report.rooms.iter().find(|size| size.room == Room::Smoltcp);
    assert_eq!(smoltcp.map_or(0, linker::RoomSize::total), 0, "{report}");
}

/// The law above would hold of a file without names, too.
#[test]
fn a_program_that_serves_carries_both() {
    let names = functions(&program::image(directory(), "http", Boot::Direct));
    for part in NOT_IN_HELLO {
        assert!(names.iter().any(|name| name.contains(part)), "no function of {part} in http");
    }
}

#[test]
fn an_image_is_stripped_and_its_symbols_lie_beside() {
    let path = program::image(directory(), "hello", Boot::Direct);
    let bytes = fs::read(&path).expect("the image has just been linked");
    let image = object::File::parse(bytes.as_slice()).expect("an image is an ELF file");
    assert_eq!(image.symbols().count(), 0);
    assert!(!image.has_debug_symbols());
    let symbols = Symbols::beside(&path);
    assert!(symbols.nucleus.is_some_and(|path| path.exists()));
    assert!(symbols.guest.is_some_and(|path| path.exists()));
}

/// Returns the names of the functions that the guest in an image is made of.
fn functions(image: &Path) -> Vec<String> {
    let guest = Symbols::beside(image).guest.expect("an image for tests has its symbols beside it");
    let bytes = fs::read(guest).expect("cargo has just built it");
    let file = object::File::parse(bytes.as_slice()).expect("what cargo built is an ELF file");
    let names = file.symbols().filter_map(|symbol| symbol.name().ok().map(|name| demangle(name).to_string()));
    names.collect()
}

fn report(path: &Path) -> Report {
    let bytes = fs::read(path).expect("the image has just been linked");
    let name = path.to_string_lossy();
    linker::inspect(&Input { name: &name, bytes: &bytes }).unwrap_or_else(|error| panic!("{error}"))
}

#[expect(clippy::cast_precision_loss, reason = "images are small")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
