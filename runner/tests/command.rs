//! `cargo metaos run` as a user meets it: statuses, messages, signals, what is left behind.

mod fixture;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fixture::Fixture;
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-metaos");

fn run(fixture: &Fixture, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["metaos", "run", "--accel", "tcg"]).args(words).arg(&fixture.image);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(fixture: &Fixture, words: &[&str]) -> (Output, String) {
    let output = run(fixture, words).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

/// Starts the command and waits for the guest's greeting.
fn started(fixture: &Fixture) -> Child {
    let mut child = run(fixture, &[]).spawn().expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("the guest prints");
    assert!(line.contains("hello"), "{line}");
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

fn children(parent: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

#[test]
fn the_status_and_the_output_are_the_guests() {
    let (output, errors) = output(&Fixture::new("EXIT"), &[]);
    assert_eq!(output.status.code(), Some(200), "{errors}");
    assert_eq!(output.stdout, b"hello from the machine\n");
    assert_eq!(errors, "");
}

#[test]
fn input_is_passed_on_once_the_machine_is_ready() {
    let fixture = Fixture::new("ECHO");
    let mut child = run(&fixture, &[]).stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(b"typed\n").expect("it listens");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stdout.ends_with(b"typed\n"));
}

#[test]
fn a_crash_is_reported_on_standard_error() {
    let (output, errors) = output(&Fixture::new("CRASH"), &[]);
    assert_eq!(output.status.code(), Some(134));
    assert!(errors.starts_with("metaos: the guest crashed: null pointer write at 0x8\n"), "{errors}");
}

#[test]
fn a_machine_that_says_nothing_is_a_failure_of_its_own() {
    let (output, errors) = output(&Fixture::new("RESET"), &[]);
    assert_eq!(output.status.code(), Some(125));
    assert!(errors.contains("had not said how it ended"), "{errors}");
}

#[test]
fn the_first_ctrl_c_is_a_request_that_the_guest_answers() {
    let fixture = Fixture::new("STOP");
    let mut child = started(&fixture);
    send(&child, Signal::INT);
    let mut errors = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut errors).expect("it ends");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("press Ctrl-C again"), "{errors}");
}

#[test]
fn the_second_ctrl_c_ends_a_guest_that_does_not_answer() {
    let fixture = Fixture::new("HANG");
    let mut child = started(&fixture);
    let machines = children(child.id());
    assert_eq!(machines.len(), 1);
    send(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().expect("it can be asked"), None);
    send(&child, Signal::INT);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(!std::path::Path::new(&format!("/proc/{}", machines[0])).exists());
}

#[test]
fn the_machine_dies_with_a_runner_that_is_killed() {
    let fixture = Fixture::new("HANG");
    let mut child = started(&fixture);
    let machines = children(child.id());
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let path = format!("/proc/{}/cmdline", machines[0]);
    let start = Instant::now();
    // A zombie that nobody reaps has no command line.
    while std::fs::read(&path).is_ok_and(|line| !line.is_empty()) {
        assert!(start.elapsed() < Duration::from_secs(20), "still running");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_machine_that_prints_on() {
    let fixture = Fixture::new("NOISE");
    let mut child = started(&fixture);
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(125));
}

#[test]
fn a_port_in_use_is_named() {
    let fixture = Fixture::new("EXIT");
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let (output, errors) = output(&fixture, &["-p", &format!("{port}:80")]);
    assert_eq!(output.status.code(), Some(125), "{errors}");
    assert!(errors.contains(&format!("tcp port {port} of 127.0.0.1")), "{errors}");
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let output = Command::new(PROGRAM).args(["run", "no-such-program"]).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125));
    assert!(errors.contains("no program `no-such-program`") && errors.contains("hello"), "{errors}");
}

#[test]
fn the_doctor_knows_what_is_there() {
    let output = Command::new(PROGRAM).arg("doctor").output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for subject in ["QEMU", "KVM", "C linker", "build --iso", "tap network"] {
        assert!(text.contains(subject), "{text}");
    }
}
