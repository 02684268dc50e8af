//! The two serial ports (16550): console and control channel.
//!
//! Typed bytes wait in the port until the guest takes them, and QEMU with more of them, so that nothing of a long input
//! is lost.

use crate::{clock::read_tsc, privileged, state};
use abi::{control::REQUEST_STOP, info::EVENT_STOP};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
/// There is room for [`FIFO_SIZE`] bytes.
const FIFO_EMPTY: u8 = 1 << 5;
/// All bytes are out.
const TRANSMITTER_EMPTY: u8 = 1 << 6;
const FIFO_SIZE: usize = 16;
/// How long a reader may take for [`FIFO_SIZE`] bytes, in ticks of the time-stamp counter: 10 s or more. The line itself
/// takes 1.4 ms.
const PATIENCE: u64 = 1 << 35;
const EXHAUSTED: u64 = 1;

/// A serial port.
pub(crate) struct SerialPort {
    first: u16,
    /// [`PATIENCE`], or [`EXHAUSTED`] until the reader goes on, or 0 as long as the port has not answered.
    patience: AtomicU64,
}

/// The console (COM1).
pub(crate) static CONSOLE: SerialPort = SerialPort::new(0x3f8);
/// The control channel (COM2).
pub(crate) static CONTROL: SerialPort = SerialPort::new(0x2f8);

impl SerialPort {
    const fn new(first: u16) -> Self {
        Self { first, patience: AtomicU64::new(0) }
    }

    /// Sets the port to 115 200 baud, 8 data bits, no parity, FIFO on. One that does not answer is never used.
    pub(crate) fn initialise(&self) {
        let steps = [
            (register::INTERRUPT_ENABLE, 0),
            (register::LINE_CONTROL, 0x80), // divisor latch
            (register::DATA, 1),
            (register::INTERRUPT_ENABLE, 0),
            (register::LINE_CONTROL, 0x03),  // 8 bits, no parity, 1 stop bit
            (register::FIFO_CONTROL, 0xc7),  // on, cleared, interrupt at 14 bytes or a pause
            (register::MODEM_CONTROL, 0x0b), // DTR, RTS, OUT2: interrupts reach the controller
            (register::SCRATCH, 0x5a),
        ];
        steps.into_iter().for_each(|(register, value)| self.set(register, value));
        self.patience.store(if self.get(register::SCRATCH) == 0x5a { PATIENCE } else { 0 }, Relaxed);
    }

    /// Tells whether the port answered when it was initialised.
    pub(crate) fn is_there(&self) -> bool {
        self.patience.load(Relaxed) != 0
    }

    /// Lets received bytes raise interrupts.
    pub(crate) fn enable_receive_interrupts(&self) {
        if self.is_there() {
            self.set(register::INTERRUPT_ENABLE, 1);
        }
    }

    /// Writes bytes, waiting while the port is busy. What a reader that takes none does not want is lost.
    pub(crate) fn write(&self, bytes: &[u8]) {
        for chunk in bytes.chunks(FIFO_SIZE).take_while(|_| self.has_become(FIFO_EMPTY)) {
            chunk.iter().for_each(|byte| self.set(register::DATA, *byte));
        }
    }

    /// Waits until all bytes have left.
    pub(crate) fn finish(&self) {
        self.has_become(TRANSMITTER_EMPTY);
    }

    /// Takes a received byte, if there is one.
    pub(crate) fn receive(&self) -> Option<u8> {
        let is_ready = self.is_there() && self.get(register::LINE_STATUS) & DATA_READY != 0;
        is_ready.then(|| self.get(register::DATA))
    }

    /// Waits for a state of the line.
    fn has_become(&self, state: u8) -> bool {
        let (start, patience) = (read_tsc(), self.patience.load(Relaxed));
        while self.is_there() {
            let is_so = self.get(register::LINE_STATUS) & state != 0;
            let is_late = read_tsc().wrapping_sub(start) >= patience;
            if is_so || is_late {
                self.patience.store(if is_so { PATIENCE } else { EXHAUSTED }, Relaxed);
                return is_so;
            }
        }
        false
    }

    fn get(&self, register: u16) -> u8 {
        privileged::port_read(self.first + register)
    }

    fn set(&self, register: u16, value: u8) {
        privileged::port_write(self.first + register, value);
    }
}

/// Takes what the runner asks.
pub(crate) fn receive_control() {
    while let Some(byte) = CONTROL.receive() {
        if byte == REQUEST_STOP {
            state::count_event(EVENT_STOP);
        }
    }
}
