//! The Machine calls: every argument is hostile until it is checked.

use crate::memory::entry::{Entry, Kind, NO_EXECUTE, PRESENT, UNCACHED, USER};
use crate::memory::{UserRange, check_access};
use crate::report::{self, Crash};
use crate::state::{Nucleus, UpcallEntry};
use crate::trap::TrapFrame;
use crate::user::UserSlice;
use crate::{privileged, serial, state, upcall};
use abi::control::CrashKind;
use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END, USER_END};
use abi::{Access, Call, Error, PAGE_SIZE};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Bytes below the top of an upcall stack that must be there.
const LEAST_UPCALL_STACK: u64 = PAGE_SIZE as u64;
/// Most bytes that one call takes from the console.
const READ_PIECE: usize = 256;

/// Carries out the call that `frame` holds and puts the result into its `rax`.
pub fn dispatch(frame: &mut TrapFrame) {
    let call = Call::from_number(frame.rax).ok_or(Error::UnknownCall);
    let result = call.and_then(|call| match call {
        Call::Exit => report::exit(frame.rdi as u8),
        Call::Crash => crash(frame),
        Call::Wait => wait(frame.rdi, frame.rsi),
        Call::ReturnFromUpcall => upcall::resume(frame),
        _ => state::with(|nucleus| nucleus.carry_out(call, frame)).unwrap_or(Err(Error::Unsupported)),
    });
    frame.rax = Error::encode(result);
}

/// Ends the machine with the guest's report.
fn crash(frame: &TrapFrame) -> Result<u64, Error> {
    let kind = CrashKind::from_number(frame.rdi).unwrap_or(CrashKind::Panic);
    let block = state::cpu_block();
    let is_in_upcall = block.upcall_active.load(Relaxed) != 0;
    let registers = if is_in_upcall { block.load_registers() } else { frame.registers() };
    let mut crash = Crash::new(kind, registers);
    if is_in_upcall {
        crash.exception(
            block.vector.load(Relaxed),
            block.error_code.load(Relaxed),
            block.address.load(Relaxed),
        );
    }
    state::with(|nucleus| {
        match UserSlice::readable(&nucleus.memory, frame.rsi, frame.rdx) {
            Ok(text) => crash.user_text(&text),
            Err(_) => crash.text(format_args!("(the text of the report lies at a bad address)")),
        }
        crash.send_with_guest_stack(&nucleus.memory)
    });
    Err(Error::Unsupported)
}

/// Sleeps until a deadline or an event. Checked with interrupts off, so that no event is lost between check and halt.
fn wait(deadline_ns: u64, events_seen: u64) -> Result<u64, Error> {
    let info = state::info_page();
    while info.events_total.load(Acquire) == events_seen {
        let is_over = state::with(|nucleus| {
            let is_over = nucleus.clock.now_ns() >= deadline_ns;
            if !is_over && deadline_ns != u64::MAX {
                nucleus.clock.arm(&nucleus.apic, deadline_ns);
            }
            is_over
        });
        if is_over != Some(false) {
            break;
        }
        privileged::wait_for_interrupt();
    }
    state::with(Nucleus::rearm_tick);
    Ok(0)
}

impl Nucleus {
    fn carry_out(&mut self, call: Call, frame: &TrapFrame) -> Result<u64, Error> {
        let (first, second, third) = (frame.rdi, frame.rsi, frame.rdx);
        match call {
            Call::ConsoleWrite => self.console_write(first, second),
            Call::ConsoleRead => self.console_read(first, second),
            Call::Map => self.memory.map(UserRange::new(first, second)?, check_access(third)?).map(|()| 0),
            Call::Protect => {
                self.memory.protect(UserRange::new(first, second)?, check_access(third)?).map(|()| 0)
            }
            Call::Unmap => self.memory.unmap(UserRange::new(first, second)?).map(|()| 0),
            Call::MapDma => self.memory.map_dma(UserRange::new(first, second)?, third),
            Call::MapWindow => self.map_window(first, second, third),
            Call::RegisterUpcall => self.register_upcall(first, second),
            Call::SetTick => {
                self.set_tick(first);
                Ok(0)
            }
            Call::SetThreadPointer => {
                if first >= USER_END.0 {
                    return Err(Error::BadAddress);
                }
                privileged::set_thread_pointer(first);
                Ok(0)
            }
            Call::Notify | Call::StartCpu => Err(Error::Unsupported),
            Call::Exit | Call::Crash | Call::Wait | Call::ReturnFromUpcall => Err(Error::UnknownCall),
        }
    }

    fn console_write(&self, start: u64, length: u64) -> Result<u64, Error> {
        let text = UserSlice::readable(&self.memory, start, length)?;
        text.for_each_piece(|piece| serial::write(serial::CONSOLE, piece));
        Ok(length)
    }

    fn console_read(&self, start: u64, length: u64) -> Result<u64, Error> {
        let mut piece = [0; READ_PIECE];
        let wanted = length.min(READ_PIECE as u64);
        let mut buffer = UserSlice::writable(&self.memory, start, wanted)?;
        let count = serial::read_console(&mut piece[..buffer.length()]);
        buffer.write(&piece[..count]);
        Ok(count as u64)
    }

    fn map_window(&mut self, device: u64, window: u64, start: u64) -> Result<u64, Error> {
        let index = usize::try_from(device).map_err(|_| Error::NoSuchDevice)?;
        let device = state::devices().get(index).ok_or(Error::NoSuchDevice)?;
        let index = usize::try_from(window).map_err(|_| Error::NoSuchWindow)?;
        let count = (device.window_count as usize).min(device.windows.len());
        let window = device.windows[..count].get(index).ok_or(Error::NoSuchWindow)?;
        let range = UserRange::new(start, window.length)?;
        let entry = Entry::user(window.physical, Access::READ_WRITE, Kind::Window).with(UNCACHED);
        self.memory.map_frames(range, entry).map(|()| 0)
    }

    fn register_upcall(&mut self, entry: u64, stack_top: u64) -> Result<u64, Error> {
        let is_text = (GUEST_IMAGE.0..GUEST_IMAGE_END.0).contains(&entry)
            && self.memory.tables.walk(entry).0.has(PRESENT | USER)
            && !self.memory.tables.walk(entry).0.has(NO_EXECUTE);
        let bottom = stack_top.checked_sub(LEAST_UPCALL_STACK).ok_or(Error::BadUpcall)?;
        let is_stack = stack_top.is_multiple_of(16)
            && UserSlice::writable(&self.memory, bottom, LEAST_UPCALL_STACK).is_ok();
        if !is_text || !is_stack {
            return Err(Error::BadUpcall);
        }
        self.upcall = Some(UpcallEntry { entry, stack_top });
        Ok(0)
    }

    /// Arms the timer for the next tick again, after a wait has used it.
    fn rearm_tick(&mut self) {
        if let Some(tick) = self.tick {
            self.clock.arm(&self.apic, tick.due_ns);
        }
    }
}
