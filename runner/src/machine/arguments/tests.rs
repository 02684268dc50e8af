//! Which machines there are, and what their command lines say.

use super::*;
use std::net::Ipv4Addr;

fn kernel() -> MachineConfig {
    MachineConfig::new(Image::Kernel("app.img".into()))
}

fn line(config: &MachineConfig) -> String {
    let words: Vec<String> =
        arguments(config).unwrap().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

#[test]
fn the_default_machine_is_the_fast_one() {
    let line = line(&kernel());
    assert!(line.starts_with("-M q35 -accel tcg -cpu max -m 64M -bios qboot.rom -nodefaults"), "{line}");
    assert!(line.ends_with("-kernel app.img -append metaos.control=com2"), "{line}");
}

#[test]
fn mmio_transports_are_announced_before_the_arguments() {
    let config = MachineConfig {
        kind: MachineKind::Microvm,
        transport: Transport::Mmio,
        network: Network::User(UserNetwork::default()),
        command_line: CommandLine::new().argument("app"),
        ..kernel()
    };
    let line = line(&config);
    assert!(line.contains("virtio-net-device,bus=virtio-mmio-bus.0,netdev=net0"), "{line}");
    let words = "virtio_mmio.device=512@0xfeb00000:5 virtio_mmio.device=512@0xfeb00200:6 -- app";
    assert!(line.ends_with(words), "{line}");
}

#[test]
fn ports_are_forwarded_to_the_address_the_guest_has() {
    let network = UserNetwork {
        forwards: vec![Forward::tcp(8080, 80), Forward::udp(53, 53)],
        address: "10.9.8.7/24".parse().ok(),
        gateway: Some(Ipv4Addr::new(10, 9, 8, 1)),
        ..UserNetwork::default()
    };
    assert_eq!(
        user_backend(&network),
        "user,id=net0,net=10.9.8.0/24,host=10.9.8.1,\
         hostfwd=tcp:127.0.0.1:8080-10.9.8.7:80,hostfwd=udp:127.0.0.1:53-10.9.8.7:53"
    );
}

/// Without ACPI QEMU's own choice is qboot.
#[test]
fn the_bios_of_the_microvm_is_asked_for_by_name() {
    for transport in [Transport::Pci, Transport::Mmio] {
        let config =
            MachineConfig { kind: MachineKind::Microvm, firmware: Firmware::SeaBios, transport, ..kernel() };
        assert!(line(&config).contains(" -bios bios-microvm.bin "), "{}", line(&config));
    }
    assert!(!line(&MachineConfig { firmware: Firmware::SeaBios, ..kernel() }).contains("-bios"));
}

#[test]
fn a_gateway_outside_the_network_is_refused() {
    let network = Network::User(UserNetwork {
        address: "10.9.8.7/24".parse().ok(),
        gateway: Some(Ipv4Addr::new(10, 9, 9, 1)),
        ..UserNetwork::default()
    });
    let error = arguments(&MachineConfig { network, ..kernel() }).unwrap_err();
    assert!(matches!(error, ConfigError::Network(_)), "{error}");
}

#[test]
fn a_comma_in_a_path_does_not_start_an_option() {
    let config = MachineConfig { qmp: Some("/tmp/a,server=off".into()), ..kernel() };
    assert!(line(&config).contains("path=/tmp/a,,server=off"));
}

#[test]
fn taps_have_addresses_of_their_own() {
    let address = |name: &str| hardware_address(&Network::Tap(name.to_owned()));
    assert_ne!(address("tap0"), address("tap1"));
    assert!(address("tap0").starts_with(",mac=52:54:00:"));
}

#[test]
fn machines_that_cannot_boot_are_refused_with_the_choice_that_works() {
    let disc = || MachineConfig::new(Image::Cdrom("app.iso".into()));
    let cases = [
        (MachineConfig { transport: Transport::Mmio, ..kernel() }, ConfigError::NoMmio),
        (MachineConfig { kind: MachineKind::Microvm, ..disc() }, ConfigError::NoDrive),
        (MachineConfig { firmware: Firmware::Qboot, ..disc() }, ConfigError::NoDiscBoot),
        (MachineConfig { firmware: Firmware::Ovmf, ..kernel() }, ConfigError::UefiNeedsDisc),
        (
            MachineConfig { command_line: CommandLine::new().argument("a"), ..disc() },
            ConfigError::CommandLineOnDisc,
        ),
        (MachineConfig { network: Network::Peer("link".into()), ..kernel() }, ConfigError::NoPeer),
        (MachineConfig { memory_mib: 0, ..kernel() }, ConfigError::NoMemory),
        (
            MachineConfig { command_line: CommandLine::new().argument("\0"), ..kernel() },
            ConfigError::CommandLine(CommandLineError::ZeroByte),
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(arguments(&config), Err(expected));
    }
}
