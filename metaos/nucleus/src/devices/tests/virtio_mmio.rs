//! virtio over MMIO: on the command line and hidden.

extern crate std;

use super::mock::Machine;
use super::{IO_APIC, MASKED, SECOND_IO_APIC, microvm, only, q35, run};
use abi::boot::{region, transport};

#[test]
fn listed_transports_are_taken_and_their_lines_routed() {
    let mut machine = microvm();
    machine.transport(0xd000_0000, 2, 1);
    machine.transport(0xfeb0_0200, 2, 2);
    machine.transport(0xfeb0_0400, 1, 1);
    let line = "virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=512@0xfeb00200:24:7 \
                virtio_mmio.device=512@0xfeb00400:7 virtio_mmio.device=4K@0x1000:1 virtio_mmio.device= \
                virtio_mmio.device=512@0xfeb00600:9 -- virtio_mmio.device=4K@0xd0000000:5";
    let (devices, machine) = run(machine, line);
    assert_eq!(devices.len(), 2);
    let [alone, shared] = [devices[0], devices[1]];
    assert_eq!((alone.transport, alone.kind, alone.windows[0].shared), (transport::VIRTIO_MMIO, 1, 0));
    assert_eq!((alone.first_event, alone.event_count), (8, 1));
    assert_eq!((alone.regions[region::DEVICE].offset, alone.regions[region::DEVICE].length), (0x100, 0xf00));
    assert_eq!((shared.kind, shared.windows[0].shared, shared.windows[0].physical), (2, 1, 0xfeb0_0000));
    assert_eq!((shared.regions[0].offset, shared.regions[0].length), (0x200, 0x200));
    assert_eq!(machine.word(0xd000_0070), 0, "reset");
    let first = &machine.io_apics[&IO_APIC];
    assert_eq!(first[0x10 + 10..0x10 + 12], [0x48, 3 << 24]);
    assert_eq!(
        machine.io_apics[&SECOND_IO_APIC][0x14..0x16],
        [0x49, 3 << 24],
        "QEMU wires the first line to pin 2"
    );
    assert!((5..24).filter(|pin| *pin != 5).all(|pin| first[0x10 + 2 * pin] == MASKED));
}

#[test]
fn the_hidden_transports_of_a_microvm_are_found_with_their_lines() {
    let mut machine = microvm();
    machine.transport(0xfeb0_0000 + 0x200 * 23, 2, 1);
    machine.transport(0xfeb0_0000, 2, 0);
    let (devices, machine) = run(machine, "");
    assert_eq!(only(&devices).regions[0].offset, 0xe00);
    assert_eq!(machine.io_apics[&SECOND_IO_APIC][0x10 + 46], 0x48);

    let mut machine = Machine::default();
    machine.add_io_apic(IO_APIC);
    machine.transport(0xfeb0_0200, 2, 1);
    let (devices, machine) = run(machine, "");
    assert_eq!(only(&devices).event_count, 1);
    assert_eq!(machine.io_apics[&IO_APIC][0x10 + 2 * 6], 0x48);
}

#[test]
fn where_there_are_ports_hidden_transports_are_not_looked_for() {
    let mut machine = q35();
    machine.transport(0xfeb0_0000, 2, 1);
    assert_eq!(run(machine, "").0.len(), 0);
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for value in [
        "4K@0xfffffffffffff000:5",
        "99999999999999999999@1:5",
        "1M@0xd0000000:5",
        "512@0xd0000001:5",
        "512",
        "@:",
        "16777216T@0xd0000000:5",
        "512@0xd0000000",
        "512@0xd0000000:",
        "512@0xd0000000:4294967296",
        "512@0x:5",
    ] {
        let mut machine = microvm();
        machine.transport(0xd000_0000, 2, 1);
        let (devices, _) = run(machine, &std::format!("virtio_mmio.device={value}"));
        assert_eq!(devices.len(), 0, "{value}");
    }
}
