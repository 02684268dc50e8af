//! Guests that run as Linux processes, from the same images as machines.
//!
//! What they may not do is tested with the attacks, and what a user at a terminal meets with the machines; here is what
//! goes over every network there is, and that nothing is left behind.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metaos_tests::echo::Echo;
use metaos_tests::guests;
use metaos_tests::namespace;
use metaos_tests::pattern::{checksum, first_fault, pattern};
use metaos_tests::program::{self, Boot, Place};
use metaos_tests::server::{Server, stop_well};
use metaos_tests::terminal::Terminal;
use runner::{Accelerator, Backend, Machine, MachineConfig, Network, Outcome, UserNetwork, hosted};

const MIB: usize = 1 << 20;
/// Far more than a guest needs, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(30);
#[test]
fn a_program_runs_without_a_network() {
    let config = program::hosted(directory(), "hello", &["one", "two words"]);
    let Outcome { status, crash, console } = run(&config);
    assert_eq!((status, crash.is_none()), (0, true), "{console}");
    assert_eq!(console, "Hello from ring 3.\nargument 1: one\nargument 2: two words\n");
}

#[test]
fn an_image_that_is_executed_directly_runs() {
    let image = program::image(directory(), "hello", Boot::Direct);
    let output = Command::new(image).args(["a", "--exit", "200"]).env_clear().env("GREETING", "Hi").output();
    let output = output.expect("an image can be executed");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hi\nargument 1: a\n");
    assert_eq!(output.status.code(), Some(200));
}

#[test]
fn the_command_tells_where_a_guest_runs_and_why() {
    let image = program::image(directory(), "hello", Boot::Direct);
    let image = image.to_str().expect("the directory for tests has a name of text");
    let ending = Terminal::start(directory(), &["run", image, "--net", "none"]).end();
    let told = ending.errors.lines().filter(|line| line.starts_with("metaos: runs "));
    assert_eq!(told.count(), 1, "{}", ending.errors);
    let ending = Terminal::start(directory(), &["run", image, "--machine", "q35", "--net", "none"]).end();
    assert!(ending.errors.contains("runs in QEMU on "), "{}", ending.errors);
    assert!(ending.errors.contains("--machine takes a machine"), "{}", ending.errors);
}

#[test]
fn a_seeded_run_is_a_process_without_a_network() {
    let image = program::image(directory(), "hello", Boot::Direct);
    let image = image.to_str().expect("the directory for tests has a name of text");
    let ending = Terminal::start(directory(), &["run", image, "--seed", "7", "-v"]).end();
    assert_eq!((ending.status.code(), ending.output.as_str()), (Some(0), "Hello from ring 3.\n"));
    assert!(ending.errors.contains("(no network): --seed takes a process"), "{}", ending.errors);
    assert!(ending.errors.contains("metaos.seed=7"), "{}", ending.errors);
    let ending = Terminal::start(directory(), &["run", image, "--seed", "7", "--net", "user"]).end();
    assert!(ending.errors.contains("leave --net out, or --seed"), "{}", ending.errors);
}

#[test]
fn what_only_a_machine_has_is_refused_by_name() {
    for option in [["--machine", "q35"], ["--firmware", "seabios"], ["--transport", "pci"]] {
        let ending = Terminal::run(directory(), Place::Process, "hello", &option).end();
        assert_eq!(ending.status.code(), Some(125));
        let message = format!("metaos: {} takes a machine", option[0]);
        assert!(ending.errors.starts_with(&message), "{}", ending.errors);
    }
}

#[test]
fn the_forwarder_serves_curl() {
    serves_curl(&Server::publish(http(Backend::Forwarder)));
}

#[test]
fn passt_serves_curl() {
    if !has_passt() {
        return;
    }
    let server = Server::publish(http(Backend::Passt));
    serves_curl(&server);
    server.stop_well();
}

