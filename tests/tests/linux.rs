//! Linux programs that know nothing of us, as the host's compilers make them, in a machine and as a Linux process.

use std::path::Path;
use std::process::Command;

use metaos_tests::linux::{self, Compiler};
use metaos_tests::terminal::Terminal;
use runner::{Accelerator, Outcome};

const PLACES: [Accelerator; 2] = [Accelerator::Tcg, Accelerator::Hosted];
const C_COMPILERS: [Compiler; 3] = [Compiler::Glibc, Compiler::GlibcAnywhere, Compiler::Musl];
/// What a shell shows for a program that ended by SIGABRT; the status of a crash.
const STATUS_CRASHED: u8 = 134;

#[test]
fn programs_in_c_run_with_arguments_environment_and_status() {
    for compiler in C_COMPILERS {
        let told = "Hello from C.\nargument 1: one\nargument 2: two words\nargument 3: 42\nGREETING=good morning\n22.50 7\n";
        for outcome in everywhere("hello", compiler, &["one", "two words", "42"]) {
            assert_eq!((outcome.console.as_str(), outcome.status), (told, 42), "{compiler:?}");
        }
    }
}

#[test]
fn programs_of_std_run_with_arguments_environment_and_status() {
    let told = "Hello from std.\nargument 1: one\nGREETING=good morning\n42 true\n";
    for outcome in everywhere("hello", Compiler::Rust, &["one"]) {
        assert_eq!((outcome.console.as_str(), outcome.status), (told, 7));
    }
}

#[test]
fn bad_pointers_are_refused_and_nothing_crashes() {
    for compiler in [Compiler::Glibc, Compiler::Musl] {
        for outcome in everywhere("pointers", compiler, &[]) {
            assert_eq!(outcome.status, 0, "{}", outcome.console);
            assert!(outcome.console.ends_with("\nall refused\n"), "{}", outcome.console);
        }
    }
}

#[test]
fn memory_is_mapped_protected_moved_and_unmapped_as_on_linux() {
    let Some(program) = linux::program(directory(), "memory", Compiler::Glibc) else { return };
    let on_linux = Command::new(&program).output().expect("the host runs its own programs");
    // Linux lets pages be writable and executable, which nothing here does.
    assert!(String::from_utf8_lossy(&on_linux.stdout).lines().count() <= 2);
    for outcome in everywhere("memory", Compiler::Glibc, &[]) {
        assert_eq!(outcome.console, "memory is as Linux has it\n");
    }
}

#[test]
fn an_unknown_call_is_enosys_and_the_ledger_tells() {
    let Some(program) = linux::program(directory(), "unknown", Compiler::Glibc) else { return };
    for accelerator in PLACES {
        let mut config = linux::machine(&program, accelerator, &[]);
        config.command_line =
            runner::CommandLine::new().environment("METAOS_LEDGER", "1").argument("unknown");
        let outcome = linux::run(&config);
        assert_eq!(outcome.console.matches("-1 ENOSYS\n").count(), 5, "{}", outcome.console);
        assert!(outcome.console.contains("not supported: 5\n"), "{}", outcome.console);
        assert!(outcome.console.contains("call 57: 1 times, first before 0x4"), "{}", outcome.console);
        assert_eq!(outcome.status, 0);
    }
}

#[test]
fn a_fault_is_reported_by_the_programs_own_function() {
    for compiler in C_COMPILERS {
        for outcome in everywhere("fault", compiler, &[]) {
            let crash = outcome.crash.expect("the program faults");
            assert_eq!(crash.function(), Some("write_to_nowhere"), "{compiler:?}: {crash}");
            assert_eq!((outcome.console.as_str(), outcome.status), ("before\n", STATUS_CRASHED));
        }
    }
}

#[test]
fn a_call_keeps_the_registers_that_linux_keeps() {
    for outcome in everywhere("state", Compiler::Glibc, &[]) {
        assert_eq!((outcome.console.matches(": 1\n").count(), outcome.status), (5, 0), "{}", outcome.console);
    }
}

#[test]
fn a_program_waits_for_what_is_typed() {
    let Some(program) = linux::program(directory(), "echo", Compiler::Musl) else { return };
    let path = program.to_str().expect("the directory for tests has a name of text");
    for place in ["tcg", "hosted"] {
        let mut terminal = Terminal::start(directory(), &["run", path, "--accel", place, "--net", "none"]);
        terminal.wait_for_output("? ");
        terminal.type_text("one\ntwo\n\x04");
        let ending = terminal.end();
        assert_eq!(ending.output, "? > one\n> two\nend\n", "{}", ending.errors);
        assert_eq!(ending.status.code(), Some(3), "{}", ending.errors);
    }
}

#[test]
fn the_command_runs_a_program_by_its_path_and_refuses_a_dynamic_one() {
    let Some(program) = linux::program(directory(), "hello", Compiler::Glibc) else { return };
    let path = program.to_str().expect("the directory for tests has a name of text");
    let words = ["run", path, "--net", "none", "-e", "GREETING=hi", "--", "one", "5"];
    let ending = Terminal::start(directory(), &words).end();
    assert!(ending.output.contains("argument 1: one\n"), "{}{}", ending.output, ending.errors);
    assert!(ending.output.contains("GREETING=hi\n"), "{}", ending.output);
    assert_eq!(ending.status.code(), Some(5), "{}", ending.errors);
    let ending = Terminal::start(directory(), &["run", "/bin/sh"]).end();
    assert_eq!(ending.status.code(), Some(125));
    assert!(ending.errors.contains("/bin/sh: is a dynamic program"), "{}", ending.errors);
}

fn everywhere(name: &str, compiler: Compiler, arguments: &[&str]) -> Vec<Outcome> {
    let Some(program) = linux::program(directory(), name, compiler) else { return Vec::new() };
    PLACES.map(|place| linux::run(&linux::machine(&program, place, arguments))).into()
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
