//! The two serial ports (16550): console and control channel.

use crate::devices::Found;
use crate::devices::interrupts::vector;
use crate::memory::Memory;
use crate::privileged::{port_read_u8, port_write_u8};
use crate::state;
use abi::control::REQUEST_STOP;
use abi::info::{EVENT_CONSOLE, EVENT_STOP};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use spin::Mutex;

/// First port of the console (COM1).
pub const CONSOLE: u16 = 0x3f8;
/// First port of the control channel (COM2).
pub const CONTROL: u16 = 0x2f8;
const CONSOLE_IRQ: u32 = 4;
const CONTROL_IRQ: u32 = 3;

/// Registers, as offsets from the first port.
mod register {
    pub(super) const DATA: u16 = 0;
    pub(super) const INTERRUPT_ENABLE: u16 = 1;
    pub(super) const FIFO_CONTROL: u16 = 2;
    pub(super) const LINE_CONTROL: u16 = 3;
    pub(super) const MODEM_CONTROL: u16 = 4;
    pub(super) const LINE_STATUS: u16 = 5;
    pub(super) const SCRATCH: u16 = 7;
}

const DATA_READY: u8 = 1;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
const FIFO_SIZE: usize = 16;
/// Polls before a port that never gets empty is given up; at 115 200 baud 16 bytes take 1.4 ms.
const MAX_POLLS: usize = 1_000_000;

/// Typed bytes that wait for the guest; what does not fit is lost, as on any terminal.
struct Input {
    bytes: [u8; 1024],
    start: usize,
    length: usize,
}

static INPUT: Mutex<Input> = Mutex::new(Input { bytes: [0; 1024], start: 0, length: 0 });
static IS_THERE: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// Sets a port to 115 200 baud, 8 data bits, no parity, FIFO on. One that does not answer is never used.
pub fn initialise(port: u16) {
    port_write_u8(port + register::SCRATCH, 0x5a);
    if port_read_u8(port + register::SCRATCH) != 0x5a {
        return;
    }
    let steps = [
        (register::INTERRUPT_ENABLE, 0),
        (register::LINE_CONTROL, 0x80), // divisor latch
        (register::DATA, 1),
        (register::INTERRUPT_ENABLE, 0),
        (register::LINE_CONTROL, 0x03),  // 8 bits, no parity, 1 stop bit
        (register::FIFO_CONTROL, 0x07),  // on, cleared, interrupt at each byte
        (register::MODEM_CONTROL, 0x0b), // DTR, RTS, OUT2: interrupts reach the controller
    ];
    for (offset, value) in steps {
        port_write_u8(port + offset, value);
    }
    is_there(port).store(true, Relaxed);
}

/// Writes bytes to a port, waiting while it is busy.
pub fn write(port: u16, bytes: &[u8]) {
    if !is_there(port).load(Relaxed) {
        return;
    }
    for chunk in bytes.chunks(FIFO_SIZE) {
        let mut polls = 0;
        while port_read_u8(port + register::LINE_STATUS) & TRANSMITTER_EMPTY == 0 {
            polls += 1;
            if polls == MAX_POLLS {
                return;
            }
        }
        for &byte in chunk {
            port_write_u8(port + register::DATA, byte);
        }
    }
}

/// Lets received bytes raise interrupts.
pub fn enable_receive_interrupts(memory: &mut Memory, found: &Found) {
    for (port, irq, event) in [(CONSOLE, CONSOLE_IRQ, EVENT_CONSOLE), (CONTROL, CONTROL_IRQ, EVENT_STOP)] {
        if is_there(port).load(Relaxed) {
            found.io_apics.route(memory, irq, vector(event as u32));
            port_write_u8(port + register::INTERRUPT_ENABLE, 1);
        }
    }
}

/// Takes what was typed on the console.
pub fn receive_console() {
    let mut input = INPUT.lock();
    let mut received = false;
    while let Some(byte) = receive(CONSOLE) {
        input.push(byte);
        received = true;
    }
    if received {
        state::count_event(EVENT_CONSOLE);
    }
}

/// Takes what the runner asks.
pub fn receive_control() {
    while let Some(byte) = receive(CONTROL) {
        if byte == REQUEST_STOP {
            state::count_event(EVENT_STOP);
        }
    }
}

/// Moves typed bytes to `buffer` and returns how many.
pub fn read_console(buffer: &mut [u8]) -> usize {
    let mut input = INPUT.lock();
    let count = buffer.len().min(input.length);
    for slot in &mut buffer[..count] {
        *slot = input.bytes[input.start];
        input.start = (input.start + 1) % input.bytes.len();
        input.length -= 1;
    }
    count
}

impl Input {
    fn push(&mut self, byte: u8) {
        if self.length < self.bytes.len() {
            let end = (self.start + self.length) % self.bytes.len();
            self.bytes[end] = byte;
            self.length += 1;
        }
    }
}

fn receive(port: u16) -> Option<u8> {
    let is_ready = port_read_u8(port + register::LINE_STATUS) & DATA_READY != 0;
    is_ready.then(|| port_read_u8(port + register::DATA))
}

fn is_there(port: u16) -> &'static AtomicBool {
    &IS_THERE[usize::from(port != CONSOLE)]
}