/// The gateway is the host, and no port is published.
#[test]
fn through_passt_a_guest_reaches_the_host() {
    if !has_passt() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("the host has a free port");
    let target = format!("10.0.2.2:{}", listener.local_addr().expect("it is bound").port());
    let words = ["client", "tcp-rr", &target, "--count", "1"];
    let user = UserNetwork { backend: Backend::Passt, ..UserNetwork::default() };
    let config =
        MachineConfig { network: Network::User(user), ..program::hosted(directory(), "netbench", &words) };
    let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
    let (mut stream, _) = listener.accept().expect("the guest connects");
    let mut byte = [0; 1];
    stream.read_exact(&mut byte).expect("the guest sends");
    stream.write_all(&byte).expect("the guest takes");
    let outcome = machine.wait(LIMIT).unwrap_or_else(|error| panic!("{error}"));
    assert!(outcome.console.contains("operations=1 lost=0"), "{}", outcome.console);
}

#[test]
fn a_tap_interface_serves_curl() {
    namespace::run(|| {
        let server = Server::plug_in(program::hosted(directory(), "http", &[]));
        serves_curl(&server);
        carries_mebibytes(&server, 64);
        server.stop_well();
    });
}

#[test]
fn the_forwarder_carries_mebibytes_both_ways() {
    let server = Server::publish(http(Backend::Forwarder));
    carries_mebibytes(&server, 32);
    server.stop_well();
}

#[test]
fn the_forwarder_serves_at_another_address() {
    let mut config = http(Backend::Forwarder);
    let line = std::mem::take(&mut config.command_line);
    config.command_line = line.option("net.ip", "10.7.3.9/24").option("net.gw", "10.7.3.1");
    if let Network::User(user) = &mut config.network {
        user.address = "10.7.3.9/24".parse().ok();
        user.gateway = "10.7.3.1".parse().ok();
    }
    serves_curl(&Server::publish(config));
}

#[test]
fn the_forwarder_carries_connections_and_datagrams_of_echo() {
    let user = UserNetwork { backend: Backend::Forwarder, ..UserNetwork::default() };
    let config = MachineConfig { network: Network::User(user), ..program::hosted(directory(), "echo", &[]) };
    let echo = Echo::publish(config);
    let mut streams: Vec<TcpStream> = (0..50).map(|_| echo.connect()).collect();
    for stream in &mut streams {
        let mut answer = [0; 5];
        stream.write_all(b"hello").expect("the guest takes it");
        stream.read_exact(&mut answer).expect("the guest answers");
        assert_eq!(&answer, b"hello");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("the host has a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a socket has a time limit");
    for length in [1, 1472, 9000] {
        let datagram = pattern(length);
        socket.send_to(&datagram, echo.udp_address()).expect("the host takes it");
        let mut answer = vec![0; 65_536];
        let count = socket.recv(&mut answer).expect("the guest answers");
        assert!(answer[..count] == datagram, "{count} of {length} bytes");
    }
    echo.stop_well();
}

#[test]
fn behind_the_forwarder_a_guest_is_told_at_once_that_it_reaches_nobody() {
    let user = UserNetwork { backend: Backend::Forwarder, ..UserNetwork::default() };
    let config = program::hosted(directory(), "netbench", &["client", "tcp-rr", "192.0.2.1"]);
    let Outcome { status, console, .. } = run(&MachineConfig { network: Network::User(user), ..config });
    assert!(status == 1 && console.contains("NetworkUnreachable"), "{console}");
}

/// More frames at once than the guest has buffers, and nothing after them that would wake it.
#[test]
fn a_burst_on_a_stream_is_answered_to_its_last_frame() {
    const FRAMES: usize = 2000;
    const REQUEST: [u8; 46] =
        *b"\0\0\0\x2a\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06\0\x01\x08\0\x06\x04\0\x01\
        \x02\0\0\0\0\x01\x0a\x09\0\x01\0\0\0\0\0\0\x0a\x09\0\x02";
    let place = tempfile::tempdir().expect("the host has a directory for temporary files");
    let path = place.path().join("stream");
    let listener = UnixListener::bind(&path).expect("the path is free");
    let mut config = program::hosted(directory(), "http", &[]);
    config.network = Network::Stream(path);
    config.command_line = config.command_line.option("net.ip", "10.9.0.2/24").option("net.ip6", "off");
    // So few buffers that one batch empties the device.
    config.memory_mib = 8;
    config.command_line = config.command_line.word("metaos.mtu=9000");
    let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
    let (mut stream, _) = listener.accept().expect("the runner has connected");
    assert!(machine.wait_for_console("serving", LIMIT), "{}", machine.console());
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket has a time limit");
    stream.write_all(&REQUEST.repeat(FRAMES)).expect("the guest takes it");
    let mut answers = 0;
    let mut length = [0; 4];
    while answers < FRAMES && stream.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut frame).expect("a frame is whole");
        answers += usize::from(frame[12..14] == [8, 6] && frame[21] == 2);
    }
    assert_eq!(answers, FRAMES);
    stop_well(machine);
}

