//! The Machine calls: every argument is hostile until it is checked.

use crate::memory::entry::{ANONYMOUS, Entry, NO_EXECUTE, PRESENT, UNCACHED, USER};
use crate::memory::{UserRange, check_access};
use crate::report::{self, Crash};
use crate::serial::CONSOLE;
use crate::state::{self, Nucleus};
use crate::{privileged, trap::TrapFrame, upcall, user::UserSlice};
use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END, USER_END};
use abi::{Access, Call, Error, PAGE_SIZE, control::CrashKind, upcall::Registers};
use core::{iter, sync::atomic::Ordering::Acquire};

/// Bytes below the top of an upcall stack that must be there.
const LEAST_UPCALL_STACK: u64 = PAGE_SIZE as u64;
/// Most bytes that one call takes from the console.
const READ_PIECE: u64 = 256;

/// Carries out the call that `frame` holds and puts the result into its `rax`.
pub(crate) extern "C" fn dispatch(frame: &mut TrapFrame) {
    let Registers { rax, rdi, rsi, rdx, .. } = frame.registers;
    let result = match Call::from_number(rax) {
        None => Err(Error::UnknownCall),
        Some(Call::Exit) => report::exit(rdi as u8),
        Some(Call::Crash) => crash(frame),
        Some(Call::Wait) => wait(rdi, rsi),
        Some(Call::ReturnFromUpcall) => upcall::resume(frame),
        Some(call) => {
            let outcome = state::with(|nucleus| nucleus.carry_out(call, [rdi, rsi, rdx]));
            outcome.unwrap_or(Err(Error::Unsupported))
        }
    };
    frame.registers.rax = Error::encode(result);
}

/// Ends the machine with the guest's report.
fn crash(frame: &TrapFrame) -> ! {
    let kind = CrashKind::from_number(frame.registers.rdi).unwrap_or(CrashKind::Panic);
    let interrupted = upcall::interrupted();
    let mut crash = Crash::new(kind, interrupted.as_ref().unwrap_or(frame), &"");
    state::with(|nucleus| crash.add_text(&nucleus.memory, frame.registers.rsi, frame.registers.rdx));
    crash.send_from_ring_3()
}

/// Sleeps until a deadline or an event. Checked with interrupts off, so that no event is lost between check and halt.
fn wait(deadline_ns: u64, events_seen: u64) -> Result<u64, Error> {
    let arm_early = |nucleus: &mut Nucleus| {
        let is_early = nucleus.clock.now_ns() < deadline_ns;
        is_early.then(|| nucleus.clock.arm(deadline_ns))
    };
    let has_happened = || state::info_page().events_total.load(Acquire) != events_seen;
    while !has_happened() && state::with(arm_early).flatten().is_some() {
        privileged::wait_for_interrupt();
    }
    state::with(|nucleus| nucleus.clock.arm(nucleus.tick_due_ns));
    Ok(0)
}

impl Nucleus {
    fn carry_out(&mut self, call: Call, [first, second, third]: [u64; 3]) -> Result<u64, Error> {
        let range = || UserRange::new(first, second);
        match call {
            Call::ConsoleWrite => return self.console_write(first, second),
            Call::ConsoleRead => return self.console_read(first, second),
            Call::Map => self.memory.map(range()?, check_access(third)?, ANONYMOUS)?,
            Call::Protect => self.memory.protect(range()?, check_access(third)?)?,
            Call::Unmap => self.memory.unmap(range()?)?,
            Call::MapDma => return self.memory.map_dma(range()?, third),
            Call::MapWindow => self.map_window(first, second, third)?,
            Call::RegisterUpcall => self.register_upcall(first, second)?,
            Call::SetTick => self.set_tick(first),
            Call::SetThreadPointer if first < USER_END.0 => privileged::set_thread_pointer(first),
            Call::SetThreadPointer => return Err(Error::BadAddress),
            Call::Notify | Call::StartCpu => return Err(Error::Unsupported),
            Call::Exit | Call::Crash | Call::Wait | Call::ReturnFromUpcall => return Err(Error::UnknownCall),
        }
        Ok(0)
    }

    fn console_write(&self, start: u64, length: u64) -> Result<u64, Error> {
        UserSlice::readable(&self.memory, start, length)?.for_each_piece(|piece| CONSOLE.write(piece));
        Ok(length)
    }

    fn console_read(&self, start: u64, length: u64) -> Result<u64, Error> {
        let mut buffer = UserSlice::writable(&self.memory, start, length.min(READ_PIECE))?;
        Ok(buffer.fill(iter::from_fn(|| CONSOLE.receive())) as u64)
    }

    fn map_window(&mut self, device: u64, window: u64, start: u64) -> Result<(), Error> {
        let device = state::devices().get(device as usize).ok_or(Error::NoSuchDevice)?;
        let window = device.windows().get(window as usize).ok_or(Error::NoSuchWindow)?;
        let entry = Entry::user(window.physical, Access::READ_WRITE, UNCACHED);
        self.memory.map_frames(UserRange::new(start, window.length)?, entry)
    }

    fn register_upcall(&mut self, entry: u64, stack_top: u64) -> Result<(), Error> {
        let page = self.memory.tables.entry(entry);
        let is_text = (GUEST_IMAGE.0..GUEST_IMAGE_END.0).contains(&entry)
            && page.has(PRESENT | USER)
            && !page.has(NO_EXECUTE);
        let bottom = stack_top.checked_sub(LEAST_UPCALL_STACK).ok_or(Error::BadUpcall)?;
        let is_stack = stack_top.is_multiple_of(16)
            && UserSlice::writable(&self.memory, bottom, LEAST_UPCALL_STACK).is_ok();
        if !is_text || !is_stack {
            return Err(Error::BadUpcall);
        }
        // As after a call: the handler finds its stack 8 bytes off a multiple of 16.
        let (rip, rsp) = (entry, stack_top - 8);
        self.upcall = Some(Registers { rip, rsp, rflags: upcall::FIXED_FLAGS, ..Registers::default() });
        Ok(())
    }
}
