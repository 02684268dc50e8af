//! HTTP under load: a guest behind a tap interface, and a static epoll server on the host's Linux behind a veth pair, each
//! with one core, the client with another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metaos_tests::client::Client;
use metaos_tests::namespace::{self, GUEST};
use metaos_tests::program;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use runner::Machine;
use runner::bench::build_linux_program;
use runner::workspace::Workspace;

use super::{PAIRS, directory, kib_of, median, milliseconds, spread};

const PORT: u16 = 80;
/// The Linux server's end of the veth pair, and the client's.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
const CONNECTIONS: u32 = 32;
const SECONDS: u32 = 3;
const STARTS: usize = 21;
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_micros(100);
/// Ticks of `/proc/PID/stat` a second (`sysconf(_SC_CLK_TCK)`, 100 on x86).
const TICKS_PER_S: f64 = 100.0;
const SERVER_CORE: usize = 1;
const CLIENT_CORE: usize = 0;

/// What a load came to.
struct Figures {
    per_second: f64,
    /// CPU time of the server's process a request, in microseconds.
    cpu_us: f64,
}

/// Measures starts and loads in the namespace that the calling thread is in.
pub(super) fn print() {
    print_first_byte();
    let server = LinuxServer::start();
    let mut config = program::hosted(directory(), "http", &[]);
    namespace::plug_in(&mut config);
    let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
    pin(machine.process_id(), SERVER_CORE);
    let guest: SocketAddr = (GUEST.ip, PORT).into();
    let linux: SocketAddr = (SERVER, PORT).into();
    for address in [guest, linux] {
        wait_for(address, Instant::now());
    }
    let mut ratios = Vec::new();
    let (mut of_guest, mut of_linux) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let ours = load(guest, machine.process_id());
        let theirs = load(linux, server.0.id());
        ratios.push(ours.per_second / theirs.per_second);
        of_guest.push(ours);
        of_linux.push(theirs);
    }
    println!(
        "HTTP, {CONNECTIONS} connections, {SECONDS} s, one core for the server, one for wrk, {PAIRS} pairs"
    );
    for (name, figures) in
        [("guest behind a tap", of_guest), ("epoll server on Linux behind a veth", of_linux)]
    {
        let per_second = median(figures.iter().map(|figures| figures.per_second).collect());
        let cpu = median(figures.iter().map(|figures| figures.cpu_us).collect());
        println!("  {name}: {per_second:.0} requests/s, {cpu:.2} us CPU of its process a request");
    }
    println!("  requests/s of the guest against Linux {}", spread(ratios));
    println!("  resident memory of the guest {} KiB", kib_of(machine.process_id(), "VmRSS"));
}

fn print_first_byte() {
    let mut config = program::hosted(directory(), "http", &[]);
    namespace::plug_in(&mut config);
    let times = (0..STARTS).map(|_| {
        let start = Instant::now();
        let _machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
        milliseconds(wait_for((GUEST.ip, PORT).into(), start))
    });
    let times: Vec<f64> = times.collect();
    println!("start to first served byte, tap, median of {STARTS}: {:.2} ms", median(times));
}

/// Asks until somebody answers, and returns how long it took since `start`.
fn wait_for(address: SocketAddr, start: Instant) -> Duration {
    while start.elapsed() < LIMIT {
        let answer = Client::connect_within(address, LIMIT).and_then(|mut client| client.get("/"));
        if answer.is_ok() {
            return start.elapsed();
        }
        thread::sleep(PAUSE);
    }
    panic!("nobody answers at {address}");
}

fn load(address: SocketAddr, process: u32) -> Figures {
    let before = cpu_ticks(process);
    let output = Command::new("taskset")
        .args(["-c", &CLIENT_CORE.to_string(), "wrk", "--threads", "1"])
        .args(["--connections", &CONNECTIONS.to_string(), "--duration", &format!("{SECONDS}s")])
        .arg(format!("http://{address}/"))
        .output()
        .expect("wrk and util-linux are installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let requests = text.lines().find_map(|line| line.split_once(" requests in "));
    let requests: f64 = requests.and_then(|(count, _)| count.trim().parse().ok()).unwrap_or(f64::NAN);
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let per_second = per_second.and_then(|rate| rate.trim().parse().ok()).unwrap_or(f64::NAN);
    Figures { per_second, cpu_us: (cpu_ticks(process) - before) / TICKS_PER_S * 1e6 / requests }
}

/// Returns the CPU time of a process, in ticks.
fn cpu_ticks(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    words.filter_map(|word| word.parse::<f64>().ok()).sum()
}

/// The server on Linux, in a namespace of its own behind a veth pair.
struct LinuxServer(Child);

impl LinuxServer {
    fn start() -> Self {
        let home = Workspace::home().unwrap_or_else(|error| panic!("{error}"));
        let program = build_linux_program(&home, directory()).unwrap_or_else(|error| panic!("{error}"));
        let server = Command::new("unshare")
            .args(["--net", "sh", "-c", "read go; exec \"$0\" serve"])
            .arg(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("util-linux is installed");
        let mut server = Self(server);
        let process = server.0.id();
        // The namespace is there when the shell is.
        thread::sleep(Duration::from_millis(200));
        namespace::ip(&format!("link add veth0 type veth peer name veth1 netns {process}"));
        namespace::ip(&format!("addr add {CLIENT}/24 dev veth0"));
        namespace::ip("link set veth0 up");
        let inside = |words: &str| {
            let status = Command::new("nsenter")
                .args(["--net", "--target", &process.to_string(), "ip"])
                .args(words.split(' '))
                .status();
            assert!(status.is_ok_and(|status| status.success()), "ip {words}");
        };
        inside(&format!("addr add {}/24 dev veth1", IpAddr::from(SERVER)));
        inside("link set veth1 up");
        pin(process, SERVER_CORE);
        drop(server.0.stdin.take());
        server
    }
}

impl Drop for LinuxServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Lets a process run on one core only.
fn pin(process: u32, core: usize) {
    let mut cores = CpuSet::new();
    let outcome =
        cores.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(process.cast_signed()), &cores));
    outcome.unwrap_or_else(|error| println!("  not pinned to core {core}: {error}"));
}
