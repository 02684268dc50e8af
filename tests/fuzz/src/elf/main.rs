//! Any bytes as nucleus, as guest, as finished image and as Linux program: the linker answers with an image, a plan or a
//! refusal.
//!
//! What it lets pass is held to the invariants of an image once more, by code that does not share the linker's.
#![no_main]

use abi::layout::{LOAD_DIRECT, LOAD_GRUB};
use abi::{Access, PAGE_SIZE};
use libfuzzer_sys::fuzz_target;
use linker::rewrite::{LinuxProgram, Placement, Plan, Verdict};
use linker::{GuestPolicy, Image, Input, Options, Report, SegmentReport, confine, inspect, link};

const GOOD_NUCLEUS: Input<'_> =
    Input { name: "good-nucleus.elf", bytes: include_bytes!("../../../data/good-nucleus.elf") };
const GOOD_GUEST: Input<'_> =
    Input { name: "good-guest.elf", bytes: include_bytes!("../../../data/good-guest.elf") };
/// The file's own pages: headers and the report's note.
const HEADER_BYTES: usize = PAGE_SIZE;

fuzz_target!(|bytes: &[u8]| {
    let input = Input { name: "input.elf", bytes };
    let direct = Options { load_address: LOAD_DIRECT, guest_policy: GuestPolicy::Checked };
    let test_guest = Options { load_address: LOAD_GRUB, guest_policy: GuestPolicy::Unchecked };

    let as_guest = link(&GOOD_NUCLEUS, &input, &direct);
    let unchecked = link(&GOOD_NUCLEUS, &input, &test_guest);
    assert!(as_guest.is_err() || unchecked.is_ok(), "fewer checks let more pass");
    match confine(&input) {
        Ok(file) => assert_eq!(file.len(), bytes.len(), "the filter has its room"),
        Err(_) => assert!(unchecked.is_err(), "what is linked can be confined"),
    }
    let images = [as_guest, unchecked, link(&input, &GOOD_GUEST, &direct)];
    for (image, load_address) in images.iter().zip([LOAD_DIRECT, LOAD_GRUB, LOAD_DIRECT]) {
        match image {
            Ok(image) => check_image(image, load_address, bytes.len()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(report) = inspect(&input) {
        assert!(!report.to_string().is_empty());
    }
    if let Ok(program) = LinuxProgram::parse(bytes) {
        check_plan(&program);
    }
});

/// Windows are in order and long enough, and none is entered but at its start.
fn check_plan(program: &LinuxProgram<'_>) {
    let plan = Plan::of(program);
    assert!(!plan.summary().to_string().is_empty());
    let mut end = 0;
    for site in plan.sites() {
        if let Verdict::Patched(window) = &site.verdict {
            assert!(window.range.start >= end && window.range.end >= window.range.start + 5, "{site:?}");
            assert!(window.range.contains(&site.address));
            let starts =
                window.before.iter().chain(&window.after).map(|moved| moved.original).chain([site.address]);
            assert!(starts.into_iter().all(|at| at == window.range.start || !plan.is_target(at)), "{site:?}");
            end = window.range.end;
        }
    }
    let memory =
        program.segments().map(|segment| segment.start + segment.memory_bytes).max().unwrap_or_default();
    let placement = Placement { bias: 0, stubs: memory.next_multiple_of(PAGE_SIZE as u64) };
    if let Ok(patched) = plan.emit(&placement, |number| u64::from(number.unwrap_or_default())) {
        assert!(patched.sites.iter().all(|site| patched.original(site.back - 1) == Some(site.address)));
    }
}

fn check_image(image: &Image, load_address: u64, input_bytes: usize) {
    let bytes = &image.bytes;
    assert_eq!(
        inspect(&Input { name: "image", bytes }).as_ref(),
        Ok(&image.report),
        "an image tells what it is"
    );
    assert_eq!(image.report.file_bytes, bytes.len() as u64);
    let sources = input_bytes + GOOD_NUCLEUS.bytes.len() + GOOD_GUEST.bytes.len();
    let padding = PAGE_SIZE * image.report.segments.len();
    assert!(
        bytes.len() <= sources + padding + HEADER_BYTES,
        "an image is not larger than what it is made of"
    );
    check_segments(&image.report, load_address);
}

fn check_segments(report: &Report, load_address: u64) {
    assert_eq!(report.load_address.0, load_address);
    assert!(report.segments.len() <= abi::image::MAX_SEGMENTS);
    for (index, segment) in report.segments.iter().enumerate() {
        assert!(!segment.access.is_writable_and_executable(), "W^X: {segment:?}");
        assert!(segment.file_bytes <= segment.memory_bytes);
        for other in &report.segments[index + 1..] {
            assert!(!overlap(segment, other), "{segment:?} {other:?}");
        }
    }
    let is_executable = |address: u64| {
        let mut segments = report.segments.iter().filter(|segment| !segment.is_of_nucleus());
        segments.any(|segment| {
            let start = segment.virtual_start.0;
            segment.access.contains(Access::EXECUTE)
                && (start..start + segment.memory_bytes).contains(&address)
        })
    };
    assert!(
        is_executable(report.entry.0) && is_executable(report.gate.0),
        "entry and gate are text of the guest"
    );
}

fn overlap(a: &SegmentReport, b: &SegmentReport) -> bool {
    let pages =
        |start: u64, length: u64| start / PAGE_SIZE as u64..(start + length).div_ceil(PAGE_SIZE as u64);
    let meets = |a: core::ops::Range<u64>, b: core::ops::Range<u64>| a.start < b.end && b.start < a.end;
    meets(pages(a.virtual_start.0, a.memory_bytes), pages(b.virtual_start.0, b.memory_bytes))
        || meets(pages(a.physical_start.0, a.memory_bytes), pages(b.physical_start.0, b.memory_bytes))
}
