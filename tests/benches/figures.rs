//! Prints the figures that are to be reached: `cargo bench -p metaos-tests`.
//!
//! Nothing is asserted: times depend on the machine and on what else it does. Laws on size are tests.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use metaos_tests::client::Client;
use metaos_tests::namespace::{self, GUEST, INTERFACE};
use metaos_tests::process::is_running;
use metaos_tests::program::{self, Boot};
use metaos_tests::server::wait_until_serving;
use metaos_tests::sources::lines_of_code;
use runner::{Firmware, Forward, Machine, MachineConfig, MachineKind, Network, UserNetwork};

const RUNS: usize = 21;
/// A new client comes so often: how exactly a start is measured.
const INTERVAL: Duration = Duration::from_millis(2);
const LIMIT: Duration = Duration::from_secs(20);
/// A machine with too little memory is given up after this time.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_MEMORY_MIB: u64 = 16;
const PORT: u16 = 80;

/// The user network's own choice (`slirp`), so that a fixed address works like one by DHCP.
const USER_ADDRESS: (&str, &str) = ("10.0.2.15/24", "10.0.2.2");

fn main() {
    println!("start of QEMU to first served byte, TCG, {RUNS} runs");
    for (kind, name) in [(MachineKind::Q35, "q35"), (MachineKind::Microvm, "microvm")] {
        let config = http(kind);
        print_start(&format!("{name} + qboot, user network, DHCP"), || on_user_network(config.clone()));
        let fixed = with_address(config.clone());
        print_start(&format!("{name} + qboot, user network, fixed address"), || {
            on_user_network(fixed.clone())
        });
    }
    let seabios = MachineConfig { firmware: Firmware::SeaBios, ..http(MachineKind::Q35) };
    print_start("q35 + SeaBIOS, user network, DHCP", || on_user_network(seabios.clone()));
    namespace::run(print_starts_on_tap);
    print_sizes();
    print_least_memory();
}

fn print_starts_on_tap() {
    for (kind, name) in [(MachineKind::Q35, "q35"), (MachineKind::Microvm, "microvm")] {
        let mut config = http(kind);
        namespace::plug_in(&mut config);
        make_neighbour(&config);
        print_start(&format!("{name} + qboot, tap, fixed address"), || on_tap(&config));
    }
}

fn print_start(title: &str, measure: impl Fn() -> Option<Duration>) {
    let mut times: Vec<Duration> = (0..RUNS).filter_map(|_| measure()).collect();
    times.sort_unstable();
    let milliseconds = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0);
    println!(
        "  {title}: min {:.1}, median {:.1}, max {:.1} ms ({} of {RUNS} served)",
        milliseconds(times.first()),
        milliseconds(times.get(times.len() / 2)),
        milliseconds(times.last()),
        times.len(),
    );
}

fn print_sizes() {
    println!("size");
    for name in ["hello", "echo", "http"] {
        let path = program::image(directory(), name, Boot::Direct);
        let bytes = fs::metadata(&path).map_or(0, |data| data.len());
        println!(
            "  image {name}: {bytes} bytes = {:.1} KiB",
            f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1024.0
        );
    }
    println!(
        "  nucleus: {} lines of code",
        lines_of_code(&directory_of_sources().join("metaos/nucleus/src"))
    );
}

fn print_least_memory() {
    println!("least memory with which http serves");
    for (kind, name) in [(MachineKind::Q35, "q35"), (MachineKind::Microvm, "microvm")] {
        let serves = |memory_mib: &u64| {
            on_user_network_within(&MachineConfig { memory_mib: *memory_mib, ..http(kind) })
        };
        let least = (1..=MOST_MEMORY_MIB).rev().take_while(serves).last();
        println!("  {name} + qboot: {}", least.map_or("none".to_owned(), |least| format!("{least} MiB")));
    }
}

fn http(kind: MachineKind) -> MachineConfig {
    MachineConfig { kind, ..program::machine(directory(), "http", &[]) }
}

fn with_address(mut config: MachineConfig) -> MachineConfig {
    let line = std::mem::take(&mut config.command_line);
    config.command_line = line.option("net.ip", USER_ADDRESS.0).option("net.gw", USER_ADDRESS.1);
    config
}

fn on_user_network(mut config: MachineConfig) -> Option<Duration> {
    publish(&mut config);
    let start = Instant::now();
    let machine = Machine::start(&config).ok()?;
    let address = ([127, 0, 0, 1], machine.forwards()[0].host_port).into();
    first_served_byte(address, start)
}

fn on_tap(config: &MachineConfig) -> Option<Duration> {
    let start = Instant::now();
    let _machine = Machine::start(config).ok()?;
    first_served_byte((GUEST.ip, PORT).into(), start)
}

fn on_user_network_within(config: &MachineConfig) -> bool {
    let mut config = config.clone();
    publish(&mut config);
    let Ok(machine) = Machine::start(&config) else { return false };
    let address = ([127, 0, 0, 1], machine.forwards()[0].host_port).into();
    wait_until_serving(address, PATIENCE, || !is_running(machine.process_id())).is_some()
}

fn publish(config: &mut MachineConfig) {
    let forwards = vec![Forward::tcp(0, PORT)];
    config.network = Network::User(UserNetwork { forwards, ..UserNetwork::default() });
}

/// Sends one client after the other, for what came before the guest listens is lost, and takes the first that is
/// answered.
fn first_served_byte(address: SocketAddr, start: Instant) -> Option<Duration> {
    let (sender, answers) = channel();
    while start.elapsed() < LIMIT {
        let sender = sender.clone();
        thread::spawn(move || {
            let answer = Client::connect_within(address, LIMIT).and_then(|mut client| client.get("/"));
            if answer.is_ok() {
                // The first one is enough; the others find nobody who listens.
                let _ = sender.send(start.elapsed());
            }
        });
        if let Ok(time) = answers.recv_timeout(INTERVAL) {
            return Some(time);
        }
    }
    None
}

/// Makes the host know the guest's hardware address for good: else it would ask at each start, too early, and ask
/// again a second later.
fn make_neighbour(config: &MachineConfig) {
    let start = Instant::now();
    let machine = Machine::start(config).ok();
    let _ = first_served_byte((GUEST.ip, PORT).into(), start);
    // The host forgets the address together with the machine.
    let address = hardware_address();
    drop(machine);
    if let Some(address) = address {
        namespace::ip(&format!("neigh replace {} lladdr {address} dev {INTERFACE} nud permanent", GUEST.ip));
    }
}

fn hardware_address() -> Option<String> {
    let output = Command::new("ip").args(["neigh", "show", "dev", INTERFACE]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace().skip_while(|word| *word != "lladdr");
    words.nth(1).map(str::to_owned)
}

fn directory_of_sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace")
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
