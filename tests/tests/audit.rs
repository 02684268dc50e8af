//! Audits booted images from outside: a real program, waiting in ring 3 for its next client, with live page tables.
//!
//! What the rules are stands in the `audit` module. Here they are held against machines that serve, before and after
//! traffic; and to know that they would have said something, every crime is planted in a copy of such a machine.
#![cfg(test)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use abi::VirtAddr;
use abi::layout::{
    BOOT_INFO, CPU_BLOCKS, DEVICE_WINDOWS, GUEST_IMAGE, GUEST_IMAGE_END, HEAP, INFO_PAGE, MAIN_STACK,
    NUCLEUS, NUCLEUS_END, SERVICE_STATE, STACKS, STACKS_END,
};
use metaos_tests::audit::{Audit, CRIMES, Mapping, Qmp, Snapshot, audit};
use runner::workspace::find_program;
use runner::{
    BuildRequest, CommandLine, Forward, Image, Machine, MachineConfig, MachineKind, Network, Transport,
    UserNetwork, build_app,
};
use tempfile::TempDir;

const PROGRAM: &str = "http";
const PORT: u16 = 80;
/// Enough for the program; all of it is copied at each look.
const MEMORY_MIB: u64 = 32;
/// How long the machine may take until it serves.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one attempt at an answer may take.
const ATTEMPT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// A machine that serves.
struct Server {
    machine: Machine,
    qmp: Qmp,
    _directory: TempDir,
}

impl Server {
    fn start(kind: MachineKind, transport: Transport) -> Self {
        let found = find_program(PROGRAM).unwrap();
        let built = build_app(&BuildRequest::new(found.workspace, found.program)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("qmp");
        let network = UserNetwork { forwards: vec![Forward::tcp(0, PORT)], ..UserNetwork::default() };
        let machine = Machine::start(&MachineConfig {
            kind,
            transport,
            memory_mib: MEMORY_MIB,
            network: Network::User(network),
            command_line: CommandLine::new().argument(PROGRAM),
            symbols: built.symbols,
            qmp: Some(socket.clone()),
            ..MachineConfig::new(Image::Kernel(built.image))
        })
        .unwrap();
        let qmp = Qmp::connect(&socket).unwrap();
        Self { machine, qmp, _directory: directory }
    }

    /// Waits until the machine answers a request.
    fn expect_answer(&self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.machine.forwards()[0].host_port));
        let deadline = Instant::now() + PATIENCE;
        while !is_answered(address) {
            assert!(Instant::now() < deadline, "no answer; the console said:\n{}", self.machine.console());
            thread::sleep(POLL);
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        Snapshot::take(&mut self.qmp).unwrap()
    }
}

/// QEMU accepts connections before the guest serves: only an answer counts.
fn is_answered(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, ATTEMPT)?;
        stream.set_read_timeout(Some(ATTEMPT))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().is_ok_and(|answer| answer == "HTTP/1.1 200")
}

fn expect_no_violation(snapshot: &Snapshot) -> Audit {
    let audit = audit(snapshot).unwrap();
    let complaints: Vec<String> = audit.violations.iter().map(ToString::to_string).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    audit
}

fn expect_clean_while_serving(kind: MachineKind, transport: Transport) {
    let mut server = Server::start(kind, transport);
    server.expect_answer();
    expect_no_violation(&server.snapshot());
    // It was only looked at: it serves on, and what it does then is clean, too.
    (0..3).for_each(|_| server.expect_answer());
    expect_no_violation(&server.snapshot());
}

#[test]
fn a_serving_q35_keeps_every_rule() {
    expect_clean_while_serving(MachineKind::Q35, Transport::Pci);
}

#[test]
fn a_serving_microvm_keeps_every_rule() {
    expect_clean_while_serving(MachineKind::Microvm, Transport::Mmio);
}

#[test]
fn every_crime_is_found_in_a_serving_machine() {
    let mut server = Server::start(MachineKind::Q35, Transport::Pci);
    server.expect_answer();
    let clean = server.snapshot();
    for crime in CRIMES {
        let mut machine = clean.clone();
        (crime.commit)(&mut machine);
        let found = audit(&machine).unwrap().violations;
        let rules: BTreeSet<_> = found.iter().map(|violation| violation.rule).collect();
        assert_eq!(rules.into_iter().collect::<Vec<_>>(), crime.breaks, "{}: {found:?}", crime.name);
    }
}

#[test]
fn the_walk_sees_what_a_guest_is_made_of() {
    let mut server = Server::start(MachineKind::Q35, Transport::Pci);
    server.expect_answer();
    let walk = expect_no_violation(&server.snapshot()).walk;
    for (part, start, end, rights) in [
        ("constants", GUEST_IMAGE, GUEST_IMAGE_END, "ur--"),
        ("text", GUEST_IMAGE, GUEST_IMAGE_END, "ur-x"),
        ("data", GUEST_IMAGE, GUEST_IMAGE_END, "urw-"),
        ("queues and buffers", SERVICE_STATE, INFO_PAGE, "urw-"),
        ("information", INFO_PAGE, BOOT_INFO, "ur--"),
        ("boot information", BOOT_INFO, CPU_BLOCKS, "ur--"),
        ("CPU block", CPU_BLOCKS, DEVICE_WINDOWS, "urw-"),
        ("registers of the network card", DEVICE_WINDOWS, HEAP, "urw-"),
        ("heap", HEAP, STACKS, "urw-"),
        ("main stack", MAIN_STACK, STACKS_END, "urw-"),
        ("nucleus text", NUCLEUS, NUCLEUS_END, "-r-x"),
        ("nucleus constants", NUCLEUS, NUCLEUS_END, "-r--"),
        ("nucleus data", NUCLEUS, NUCLEUS_END, "-rw-"),
    ] {
        let is_part =
            |page: &Mapping| (start..end).contains(&page.start) && page.rights.to_string() == rights;
        assert!(
            walk.mappings.iter().any(is_part),
            "no {part} with the rights {rights} between {start} and {end}"
        );
    }
}

#[test]
fn the_walk_agrees_with_that_of_qemu() {
    let mut server = Server::start(MachineKind::Q35, Transport::Pci);
    server.expect_answer();
    server.qmp.execute("stop", &serde_json::json!({})).unwrap();
    let snapshot = Snapshot::of_stopped(&mut server.qmp).unwrap();
    let theirs = server.qmp.monitor("info mem").unwrap();
    let theirs: Vec<Range> = theirs.lines().filter_map(parse_range).collect();
    assert_eq!(ranges(&audit(&snapshot).unwrap().walk.mappings), theirs);
}

/// Start, length, and the rights that QEMU shows: it leaves execution out.
type Range = (VirtAddr, u64, String);

/// Reads a line of QEMU's `info mem`: start-end, length, rights.
fn parse_range(line: &str) -> Option<Range> {
    let mut fields = line.split_whitespace();
    let (start, _) = fields.next()?.split_once('-')?;
    let length = u64::from_str_radix(fields.next()?, 16).ok()?;
    Some((VirtAddr(u64::from_str_radix(start, 16).ok()?), length, fields.next()?.to_owned()))
}

/// Joins adjacent pages of the same rights.
fn ranges(mappings: &[Mapping]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for mapping in mappings {
        let rights = mapping.rights.to_string()[..3].to_owned();
        match ranges.last_mut() {
            Some((start, length, last)) if start.0 + *length == mapping.start.0 && *last == rights => {
                *length += mapping.length;
            }
            _ => ranges.push((mapping.start, mapping.length, rights)),
        }
    }
    ranges
}