#[test]
fn two_guests_talk_to_each_other() {
    let directory_of_link = tempfile::tempdir().expect("the host has a directory for temporary files");
    let link = directory_of_link.path().join("link");
    let guest = |address: &str, arguments: &[&str]| {
        let mut config = program::hosted(directory(), "netbench", arguments);
        config.network = Network::Peer(link.clone());
        config.command_line = std::mem::take(&mut config.command_line).option("net.ip", address);
        Machine::start(&config).unwrap_or_else(|error| panic!("{error}"))
    };
    let server = guest("10.1.0.1/24", &[]);
    assert!(server.wait_for_console("serving", LIMIT), "{}", server.console());
    // One after another: the second may go and come again.
    for (workload, limit) in
        [("tcp-rr", "100"), ("udp-rr", "100"), ("tcp-send", "50000000"), ("connect", "20")]
    {
        let words = ["client", workload, "10.1.0.1", "--count", limit];
        let outcome = guest("10.1.0.2/24", &words).wait(LIMIT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.status, 0, "{}", outcome.console);
        assert!(outcome.console.contains("lost=0"), "{}", outcome.console);
    }
    stop_well(server);
    assert!(!link.exists());
}

#[test]
fn a_crash_is_reported_with_function_file_and_line() {
    let change = |config: &mut MachineConfig| config.accelerator = Accelerator::Hosted;
    let outcome = guests::run_with(directory(), "write-null", change, |_| ()).expect("the guest runs");
    assert_eq!(outcome.status, 134);
    let report = outcome.crash.expect("it crashed").to_string();
    assert!(report.contains("null pointer write"), "{report}");
    let frame = report.lines().find(|line| line.contains("main") && line.contains("write-null"));
    let has_line = frame.and_then(|line| line.rsplit_once(':')).is_some_and(|(file, line)| {
        let path = Path::new(file);
        path.extension().is_some_and(|end| end == "rs") && line.parse::<u32>().is_ok()
    });
    assert!(has_line, "{report}");
    let outcome = guests::run_with(directory(), "panic", change, |_| ()).expect("the guest runs");
    let report = outcome.crash.expect("it panicked").to_string();
    assert!(outcome.status == 134 && report.contains("panic"), "{report}");
}

#[test]
fn the_debugger_and_the_profiler_know_the_program() {
    let image = program::image(directory(), "hello", Boot::Direct);
    let image = image.to_str().expect("the directory for tests has a name of text");
    if runner::qemu::find_program("gdb").is_some() {
        let script =
            ["-batch", "-ex", "info functions main", "-ex", "run"].map(|word| format!("--tool-arg={word}"));
        let script: Vec<&str> = script.iter().map(String::as_str).collect();
        let words =
            [&["gdb", image, "--net", "none", "-e", "GREETING=good morning"], &script[..], &["--", "x"]];
        let ending = Terminal::start(directory(), &words.concat()).end();
        assert!(ending.output.contains("metaos_main"), "{}", ending.output);
        assert!(ending.output.contains("good morning\nargument 1: x\n"), "{}", ending.output);
        assert!(ending.output.contains("exited normally"), "{}", ending.output);
    } else {
        println!("skipped: gdb is not installed");
    }
    if runner::qemu::find_program("perf").is_some() {
        let words = ["perf", image, "--net", "none", "--tool-arg=stat", "--", "--exit", "7"];
        let ending = Terminal::start(directory(), &words).end();
        assert_eq!(ending.status.code(), Some(7), "{}", ending.errors);
        assert!(ending.errors.contains("task-clock"), "{}", ending.errors);
    } else {
        println!("skipped: perf is not installed");
    }
}

