//! The two serial ports (16550): console and control channel.

use crate::devices::{Found, vector};
use crate::{clock::read_tsc, memory::Memory, privileged, state};
use abi::{control::REQUEST_STOP, info::EVENT_CONSOLE, info::EVENT_STOP};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use heapless::Deque;
use spin::Mutex;

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

/// A serial port.
pub(crate) struct SerialPort {
    first: u16,
    irq: u32,
    event: usize,
    is_there: AtomicBool,
    /// [`PATIENCE`], or 0 from when it was exhausted until the reader goes on.
    patience: AtomicU64,
}

/// The console (COM1).
pub(crate) static CONSOLE: SerialPort = SerialPort::new(0x3f8, 4, EVENT_CONSOLE);
/// The control channel (COM2).
pub(crate) static CONTROL: SerialPort = SerialPort::new(0x2f8, 3, EVENT_STOP);
/// Typed bytes that wait for the guest; what does not fit waits in the port.
static INPUT: Mutex<Deque<u8, 1024>> = Mutex::new(Deque::new());

impl SerialPort {
    const fn new(first: u16, irq: u32, event: usize) -> Self {
        Self { first, irq, event, is_there: AtomicBool::new(false), patience: AtomicU64::new(PATIENCE) }
    }

    /// Sets the port to 115 200 baud, 8 data bits, no parity, FIFO on. One that does not answer is never used.
    pub(crate) fn initialise(&self) {
        self.set(register::SCRATCH, 0x5a);
        if self.get(register::SCRATCH) != 0x5a {
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
        steps.into_iter().for_each(|(register, value)| self.set(register, value));
        self.is_there.store(true, Relaxed);
    }

    /// Tells whether the port answered when it was initialised.
    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Relaxed)
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

    /// Waits for a state of the line.
    fn has_become(&self, state: u8) -> bool {
        let (start, patience) = (read_tsc(), self.patience.load(Relaxed));
        while self.is_there() {
            let is_so = self.get(register::LINE_STATUS) & state != 0;
            let is_late = read_tsc().wrapping_sub(start) >= patience;
            if is_so || is_late {
                self.patience.store(if is_so { PATIENCE } else { 0 }, Relaxed);
                return is_so;
            }
        }
        false
    }

    fn receive(&self) -> Option<u8> {
        let is_ready = self.get(register::LINE_STATUS) & DATA_READY != 0;
        is_ready.then(|| self.get(register::DATA))
    }

    fn get(&self, register: u16) -> u8 {
        privileged::port_read(self.first + register)
    }

    fn set(&self, register: u16, value: u8) {
        privileged::port_write(self.first + register, value);
    }
}

impl fmt::Write for &SerialPort {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

/// Lets received bytes raise interrupts.
pub(crate) fn enable_receive_interrupts(memory: &mut Memory, found: &Found) {
    for port in [&CONSOLE, &CONTROL].into_iter().filter(|port| port.is_there()) {
        found.io_apics.route(memory, port.irq, vector(port.event as u32));
        port.set(register::INTERRUPT_ENABLE, 1);
    }
}

/// Takes what was typed on the console.
pub(crate) fn receive_console() {
    if fill(&mut INPUT.lock()) {
        state::count_event(EVENT_CONSOLE);
    }
}

/// Takes bytes from the console's port while there is room, and tells whether there were any. The rest waits in the
/// port, and QEMU with it, so that nothing of a long input is lost.
fn fill(input: &mut Deque<u8, 1024>) -> bool {
    let before = input.len();
    while !input.is_full()
        && let Some(byte) = CONSOLE.receive()
    {
        input.push_back(byte).ok();
    }
    input.len() > before
}

/// Takes what the runner asks.
pub(crate) fn receive_control() {
    while let Some(byte) = CONTROL.receive() {
        if byte == REQUEST_STOP {
            state::count_event(EVENT_STOP);
        }
    }
}

/// Moves typed bytes to `buffer` and returns how many.
pub(crate) fn read_console(buffer: &mut [u8]) -> usize {
    let mut input = INPUT.lock();
    // What was left in the port for want of room raises no further interrupt.
    fill(&mut input);
    buffer.iter_mut().map_while(|slot| input.pop_front().map(|byte| *slot = byte)).count()
}
