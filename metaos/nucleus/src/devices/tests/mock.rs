//! A made-up machine for the tests: memory, configuration space, I/O APICs.

#![expect(
    clippy::cast_possible_truncation,
    reason = "registers take the halves of what fits by construction"
)]

extern crate std;

use crate::devices::hardware::Hardware;
use abi::PhysAddr;
use core::cell::RefCell;
use core::ops::Range;
use std::collections::BTreeMap;
use std::vec::Vec;

/// Where the function's registers can be written, and what stands there.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) config: [u32; 64],
    writable: [u32; 64],
    /// Memory ranges: register, size.
    bars: Vec<(usize, u64)>,
    next_capability: usize,
}

impl Function {
    pub(super) fn new(vendor: u32, device: u32) -> Self {
        let mut function =
            Self { config: [0; 64], writable: [0; 64], bars: Vec::new(), next_capability: 0x40 };
        function.config[0] = device << 16 | vendor;
        function.writable[1] = 0x0407;
        function
    }

    pub(super) fn bridge(secondary: u8) -> Self {
        let mut bridge = Self::new(0x1b36, 0x000c);
        bridge.config[3] = 0x0001_0000;
        bridge.config[6] = u32::from(secondary) << 8 | u32::from(secondary) << 16;
        bridge
    }

    /// A network device as QEMU makes it: table in register 1, virtio in the wide register 4.
    pub(super) fn network() -> Self {
        let mut function = Self::new(0x1af4, 0x1041).bar(1, 0x1000, 0).wide_bar(4, 0x4000, 0);
        function.msix(4, 1, 0x800);
        function.virtio(4, 4, 0x3000, 0x1000);
        function.virtio(3, 4, 0x2000, 0x1000);
        function.virtio(2, 4, 0x1000, 0x1000);
        function.swap_kinds();
        function.virtio(1, 4, 0, 0x1000);
        function
    }

    /// Common configuration, ISR, device and notification area lie in this order at QEMU.
    fn swap_kinds(&mut self) {
        for index in 0x10..0x40 {
            let kind = match self.config[index] {
                header if header & 0xff != 9 => continue,
                header => header >> 24,
            };
            let kind = [0, 1, 3, 4, 2, 5][kind as usize];
            self.config[index] = self.config[index] & 0x00ff_ffff | kind << 24;
        }
    }

    pub(super) fn bar(mut self, index: usize, size: u64, address: u32) -> Self {
        self.config[4 + index] = address;
        self.writable[4 + index] = !(size as u32 - 1);
        self.bars.push((index, size));
        self
    }

    pub(super) fn wide_bar(mut self, index: usize, size: u64, address: u64) -> Self {
        self.config[4 + index] = address as u32 | 0xc;
        self.config[5 + index] = (address >> 32) as u32;
        self.writable[4 + index] = !(size - 1) as u32;
        self.writable[5 + index] = (!(size - 1) >> 32) as u32;
        self.bars.push((index, size));
        self
    }

    /// Appends a capability of up to five words to the list's head.
    pub(super) fn capability(&mut self, words: &[u32]) {
        let at = self.next_capability;
        let head = self.config[0x34 / 4];
        self.config[at / 4..at / 4 + words.len()].copy_from_slice(words);
        self.config[at / 4] |= head << 8;
        self.config[0x34 / 4] = at as u32;
        self.config[1] |= 1 << 20;
        self.writable[at / 4] = if words[0] & 0xff == 0x11 { 0xc000_0000 } else { 0 };
        self.next_capability += 4 * words.len();
    }

    pub(super) fn virtio(&mut self, kind: u32, bar: u32, offset: u32, length: u32) {
        self.capability(&[kind << 24 | 0x14 << 16 | 0x09, bar, offset, length, 4]);
    }

    pub(super) fn msix(&mut self, entries: u32, bar: u32, pending: u32) {
        self.capability(&[(entries - 1) << 16 | 0x11, bar, pending | bar]);
    }

    pub(super) fn address(&self, index: usize) -> u64 {
        let low = u64::from(self.config[4 + index]);
        let high = if low & 4 == 0 { 0 } else { u64::from(self.config[5 + index]) << 32 };
        high | low & !0xf
    }

    pub(super) fn command(&self) -> u32 {
        self.config[1] & 0xffff
    }

    fn decodes(&self, at: u64) -> bool {
        self.bars.iter().any(|&(index, size)| (self.address(index)..self.address(index) + size).contains(&at))
    }

    fn write(&mut self, index: usize, value: u32) {
        let writable = self.writable[index];
        self.config[index] = self.config[index] & !writable | value & writable;
    }
}