/// A guest lives for a millisecond or two here.
#[test]
fn a_thousand_starts_and_stops_leave_nothing_behind() {
    start_and_stop(1000);
}

/// Starts and stops guests with every network that this process carries itself, and looks at what there is then.
fn start_and_stop(times: usize) {
    let links = tempfile::tempdir().expect("the host has a directory for temporary files");
    let configs = [
        program::hosted(directory(), "hello", &[]),
        http(Backend::Forwarder),
        MachineConfig {
            network: Network::Peer(links.path().join("link")),
            ..program::hosted(directory(), "cat", &[])
        },
    ];
    // What is opened once stays.
    configs.iter().for_each(start_and_stop_one);
    let before = left();
    for turn in 0..times {
        start_and_stop_one(&configs[turn % configs.len()]);
    }
    assert_eq!(left(), before);
    assert_eq!(fs::read_dir(links.path()).expect("it is there").count(), 0);
}

fn start_and_stop_one(config: &MachineConfig) {
    let machine = Machine::start(config).unwrap_or_else(|error| panic!("{error}"));
    let process = machine.process_id();
    machine.request_stop();
    let outcome = machine.wait(LIMIT).unwrap_or_else(|error| panic!("{error}"));
    assert!(outcome.crash.is_none(), "{}", outcome.console);
    assert!(!Path::new(&format!("/proc/{process}")).exists());
}

/// Counts this process's open files, threads and mappings of memory files, and its children.
fn left() -> [usize; 4] {
    let count = |path: &str| fs::read_dir(path).expect("this is Linux").count();
    let maps = fs::read_to_string("/proc/self/maps").expect("this is Linux");
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    [
        count("/proc/self/fd"),
        count("/proc/self/task"),
        maps.lines().filter(|line| line.contains("/memfd:")).count(),
        children.split_whitespace().count(),
    ]
}

fn run(config: &MachineConfig) -> Outcome {
    let outcome = Machine::start(config).and_then(|machine| machine.wait(LIMIT));
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Returns `http` as a process on the user network.
fn http(backend: Backend) -> MachineConfig {
    let network = Network::User(UserNetwork { backend, ..UserNetwork::default() });
    MachineConfig { network, ..program::hosted(directory(), "http", &[]) }
}

/// Tells whether passt can be tried here, and prints why it cannot.
fn has_passt() -> bool {
    match hosted::find_passt() {
        Ok(_) => true,
        Err(reason) => {
            println!("skipped: {reason}");
            false
        }
    }
}

fn serves_curl(server: &Server) {
    let curl = |words: &[&str]| {
        let output =
            Command::new("curl").args(["--silent", "--show-error", "--max-time", "30"]).args(words).output();
        let output = output.expect("curl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(curl(&[&server.url("/")]).contains("Hello"));
    assert!(curl(&["--head", &server.url("/bytes/1000")]).contains("Content-Length: 1000"));
    let missing = curl(&["--output", "/dev/null", "--write-out", "%{http_code}", &server.url("/missing")]);
    assert_eq!(missing, "404");
}

fn carries_mebibytes(server: &Server, mebibytes: usize) {
    let body = pattern(mebibytes * MIB + 1);
    let mut client = server.client();
    let response = client.get(&format!("/bytes/{}", body.len())).expect("the body comes");
    assert_eq!((response.body.len(), first_fault(&response.body)), (body.len(), None));
    let response = client.put("/sink", &body).expect("the body is taken");
    assert_eq!(response.text(), format!("{} {:016x}\n", body.len(), checksum(&body)));
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
