//! `http` boots and serves on every machine, firmware and transport that is offered.
//!
//! One test a combination, named by it, and each is asked by curl: what a user would see.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use metaos_tests::program;
use metaos_tests::server::Server;
use runner::{Firmware, Image, MachineConfig, MachineKind, Transport};

/// A start takes a tenth of a second. Where the network's interrupts do not arrive, DHCP asks again after ten seconds:
/// that would serve in the end, too.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn q35_with_qboot_serves() {
    serves(&on(MachineKind::Q35, Firmware::Qboot, Transport::Pci));
}

#[test]
fn q35_with_seabios_serves() {
    serves(&on(MachineKind::Q35, Firmware::SeaBios, Transport::Pci));
}

#[test]
fn pc_with_qboot_serves() {
    serves(&on(MachineKind::Pc, Firmware::Qboot, Transport::Pci));
}

#[test]
fn pc_with_seabios_serves() {
    serves(&on(MachineKind::Pc, Firmware::SeaBios, Transport::Pci));
}

#[test]
fn microvm_with_qboot_and_pci_serves() {
    serves(&on(MachineKind::Microvm, Firmware::Qboot, Transport::Pci));
}

#[test]
fn microvm_with_seabios_and_pci_serves() {
    serves(&on(MachineKind::Microvm, Firmware::SeaBios, Transport::Pci));
}

#[test]
fn microvm_with_qboot_and_mmio_serves() {
    serves(&on(MachineKind::Microvm, Firmware::Qboot, Transport::Mmio));
}

#[test]
fn microvm_with_seabios_and_mmio_serves() {
    serves(&on(MachineKind::Microvm, Firmware::SeaBios, Transport::Mmio));
}

/// With ACPI the transports stand in no command line: the guest finds them where QEMU always puts them.
#[test]
fn microvm_with_acpi_and_mmio_serves() {
    for firmware in [Firmware::Qboot, Firmware::SeaBios] {
        serves(&with_acpi(firmware));
    }
}

#[test]
fn a_disc_serves_on_bios() {
    serves(&program::disc(directory(), "http"));
}

#[test]
fn a_disc_serves_on_uefi() {
    let mut config = program::disc(directory(), "http");
    config.firmware = Firmware::Ovmf;
    config.memory_mib = 256;
    serves(&config);
}

#[test]
fn eight_mebibytes_of_memory_serve() {
    let mut config = on(MachineKind::Q35, Firmware::Qboot, Transport::Pci);
    config.memory_mib = 8;
    serves(&config);
}

fn on(kind: MachineKind, firmware: Firmware, transport: Transport) -> MachineConfig {
    MachineConfig { kind, firmware, transport, ..program::machine(directory(), "http", &[]) }
}

/// The microvm as QEMU makes it unless told otherwise, but for the second I/O APIC: QEMU raises pin 2 for that one's
/// pin 0 (`ioapic_set_irq`), and the first transport, where the network card is, would go without interrupts. Later
/// arguments win over the runner's own.
fn with_acpi(firmware: Firmware) -> MachineConfig {
    let mut config = on(MachineKind::Microvm, firmware, Transport::Mmio);
    config.extra_arguments = words(&["-M", "acpi=on,ioapic2=off", "-append", "metaos.control=com2 -- http"]);
    config
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

fn serves(config: &MachineConfig) {
    let start = Instant::now();
    let server = Server::publish(config.clone());
    let is_direct = matches!(config.image, Image::Kernel(_));
    assert!(!is_direct || start.elapsed() < SOON, "the first answer took {:?}", start.elapsed());
    let asked = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "20", &server.url("/")])
        .output()
        .expect("curl is installed");
    assert!(asked.status.success(), "curl: {}", String::from_utf8_lossy(&asked.stderr));
    assert!(!asked.stdout.is_empty());
    server.stop_well();
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