#[derive(Debug, Default)]
pub(super) struct Machine {
    pub(super) functions: BTreeMap<u16, Function>,
    pub(super) memory: BTreeMap<u64, u8>,
    pub(super) has_ports: bool,
    pub(super) ecam: Option<Range<u64>>,
    pub(super) io_apics: BTreeMap<u64, Vec<u32>>,
    pub(super) io_apic_index: usize,
    pub(super) selector: u32,
}

impl Machine {
    pub(super) fn add(&mut self, bus: u8, device: u8, function: Function) {
        self.functions.insert(u16::from(bus) << 8 | u16::from(device) << 3, function);
    }

    pub(super) fn function(&self, bus: u8, device: u8) -> &Function {
        &self.functions[&(u16::from(bus) << 8 | u16::from(device) << 3)]
    }

    pub(super) fn add_io_apic(&mut self, address: u64) {
        let mut registers = std::vec![0; 0x40];
        registers[1] = 0x0017_0020;
        self.io_apics.insert(address, registers);
    }

    pub(super) fn store(&mut self, at: u64, bytes: &[u8]) {
        self.memory.extend((at..).zip(bytes.iter().copied()));
    }

    pub(super) fn word(&self, at: u64) -> u32 {
        u32::from_le_bytes([0, 1, 2, 3].map(|byte| self.memory.get(&(at + byte)).copied().unwrap_or(0xff)))
    }

    pub(super) fn transport(&mut self, at: u64, version: u32, kind: u32) {
        self.store(at, b"virt");
        self.store(at + 4, &version.to_le_bytes());
        self.store(at + 8, &kind.to_le_bytes());
    }

    fn config(&mut self, address: u32) -> Option<(&mut Function, usize)> {
        let function = self.functions.get_mut(&((address >> 8) as u16))?;
        Some((function, (address as usize & 0xff) / 4))
    }

    /// Turns an address in ECAM to the form of the ports.
    fn mapped(&self, at: u64) -> Option<u32> {
        let ecam = self.ecam.as_ref().filter(|ecam| ecam.contains(&at))?;
        let offset = (at - ecam.start) as u32;
        Some(offset >> 12 << 8 | offset & 0xff)
    }
}

/// The machine as discovery sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(pub(super) &'a RefCell<Machine>);

impl Hardware for View<'_> {
    fn read_u32(&mut self, at: PhysAddr) -> u32 {
        assert_eq!(at.0 % 4, 0, "accesses are aligned");
        let mut machine = self.0.borrow_mut();
        if let Some(address) = machine.mapped(at.0) {
            return machine.config(address).map_or(u32::MAX, |(function, index)| function.config[index]);
        }
        let index = machine.io_apic_index;
        if let Some(registers) = machine.io_apics.get(&at.0.wrapping_sub(0x10)) {
            return registers[index];
        }
        machine.word(at.0)
    }

    fn write_u8(&mut self, at: PhysAddr, value: u8) {
        self.0.borrow_mut().memory.insert(at.0, value);
    }

    fn write_u32(&mut self, at: PhysAddr, value: u32) {
        assert_eq!(at.0 % 4, 0, "accesses are aligned");
        let mut machine = self.0.borrow_mut();
        if let Some(address) = machine.mapped(at.0) {
            if let Some((function, index)) = machine.config(address) {
                function.write(index, value);
            }
        } else if machine.io_apics.contains_key(&at.0) {
            machine.io_apic_index = value as usize;
        } else if machine.io_apics.contains_key(&at.0.wrapping_sub(0x10)) {
            let index = machine.io_apic_index;
            machine.io_apics.get_mut(&(at.0 - 0x10)).unwrap()[index] = value;
        } else {
            let mut owners = machine.functions.values().filter(|function| function.decodes(at.0));
            assert!(owners.all(|function| function.command() & 2 != 0), "written to with decoding off");
            machine.store(at.0, &value.to_le_bytes());
        }
    }

    fn read_port(&mut self, port: u16) -> u32 {
        let mut machine = self.0.borrow_mut();
        let selector = machine.selector;
        match port {
            _ if !machine.has_ports => u32::MAX,
            0xcf8 => selector,
            _ => machine.config(selector).map_or(u32::MAX, |(function, index)| function.config[index]),
        }
    }

    fn write_port(&mut self, port: u16, value: u32) {
        let mut machine = self.0.borrow_mut();
        let selector = machine.selector;
        match port {
            0xcf8 => machine.selector = value,
            _ if !machine.has_ports => {}
            _ => {
                if let Some((function, index)) = machine.config(selector) {
                    function.write(index, value);
                }
            }
        }
    }
}
