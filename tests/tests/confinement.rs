//! What Linux sees of a guest that runs as a process: which memory it has with which rights, which files, which filter.
//!
//! `attacks.rs` shows that what is forbidden is refused; here is what there is at all, as `proc(5)` tells it.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use abi::hosted::descriptor;
use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END, LINUX_PROGRAM, MAIN_STACK, MAIN_STACK_SIZE};
use metaos_tests::program::{self, Boot};
use nix::sys::signal::SigSet;
use runner::builder::{PROFILE, build_binary};
use runner::workspace::{Program, Workspace};
use runner::{Accelerator, Backend, Machine, MachineConfig, Network, UserNetwork};

const PATIENCE: Duration = Duration::from_secs(30);
/// What a shell shows for a command that cannot be executed.
const STATUS_NOT_STARTED: i32 = 126;
/// Pages of the kernel that every process can execute: functions that tell the time.
const OF_THE_KERNEL: [&str; 2] = ["[vdso]", "[vsyscall]"];

/// A line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mapping {
    addresses: Range<u64>,
    rights: String,
    name: String,
}

#[test]
fn no_page_is_writable_and_executable_and_only_the_image_is_executable() {
    let mappings = mappings(&cat());
    assert!(mappings.iter().any(|mapping| mapping.rights.contains('x')), "{mappings:#x?}");
    for mapping in mappings.iter().filter(|mapping| mapping.rights.contains('x')) {
        let is_of_kernel = OF_THE_KERNEL.contains(&mapping.name.as_str());
        let is_of_image = mapping.is_within(GUEST_IMAGE.0..GUEST_IMAGE_END.0);
        assert!(is_of_kernel || is_of_image, "{mapping:x?}");
        assert!(!mapping.rights.contains('w'), "{mapping:x?}");
    }
}

#[test]
fn the_nucleus_is_gone() {
    let mappings = mappings(&cat());
    let low: Vec<_> = mappings.iter().filter(|mapping| mapping.addresses.start < LINUX_PROGRAM.0).collect();
    assert!(low.is_empty(), "{low:x?}");
}

#[test]
fn below_the_stack_lies_a_guard() {
    let stack = MAIN_STACK.0..MAIN_STACK.0 + MAIN_STACK_SIZE as u64;
    for mapping in mappings(&cat()) {
        let reaches = mapping.addresses.start < stack.start && mapping.addresses.end >= stack.start;
        let is_open = mapping.rights.contains(['r', 'w', 'x']);
        assert!(!(reaches && is_open), "{mapping:x?}");
    }
}

#[test]
fn the_filter_is_on_and_no_privilege_can_be_gained() {
    let machine = cat();
    let status = fs::read_to_string(proc(&machine, "status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix(':')).map(str::trim)
    };
    // Mode 2 is that of filters.
    assert_eq!(field("Seccomp"), Some("2"), "{status}");
    assert_eq!(field("NoNewPrivs"), Some("1"), "{status}");
    assert_eq!(field("Threads"), Some("1"), "{status}");
}

/// A signal that is held back when a fault raises it would end the process without a report.
#[test]
fn no_signal_is_held_back_whatever_the_starter_did() {
    let mut command = Command::new(program::image(directory(), "cat", Boot::Direct));
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    // SAFETY: the closure makes one system call and touches no memory of the parent.
    unsafe { command.pre_exec(|| Ok(SigSet::all().thread_block()?)) };
    let mut process = command.spawn().unwrap();
    let mut ready = [0; 4];
    process.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    drop(process.stdin.take());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(status.contains("SigBlk:\t0000000000000000"), "{status}");
}

#[test]
fn a_guest_without_network_has_console_control_channel_and_wake_up_open() {
    let expected =
        [descriptor::INPUT, descriptor::OUTPUT, descriptor::ERROR, descriptor::CONTROL, descriptor::WAKE];
    assert_eq!(descriptors(&cat()), expected);
}

#[test]
fn a_guest_with_a_network_has_that_open_in_addition() {
    let mut config = program::machine(directory(), "http", &[]);
    config.network = Network::User(UserNetwork { backend: Backend::Forwarder, ..UserNetwork::default() });
    let machine = start(config, "http: serving");
    assert_eq!(descriptors(&machine), (0..descriptor::END).collect::<Vec<_>>());
}

#[test]
fn image_and_unstripped_guest_run_by_themselves() {
    for path in hello() {
        let output = run(&path);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("Hello"), "{}: {output:?}", path.display());
    }
}

#[test]
fn a_guest_that_the_linker_has_not_confined_does_not_start() {
    let home = Workspace::home().unwrap();
    let program = Program { package: "hello".to_owned(), binary: "hello".to_owned() };
    let output = run(&build_binary(&home, &program, PROFILE).unwrap());
    assert_eq!(output.status.code(), Some(STATUS_NOT_STARTED), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no filter of system calls"), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// Starts a guest that waits for input.
fn cat() -> Machine {
    start(program::machine(directory(), "cat", &[]), "cat: ready")
}

/// Starts a guest as a process and waits until it prints `text`.
fn start(mut config: MachineConfig, text: &str) -> Machine {
    config.accelerator = Accelerator::Hosted;
    let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
    assert!(machine.wait_for_console(text, PATIENCE), "{}", machine.console());
    machine
}

/// Returns what Linux can execute: the images for both ways to boot, and the unstripped guest.
fn hello() -> [PathBuf; 3] {
    let direct = program::image(directory(), "hello", Boot::Direct);
    let unstripped = direct.with_added_extension("guest.debug");
    [program::image(directory(), "hello", Boot::Grub), unstripped, direct]
}

fn run(path: &Path) -> Output {
    let mode = fs::metadata(path).expect("it has just been built").permissions().mode();
    assert_ne!(mode & 0o111, 0, "{}", path.display());
    let output = Command::new(path).env_clear().stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mappings(machine: &Machine) -> Vec<Mapping> {
    let text = fs::read_to_string(proc(machine, "maps")).expect("the process runs");
    text.lines().map(|line| Mapping::parse(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

fn descriptors(machine: &Machine) -> Vec<i32> {
    let entries = fs::read_dir(proc(machine, "fd")).expect("the process runs").flatten();
    let numbers = entries.map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    let mut numbers: Vec<i32> = numbers.collect::<Option<_>>().expect("each has a number for its name");
    numbers.sort_unstable();
    numbers
}

fn proc(machine: &Machine, file: &str) -> PathBuf {
    format!("/proc/{}/{file}", machine.process_id()).into()
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

impl Mapping {
    /// Reads `START-END RIGHTS OFFSET DEVICE INODE NAME`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let addresses = number(start)?..number(end)?;
        let rights = words.next()?.to_owned();
        Some(Self { addresses, rights, name: words.nth(3).unwrap_or_default().to_owned() })
    }

    fn is_within(&self, range: Range<u64>) -> bool {
        range.start <= self.addresses.start && self.addresses.end <= range.end
    }
}
