//! Frames that no sound host sends leave the guest serving, be it a machine or a Linux process.

use std::path::Path;
use std::time::Duration;

use metaos_tests::cable;
use metaos_tests::frame::{Ends, tcp_segment};
use metaos_tests::garbage::Garbage;
use metaos_tests::namespace::HOST;
use metaos_tests::peer::Peer;
use metaos_tests::program::{self, PLACES, Place};
use metaos_tests::server::stop_well;
use stock_smoltcp::wire::TcpControl;

const FRAMES: usize = 10_000;
/// After so many frames the guest is asked whether it is still there, and has then seen all of them.
const BURST: usize = 250;
const PORT: u16 = 80;

#[test]
fn ten_thousand_frames_of_garbage_leave_the_guest_serving() {
    for place in PLACES {
        survives(place, 1);
    }
}

#[test]
fn ten_thousand_other_frames_of_garbage_leave_the_guest_serving() {
    for place in PLACES {
        survives(place, 0x9e37_79b9);
    }
}

/// Half-open connections fill a listener: they must make way for one that is meant.
#[test]
fn a_thousand_half_open_connections_leave_the_guest_serving() {
    for place in PLACES {
        let (machine, mut cable) = cable::start(program::guest(directory(), place, "http", &[]));
        let ends = cable.find_guest();
        // The first answer tells that it listens.
        let mut host = Peer::new(cable, HOST);
        host.wait_until_serving();
        for index in 0..1000_u16 {
            let [high, low] = (index + 300).to_be_bytes();
            // Neighbours that answer no ARP request, and hosts that are reached through the gateway.
            let source_ip = if index % 2 == 0 { [10, high, low, 99] } else { [10, 9, 0, 99] };
            let stranger = Ends { source_ip: source_ip.into(), ..ends };
            let opening = stranger.tcp((1024 + index, PORT), TcpControl::Syn, (u32::from(index), None), &[]);
            host.cable().send(&opening);
        }
        host.cable().find_guest();
        host.wait_until_serving();
        stop_well(machine);
    }
}

#[test]
fn a_closed_port_refuses_with_a_reset() {
    for place in PLACES {
        let (machine, mut cable) = cable::start(program::guest(directory(), place, "http", &[]));
        let ends = cable.find_guest();
        cable.send(&ends.tcp((50_000, 81), TcpControl::Syn, (7, None), &[]));
        let answer = cable.wait_for(Duration::from_secs(10), |frame| {
            let segment = tcp_segment(frame)?;
            (segment.src_port() == 81).then(|| (segment.rst(), segment.ack_number().0))
        });
        assert_eq!(answer, Some((true, 8)));
        stop_well(machine);
    }
}

fn survives(place: Place, seed: u64) {
    let (machine, mut cable) = cable::start(program::guest(directory(), place, "http", &[]));
    let ends = cable.find_guest();
    let mut host = Peer::new(cable, HOST);
    host.wait_until_serving();
    let mut garbage = Garbage::new(seed, ends, PORT);
    let mut answers = 0;
    for burst in 0..FRAMES / BURST {
        let cable = host.cable();
        let before = cable.frames_from_guest();
        garbage.by_ref().take(BURST).for_each(|frame| cable.send(&frame));
        cable.find_guest();
        answers += cable.frames_from_guest() - before;
        if burst % 8 == 7 {
            host.wait_until_serving();
        }
    }
    host.wait_until_serving();
    println!("{answers} answers to {FRAMES} frames");
    // Resets, ARP replies and questions: the frames came up to where they are looked at.
    assert!(answers > FRAMES / 100, "{answers} answers to {FRAMES} frames");
    stop_well(machine);
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
