//! Machines that end in every way a machine can, as the runner sees them.
//!
//! The guest is a few instructions of assembly (`data/machine.S`), so these tests hold for the runner alone.

mod fixture;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use metaos_runner::{
    CommandLine, Firmware, Image, Machine, MachineConfig, MachineError, MachineKind, Network, Transport,
    UserNetwork,
};

use fixture::Fixture;

/// Far more than any of these needs, on a slow machine too.
const LIMIT: Duration = Duration::from_secs(60);

/// A machine for each behaviour.
trait Start {
    fn config(&self) -> MachineConfig;
    fn start(&self) -> Machine;
}

impl Start for Fixture {
    fn config(&self) -> MachineConfig {
        MachineConfig::new(Image::Kernel(self.image.clone()))
    }

    fn start(&self) -> Machine {
        Machine::start(&self.config()).expect("the machine starts")
    }
}

fn is_alive(process: u32) -> bool {
    PathBuf::from(format!("/proc/{process}")).exists()
}

#[test]
fn all_eight_bits_of_a_status_arrive_from_every_machine() {
    let fixture = Fixture::new("EXIT");
    let user = || Network::User(UserNetwork::default());
    for (kind, firmware, transport) in [
        (MachineKind::Q35, Firmware::Qboot, Transport::Pci),
        (MachineKind::Q35, Firmware::SeaBios, Transport::Pci),
        (MachineKind::Pc, Firmware::SeaBios, Transport::Pci),
        (MachineKind::Microvm, Firmware::Qboot, Transport::Pci),
        (MachineKind::Microvm, Firmware::Qboot, Transport::Mmio),
        (MachineKind::Microvm, Firmware::SeaBios, Transport::Mmio),
    ] {
        let config = MachineConfig { kind, firmware, transport, network: user(), ..fixture.config() };
        let machine = Machine::start(&config).unwrap();
        let process = machine.process_id();
        let outcome = machine.wait(LIMIT).unwrap();
        assert_eq!(outcome.status, 200, "{kind:?} {firmware:?} {transport:?}");
        assert!(outcome.crash.is_none());
        assert!(outcome.console.contains("hello from the machine\n"), "{}", outcome.console);
        assert!(!is_alive(process));
    }
}

#[test]
fn what_is_typed_reaches_the_guest() {
    let fixture = Fixture::new("ECHO");
    let machine = fixture.start();
    assert!(machine.wait_for_console("hello", LIMIT));
    machine.type_on_console(b"abc\n").unwrap();
    let outcome = machine.wait(LIMIT).unwrap();
    assert_eq!(outcome.status, 7);
    assert!(outcome.console.ends_with("abc\n"), "{}", outcome.console);
}

#[test]
fn a_stop_request_reaches_the_guest() {
    let fixture = Fixture::new("STOP");
    let machine = fixture.start();
    assert!(machine.wait_for_console("hello", LIMIT));
    machine.request_stop();
    assert_eq!(machine.wait(LIMIT).unwrap().status, 130);
}

#[test]
fn a_crash_arrives_with_its_whole_stack() {
    let outcome = Fixture::new("CRASH").start().wait(LIMIT).unwrap();
    assert_eq!(outcome.status, abi::control::STATUS_CRASHED);
    let crash = outcome.crash.unwrap();
    assert_eq!(crash.headline, "null pointer write at 0x8");
    assert_eq!(crash.record.stack.len(), 32 << 10);
    let report = crash.to_string();
    assert!(report.contains("page fault at 0x8, error code 0x6 (not mapped, write, ring 3)"), "{report}");
    assert!(report.contains("the guest says: in thread worker-1"), "{report}");
    assert!(report.contains("rax 0000000000001111"), "{report}");
}

#[test]
fn a_machine_that_says_its_status_and_lingers_is_ended() {
    let start = Instant::now();
    let outcome = Fixture::new("LINGER").start().wait(LIMIT).unwrap();
    assert_eq!(outcome.status, 200);
    assert!(start.elapsed() < LIMIT / 2);
}

#[test]
fn a_machine_that_never_ends_is_ended_by_the_time_limit() {
    let fixture = Fixture::new("HANG");
    let machine = fixture.start();
    let process = machine.process_id();
    assert!(machine.wait_for_console("hello", LIMIT));
    match machine.wait(Duration::from_millis(100)) {
        Err(MachineError::TimedOut { console, .. }) => assert!(console.contains("hello"), "{console}"),
        other => panic!("{other:?}"),
    }
    assert!(!is_alive(process));
}

#[test]
fn a_machine_that_prints_without_end_is_ended_by_the_time_limit() {
    let result = Fixture::new("NOISE").start().wait(Duration::from_millis(500));
    assert!(matches!(result, Err(MachineError::TimedOut { .. })), "{result:?}");
}

#[test]
fn a_reset_without_a_word_is_told_as_one() {
    let error = Fixture::new("RESET").start().wait(LIMIT).unwrap_err();
    assert!(error.to_string().contains("triple fault"), "{error}");
}

#[test]
fn a_machine_that_only_knows_the_exit_port_is_no_exit_status() {
    let error = Fixture::new("PORT").start().wait(LIMIT).unwrap_err();
    assert!(matches!(error, MachineError::Silent { .. }), "{error}");
}

#[test]
fn an_image_that_qemu_does_not_load_is_answered_with_what_qemu_says() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = MachineConfig::new(Image::Kernel(file.path().to_owned()));
    let error = Machine::start(&config).unwrap().wait(LIMIT).unwrap_err().to_string();
    assert!(error.contains("qemu said"), "{error}");
}

#[test]
fn a_handle_ends_a_machine_from_another_thread() {
    let fixture = Fixture::new("HANG");
    let machine = fixture.start();
    let handle = machine.handle();
    let killer = std::thread::spawn(move || handle.kill());
    assert!(matches!(machine.wait(LIMIT), Err(MachineError::Killed)));
    killer.join().unwrap();
}

#[test]
fn dropping_a_machine_ends_it_and_leaves_no_socket() {
    let fixture = Fixture::new("HANG");
    let socket = fixture.image.with_extension("qmp");
    let machine = Machine::start(&MachineConfig { qmp: Some(socket.clone()), ..fixture.config() }).unwrap();
    let process = machine.process_id();
    assert!(machine.wait_for_console("hello", LIMIT));
    assert!(socket.exists());
    drop(machine);
    assert!(!is_alive(process));
    assert!(!socket.exists());
}

#[test]
#[expect(clippy::mem_forget, reason = "stands for a runner that was killed and drops nothing")]
fn a_machine_does_not_outlive_the_thread_that_started_it() {
    let fixture = Fixture::new("HANG");
    let config = fixture.config();
    let process = std::thread::spawn(move || {
        let machine = Machine::start(&config).unwrap();
        let process = machine.process_id();
        std::mem::forget(machine);
        process
    })
    .join()
    .unwrap();
    let deadline = Instant::now() + LIMIT;
    while !is_zombie_or_gone(process) {
        assert!(Instant::now() < deadline, "still running");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Nobody reaps it in this test, so its entry stays.
fn is_zombie_or_gone(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.is_empty() || status.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"))
}

#[test]
fn a_command_line_of_any_bytes_is_taken() {
    let fixture = Fixture::new("EXIT");
    let command_line = CommandLine::new().environment("A", "b,c \"d\"").argument("x,y=z").argument("-append");
    let outcome =
        Machine::start(&MachineConfig { command_line, ..fixture.config() }).unwrap().wait(LIMIT).unwrap();
    assert_eq!(outcome.status, 200);
}
