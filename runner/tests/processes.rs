//! Guests that run as Linux processes and end in every way they can, as the runner sees them.
//!
//! The guest is a small C program (`data/process.c`), so these tests hold for the runner alone.

mod fixture;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use metaos_runner::{
    Accelerator, Backend, CommandLine, Forward, Image, Machine, MachineConfig, MachineError, MachineKind,
    Network, Outcome, UserNetwork,
};

use fixture::Fixture;

/// Far more than any of these needs, on a slow machine too.
const LIMIT: Duration = Duration::from_secs(60);

/// Compiles the process that behaves so; see the functions in `process.c`.
fn process(behaviour: &str) -> Fixture {
    let place = format!("-Wl,-Ttext-segment={:#x}", abi::layout::GUEST_IMAGE.0);
    let flags =
        ["-fPIE", "-ffreestanding", "-fno-stack-protector", "-O1", "-Wl,-z,max-page-size=4096", &place];
    Fixture::make(behaviour, "process.c", &flags)
}

fn config(fixture: &Fixture) -> MachineConfig {
    MachineConfig {
        accelerator: Accelerator::Hosted,
        command_line: CommandLine::new().argument("app"),
        ..MachineConfig::new(Image::Kernel(fixture.image.clone()))
    }
}

fn start(fixture: &Fixture) -> Machine {
    Machine::start(&config(fixture)).expect("the process starts")
}

fn run(config: &MachineConfig) -> Outcome {
    Machine::start(config).and_then(|machine| machine.wait(LIMIT)).expect("the process runs")
}

fn is_alive(process: u32) -> bool {
    PathBuf::from(format!("/proc/{process}")).exists()
}

#[test]
fn all_eight_bits_of_a_status_arrive() {
    let machine = start(&process("exit_200"));
    let id = machine.process_id();
    let outcome = machine.wait(LIMIT).unwrap();
    assert_eq!(outcome.status, 200);
    assert_eq!(outcome.console, "hello from the process\n");
    assert!(outcome.crash.is_none());
    assert!(!is_alive(id));
}

#[test]
fn what_is_typed_reaches_the_guest() {
    let machine = start(&process("echo"));
    machine.type_on_console(b"abc\n").unwrap();
    let outcome = machine.wait(LIMIT).unwrap();
    assert_eq!((outcome.status, outcome.console.ends_with("\nabc\n")), (7, true), "{}", outcome.console);
}

#[test]
fn a_stop_request_reaches_the_guest() {
    let machine = start(&process("stop"));
    machine.request_stop();
    assert_eq!(machine.wait(LIMIT).unwrap().status, 130);
}

#[test]
fn the_guest_is_given_its_words_and_no_others() {
    let fixture = process("words");
    let command_line = CommandLine::new()
        .option("net.ip", "10.0.2.15/24")
        .environment("GREETING", "good \"morning\"")
        .environment("METAOS", "forged")
        .argument("app")
        .argument("two words")
        .argument("--");
    let outcome = run(&MachineConfig { command_line, memory_mib: 32, ..config(&fixture) });
    let mut lines: Vec<&str> = outcome.console.lines().skip(1).collect();
    // The order of variables is nobody's business.
    lines[3..].sort_unstable();
    let options = "variable METAOS=metaos.control=fd3 metaos.memory=33554432 net.ip=10.0.2.15/24";
    let greeting = "variable GREETING=good \"morning\"";
    assert_eq!(lines, ["argument app", "argument two words", "argument --", greeting, options]);
}

#[test]
fn the_guest_has_no_open_file_but_those_of_the_contract() {
    let fixture = process("files");
    // As a careless parent leaves it: open, and not to be closed by exec.
    let stray = fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
    let open = |network| {
        let outcome = run(&MachineConfig { network, ..config(&fixture) });
        let numbers: Vec<u32> =
            outcome.console.lines().filter_map(|line| line.strip_prefix("open ")?.parse().ok()).collect();
        numbers
    };
    assert_eq!(open(Network::None), [0, 1, 2, 3]);
    let user = UserNetwork { backend: Backend::Forwarder, ..UserNetwork::default() };
    assert_eq!(open(Network::User(user)), [0, 1, 2, 3, 4]);
}

