//! `cargo metaos run` as a user at a terminal meets it: status, words, input, Ctrl-C, and nothing left behind; in a
//! machine and as a Linux process alike.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use metaos_tests::process::is_running;
use metaos_tests::program::{PLACES, Place};
use metaos_tests::terminal::{Ending, Terminal};
use nix::sys::signal::Signal;

/// What the shell shows for an interrupted program.
const STATUS_INTERRUPTED: i32 = 130;
/// Long enough for a machine that would end to have ended.
const A_WHILE: Duration = Duration::from_millis(500);

#[test]
fn all_eight_bits_of_the_status_arrive() {
    for place in PLACES {
        for status in [0, 1, 2, 127, 128, 137, 200, 255] {
            let ending = hello(place, &["--", "--exit", &status.to_string()]);
            assert_eq!(ending.status.code(), Some(status), "{}", ending.errors);
        }
    }
}

#[test]
fn words_arrive_as_they_were_typed() {
    for place in PLACES {
        let words = [
            "plain",
            "two words",
            "\"double\"",
            "it's",
            "back\\slash",
            "trailing\\",
            "näher 漢字 🦀",
            "",
            "--",
            "a=b,c",
            "$HOME `x`",
            "--accel",
            "\ttab",
            "env.X=1",
        ];
        let ending = hello(place, &[&["--"], words.as_slice()].concat());
        for (index, word) in words.iter().enumerate() {
            let line = format!("argument {}: {word}\n", index + 1);
            assert!(ending.output.contains(&line), "{line:?} is not in {:?}", ending.output);
        }
        assert_eq!(ending.output.matches("argument ").count(), words.len(), "{}", ending.output);
        assert_eq!(ending.status.code(), Some(0));
    }
}

#[test]
fn variables_arrive_as_they_were_typed() {
    for place in PLACES {
        for greeting in ["Good morning", "\"quoted\" = 'twice'", "a=b", "söt \\ 漢字", ""] {
            let ending = hello(place, &["--env", &format!("GREETING={greeting}")]);
            assert_eq!(ending.output, format!("{greeting}\n"));
            assert_eq!(ending.status.code(), Some(0));
        }
    }
}

#[test]
fn a_program_is_found_by_its_name_and_built() {
    let ending = Terminal::start(directory(), &["run", "hello", "--accel", "tcg"]).end();
    assert_eq!(ending.status.code(), Some(0), "{}", ending.errors);
    assert!(ending.output.contains("Hello"), "{}", ending.output);
}

#[test]
fn an_unknown_program_is_named_and_nothing_starts() {
    let ending = Terminal::start(directory(), &["run", "hullo"]).end();
    assert_eq!(ending.status.code(), Some(125));
    assert!(ending.errors.contains("no program `hullo`"), "{}", ending.errors);
}

#[test]
fn the_first_interrupt_lets_a_server_end_by_itself() {
    for place in PLACES {
        let mut terminal = http(place);
        let _machine = terminal.machine();
        terminal.signal(Signal::SIGINT);
        let ending = terminal.end();
        assert_eq!(ending.status.code(), Some(0), "{}", ending.errors);
        assert!(ending.errors.contains("asked the guest to stop"), "{}", ending.errors);
    }
}

#[test]
fn a_request_to_terminate_is_one_to_stop() {
    for place in PLACES {
        let mut terminal = http(place);
        let _machine = terminal.machine();
        terminal.signal(Signal::SIGTERM);
        assert_eq!(terminal.end().status.code(), Some(0));
    }
}

/// The machine stands still, so the guest cannot answer the first one.
#[test]
fn the_second_interrupt_ends_what_did_not_answer_the_first() {
    for place in PLACES {
        let mut terminal = http(place);
        terminal.signal_machine(Signal::SIGSTOP);
        terminal.signal(Signal::SIGINT);
        terminal.wait_for_error("asked the guest to stop");
        assert!(terminal.runs_for(A_WHILE), "one interrupt ended it");
        terminal.signal(Signal::SIGINT);
        assert_eq!(terminal.end().status.code(), Some(STATUS_INTERRUPTED));
    }
}

#[test]
fn a_command_that_is_killed_takes_its_machine_along() {
    for place in PLACES {
        let mut terminal = http(place);
        let machine = terminal.machine();
        assert!(is_running(machine));
        terminal.signal(Signal::SIGKILL);
        assert_eq!(terminal.end().status.signal(), Some(Signal::SIGKILL as i32));
    }
}

#[test]
fn a_machine_that_is_killed_ends_the_command_with_a_message() {
    for place in PLACES {
        let mut terminal = http(place);
        terminal.signal_machine(Signal::SIGKILL);
        let ending = terminal.end();
        assert_eq!(ending.status.code(), Some(125), "{}", ending.errors);
        assert!(ending.errors.contains("the guest had not said how it ended"), "{}", ending.errors);
    }
}

#[test]
fn what_is_typed_reaches_the_program_and_so_does_its_end() {
    for place in PLACES {
        let mut terminal = Terminal::run(directory(), place, "cat", &[]);
        terminal.wait_for_output("cat: ready");
        terminal.type_text("a line\n");
        terminal.wait_for_output("a line\n");
        terminal.type_text("the last");
        terminal.end_input();
        let ending = terminal.end();
        assert_eq!(ending.status.code(), Some(0), "{}", ending.errors);
        assert!(ending.output.ends_with("a line\nthe last\n"), "{}", ending.output);
    }
}

#[test]
fn a_long_input_arrives_whole() {
    for place in PLACES {
        let lines: String = (0..20_000).map(|number| format!("{number}\n")).collect();
        let mut terminal = Terminal::run(directory(), place, "cat", &[]);
        terminal.type_text(&lines);
        terminal.end_input();
        let ending = terminal.end();
        assert_eq!(ending.status.code(), Some(0), "{}", ending.errors);
        let repeated = ending.output.strip_prefix("cat: ready\n").expect("the program says that it is ready");
        assert!(repeated == lines, "{} of {} bytes came back", repeated.len(), lines.len());
    }
}

#[test]
fn a_program_that_does_not_answer_a_stop_request_is_ended() {
    for place in PLACES {
        let terminal = Terminal::run(directory(), place, "cat", &[]);
        terminal.wait_for_output("cat: ready");
        terminal.signal(Signal::SIGINT);
        assert_eq!(terminal.end().status.code(), Some(130));
    }
}

#[test]
fn a_port_in_use_is_named() {
    for place in PLACES {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("the host has a free port");
        let port = taken.local_addr().expect("it is bound").port();
        let ending = Terminal::run(directory(), place, "http", &["-p", &format!("{port}:80")]).end();
        assert_eq!(ending.status.code(), Some(125));
        assert!(ending.errors.contains(&format!("port {port}")), "{}", ending.errors);
    }
}

fn hello(place: Place, words: &[&str]) -> Ending {
    Terminal::run(directory(), place, "hello", words).end()
}

/// Starts `http` and waits until it says that it serves.
fn http(place: Place) -> Terminal {
    let terminal = Terminal::run(directory(), place, "http", &[]);
    terminal.wait_for_output("serving");
    terminal
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
