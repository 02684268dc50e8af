//! The I/O ports, as device discovery sees them.

use crate::devices::bus::Ports;
use crate::privileged;

/// The machine's I/O ports.
#[derive(Clone, Copy, Debug)]
pub struct PortSpace;

impl Ports for PortSpace {
    fn read_u8(&mut self, port: u16) -> u8 {
        privileged::port_read_u8(port)
    }

    fn read_u32(&mut self, port: u16) -> u32 {
        privileged::port_read_u32(port)
    }

    fn write_u8(&mut self, port: u16, value: u8) {
        privileged::port_write_u8(port, value);
    }

    fn write_u32(&mut self, port: u16, value: u32) {
        privileged::port_write_u32(port, value);
    }
}
