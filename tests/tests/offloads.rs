//! What the network card does for the guest: the same bytes cross whatever it does, and it does what it is said to.
//!
//! That an offload is on or off shows in how many frames the guest counts for so many bytes. On a tap interface the
//! host's TCP is the other end; QEMU's user network has no offloads, and there all settings come to the same.

use std::path::Path;
use std::process::Command;

use metaos_tests::namespace;
use metaos_tests::pattern::{checksum, first_fault, pattern};
use metaos_tests::program::{self, PLACES, Place};
use metaos_tests::server::Server;
use runner::MachineConfig;

const MIB: usize = 1 << 20;
/// Not a multiple of any segment or buffer.
const BYTES: usize = 8 * MIB + 12_345;
/// Fewer frames for [`BYTES`] than this only if most are large, more only if none is.
const FRAMES: u64 = (BYTES / 4096) as u64;

/// What `/stats` tells of the card.
#[derive(Clone, Copy, Debug)]
struct Figures {
    requests: u64,
    frames_in: u64,
    frames_out: u64,
    doorbells: u64,
    interrupts: u64,
}

#[test]
fn all_offloads_together_serve_the_same_bytes_as_none_over_a_tap_interface() {
    for place in PLACES {
        namespace::run(|| {
            let (received, sent) = exchange(place, "on");
            assert!(sent < FRAMES && received < FRAMES, "{sent} frames out, {received} in");
            let (received, sent) = exchange(place, "off");
            assert!(sent > FRAMES && received > FRAMES, "{sent} frames out, {received} in");
        });
    }
}

#[test]
fn each_offload_alone_serves_the_same_bytes_over_a_tap_interface() {
    for place in PLACES {
        namespace::run(|| {
            let (received, sent) = exchange(place, "csum,tso");
            assert!(sent < FRAMES && received > FRAMES, "{sent} frames out, {received} in");
            let (received, sent) = exchange(place, "csum,lro");
            assert!(sent > FRAMES && received < FRAMES, "{sent} frames out, {received} in");
            exchange(place, "csum");
            exchange(place, "event-idx");
        });
    }
}

#[test]
fn each_offload_can_be_left_out_over_a_tap_interface() {
    for place in PLACES {
        namespace::run(|| {
            let (received, sent) = exchange(place, "-tso");
            assert!(sent > FRAMES && received < FRAMES, "{sent} frames out, {received} in");
            let (received, sent) = exchange(place, "-lro");
            assert!(sent < FRAMES && received > FRAMES, "{sent} frames out, {received} in");
            let (received, sent) = exchange(place, "-csum");
            assert!(
                sent > FRAMES && received > FRAMES,
                "segments without checksums: {sent} out, {received} in"
            );
            exchange(place, "-event-idx");
        });
    }
}

#[test]
fn offloads_on_and_off_serve_the_same_bytes_over_the_user_network() {
    for place in PLACES {
        for offloads in ["on", "off"] {
            let server = Server::publish(machine(place, offloads, 64));
            assert_serves(&server, MIB + 1);
            server.stop_well();
        }
    }
}

/// Such a machine bears no large frames on the way in, and shorter ones on the way out.
#[test]
fn a_machine_with_little_memory_serves_the_same_bytes() {
    for place in PLACES {
        namespace::run(|| {
            for memory in [2, 6] {
                let server = Server::plug_in(machine(place, "on", memory));
                assert_serves(&server, MIB + 1);
                server.stop_well();
            }
        });
    }
}

/// Counted, not timed: what a doorbell or an interrupt costs differs from host to host.
#[test]
fn doorbells_and_interrupts_come_once_for_many_requests() {
    for place in PLACES {
        namespace::run(|| {
            let server = Server::plug_in(machine(place, "on", 64));
            let before = figures(&server);
            let output = Command::new("wrk").args(["-t1", "-c32", "-d2s", &server.url("/")]).output();
            assert!(output.expect("wrk is installed").status.success());
            let after = figures(&server);
            let requests = after.requests - before.requests;
            let doorbells = after.doorbells - before.doorbells;
            let interrupts = after.interrupts - before.interrupts;
            println!("{requests} requests, {doorbells} doorbells, {interrupts} interrupts");
            assert!(requests > 100);
            assert!(doorbells < requests / 2, "{doorbells} doorbells for {requests} requests");
            assert!(interrupts < requests / 2, "{interrupts} interrupts for {requests} requests");
            server.stop_well();
        });
    }
}

#[test]
fn a_word_that_is_no_offload_is_refused_with_those_that_are() {
    let mut config = program::machine(directory(), "http", &[]);
    let line = std::mem::take(&mut config.command_line);
    config.command_line = line.option("net.offloads", "gro");
    let machine = runner::Machine::start(&config).expect("QEMU starts");
    let outcome = machine.wait(std::time::Duration::from_secs(20)).expect("the guest ends by itself");
    assert_ne!(outcome.status, 0);
}

/// Moves bytes both ways over a tap interface, and returns how many frames came in for those in, and went out for those
/// out.
fn exchange(place: Place, offloads: &str) -> (u64, u64) {
    let server = Server::plug_in(machine(place, offloads, 64));
    let counts = assert_serves(&server, BYTES);
    server.stop_well();
    counts
}

fn assert_serves(server: &Server, bytes: usize) -> (u64, u64) {
    let before = figures(server);
    let response = server.client().get(&format!("/bytes/{bytes}")).expect("the body comes");
    assert_eq!(first_fault(&response.body), None);
    assert_eq!(response.body.len(), bytes);
    let between = figures(server);
    let body = pattern(bytes);
    let response = server.client().put("/sink", &body).expect("the body is taken");
    assert_eq!(response.text(), format!("{} {:016x}\n", body.len(), checksum(&body)));
    let after = figures(server);
    println!("{before:?}, {between:?}, {after:?}");
    (after.frames_in - between.frames_in, between.frames_out - before.frames_out)
}

fn figures(server: &Server) -> Figures {
    let text = server.client().get("/stats").expect("the guest answers").text();
    let json: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let number = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("no {name} in {text}"));
    Figures {
        requests: number("requests"),
        frames_in: number("frames_in"),
        frames_out: number("frames_out"),
        doorbells: number("doorbells"),
        interrupts: number("interrupts"),
    }
}

fn machine(place: Place, offloads: &str, memory_mib: u64) -> MachineConfig {
    let mut config = program::guest(directory(), place, "http", &[]);
    let line = std::mem::take(&mut config.command_line);
    config.command_line = line.option("net.offloads", offloads);
    MachineConfig { memory_mib, ..config }
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