#[test]
fn an_image_that_may_not_be_executed_is_run_from_memory() {
    let fixture = process("exit_200");
    fs::set_permissions(&fixture.image, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run(&config(&fixture)).status, 200);
}

#[test]
fn published_ports_have_real_numbers() {
    let fixture = process("hang");
    let forwards = vec![Forward::tcp(0, 80), Forward::udp(0, 53)];
    let user = UserNetwork { forwards, backend: Backend::Forwarder, ..UserNetwork::default() };
    let machine =
        Machine::start(&MachineConfig { network: Network::User(user), ..config(&fixture) }).unwrap();
    assert!(machine.forwards().iter().all(|forward| forward.host_port != 0));
    assert_eq!(machine.forwards().len(), 2);
    let taken = machine.forwards()[0].host_port;
    assert!(Forward::tcp(taken, 80).with_free_port().is_err());
    drop(machine);
    assert!(Forward::tcp(taken, 80).with_free_port().is_ok());
}

#[test]
fn a_process_that_ends_without_a_word_is_told_with_what_it_said() {
    let error = start(&process("silent")).wait(LIMIT).unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("it went wrong"), "{error}");
    let error = start(&process("fault")).wait(LIMIT).unwrap_err().to_string();
    assert!(error.contains("signal: 11"), "{error}");
}

#[test]
fn an_image_without_a_start_for_linux_is_refused() {
    let fixture = Fixture::new("EXIT");
    let error = Machine::start(&config(&fixture)).unwrap_err().to_string();
    assert!(error.contains("no start for Linux"), "{error}");
}

#[test]
fn what_only_a_machine_has_is_refused_by_name() {
    let fixture = process("exit_200");
    let refusal = |change: fn(&mut MachineConfig)| {
        let mut config = config(&fixture);
        change(&mut config);
        Machine::start(&config).unwrap_err().to_string()
    };
    assert!(refusal(|config| config.kind = MachineKind::Microvm).contains("--machine"));
    assert!(refusal(|config| config.extra_arguments = vec!["-snapshot".into()]).contains("--qemu-arg"));
    assert!(refusal(|config| config.debugger_port = Some(1234)).contains("cargo metaos gdb"));
    assert!(refusal(|config| config.image = Image::Cdrom("app.iso".into())).contains("disc"));
}

#[test]
fn a_process_that_never_ends_is_ended_by_the_time_limit() {
    let machine = start(&process("hang"));
    let id = machine.process_id();
    let result = machine.wait(Duration::from_millis(100));
    assert!(matches!(result, Err(MachineError::TimedOut { .. })), "{result:?}");
    assert!(!is_alive(id));
}

#[test]
fn a_handle_ends_a_process_from_another_thread() {
    let machine = start(&process("hang"));
    let handle = machine.handle();
    let killer = std::thread::spawn(move || handle.kill());
    assert!(matches!(machine.wait(LIMIT), Err(MachineError::Killed)));
    killer.join().unwrap();
}

#[test]
#[expect(clippy::mem_forget, reason = "stands for a runner that was killed and drops nothing")]
fn a_process_does_not_outlive_the_thread_that_started_it() {
    let fixture = process("hang");
    let config = config(&fixture);
    let id = std::thread::spawn(move || {
        let machine = Machine::start(&config).unwrap();
        let id = machine.process_id();
        std::mem::forget(machine);
        id
    })
    .join()
    .unwrap();
    let deadline = Instant::now() + LIMIT;
    while !is_zombie_or_gone(id) {
        assert!(Instant::now() < deadline, "still running");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Nobody reaps it in this test, so its entry stays.
fn is_zombie_or_gone(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.is_empty() || status.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"))
}
