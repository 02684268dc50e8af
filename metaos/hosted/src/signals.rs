//! Signals: faults and ticks become upcalls, the user's Ctrl-C a request to stop.
//!
//! Handlers run on a stack of their own, so that nothing is written near the interrupted one. They touch atomic integers
//! and the kernel's frame, and take no lock.

use crate::linux::{self, Errno, SignalAction};
use crate::{pages, report, switch};
use abi::control::{CrashHeader, CrashKind, STATUS_STOPPED};
use abi::hosted::descriptor;
use abi::info::EVENT_STOP;
use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END, LOWEST, USER_END};
use abi::upcall::{Registers, UpcallKind, VECTOR_SYSCALL};
use abi::{Error, PAGE_SIZE, VirtAddr};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Numbers of signals.
mod signal {
    pub(super) const INTERRUPT: i32 = 2;
    pub(super) const ILLEGAL: i32 = 4;
    pub(super) const TRAP: i32 = 5;
    pub(super) const BUS: i32 = 7;
    pub(super) const ARITHMETIC: i32 = 8;
    pub(super) const SEGMENT: i32 = 11;
    pub(super) const PIPE: i32 = 13;
    pub(super) const ALARM: i32 = 14;
    pub(super) const TERMINATE: i32 = 15;
    pub(super) const SYSTEM_CALL: i32 = 31;
}

/// `SA_SIGINFO | SA_RESTORER | SA_ONSTACK`.
const FLAGS: u64 = 0x4 | 0x0400_0000 | 0x0800_0000;
/// `SA_NODEFER`: a fault of the handler is taken as well, and ends the guest.
const EVEN_IN_HANDLER: u64 = 0x4000_0000;
/// The signals that wait while an upcall is active.
const HELD: u64 = bit(signal::ALARM) | bit(signal::INTERRUPT) | bit(signal::TERMINATE);
/// `SIG_IGN`.
const IGNORE: u64 = 1;
/// `SEGV_ACCERR`: the page is mapped, with other rights.
const ACCESS_DENIED: i32 = 2;
/// Bit of a page fault's error code: the page was there (SDM 3A 4.7).
const PROTECTION: u64 = 1;
/// A frame holds the extended state, which may take 11 KiB.
const STACK_BYTES: u64 = 64 << 10;
/// MXCSR bits that every CPU with SSE2 has (SDM 1, 10.2.3).
const MXCSR_BITS: u64 = 0xffff;
/// Index of the quad word in the FXSAVE image that holds MXCSR in its low half.
const MXCSR_WORD: usize = 3;
const NS_PER_US: u64 = 1000;
/// Ticks more often than this would leave no time for anything else.
const LEAST_INTERVAL_US: u64 = 100;

/// Where upcalls enter; 0: nowhere yet.
static ENTRY: AtomicU64 = AtomicU64::new(0);
static STACK_TOP: AtomicU64 = AtomicU64::new(0);
/// The kernel's frame of the active upcall.
static CONTEXT: AtomicU64 = AtomicU64::new(0);
static IS_STOP_REQUESTED: AtomicBool = AtomicBool::new(false);

/// What the kernel says of a signal: the start of `siginfo_t`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Information {
    _signal_and_error: [i32; 2],
    code: i32,
}

/// What the kernel lays on the signal stack: `struct ucontext` of x86-64.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Context {
    flags: u64,
    link: u64,
    stack: [u64; 3],
    /// `struct sigcontext`: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags, selectors, error code, vector,
    /// mask, CR2.
    registers: [u64; 23],
    /// In FXSAVE form, with the extended state behind it.
    floating_point: *mut [u64; 64],
}

/// Places in [`Context::registers`].
mod place {
    /// Those of the general registers, `rip` and the flags, in the order of [`abi::upcall::Registers`].
    pub(super) const GENERAL: [usize; abi::upcall::REGISTERS] =
        [13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17];
    pub(super) const ERROR_CODE: usize = 19;
    pub(super) const VECTOR: usize = 20;
    pub(super) const ADDRESS: usize = 22;
}

/// Installs the handlers.
pub(crate) fn begin() -> Result<(), Errno> {
    let stack = linux::map_anywhere(STACK_BYTES)?;
    linux::set_signal_stack(stack, STACK_BYTES)?;
    let handler = linux::number_of(switch::handle as *const c_void);
    let set = |signal, handler: u64, flags| {
        let restorer = linux::number_of(switch::restore as *const c_void);
        linux::set_action(signal, &SignalAction { handler, flags, restorer, mask: HELD })
    };
    for fault in
        [signal::SEGMENT, signal::BUS, signal::ILLEGAL, signal::ARITHMETIC, signal::TRAP, signal::SYSTEM_CALL]
    {
        set(fault, handler, FLAGS | EVEN_IN_HANDLER)?;
    }
    for other in [signal::ALARM, signal::INTERRUPT, signal::TERMINATE] {
        set(other, handler, FLAGS)?;
    }
    set(signal::PIPE, IGNORE, 0)?;
    // Whoever started the process may have held some back: a fault that is held back ends it without a report.
    linux::unblock_signals()
}

/// Says where upcalls enter.
pub(crate) fn register(entry: VirtAddr, stack_top: VirtAddr) -> Result<(), Error> {
    let is_text = (GUEST_IMAGE.0..GUEST_IMAGE_END.0).contains(&entry.0);
    let is_stack = stack_top.0.is_multiple_of(16) && (GUEST_IMAGE_END.0..USER_END.0).contains(&stack_top.0);
    if !is_text || !is_stack {
        return Err(Error::BadUpcall);
    }
    STACK_TOP.store(stack_top.0, Relaxed);
    ENTRY.store(entry.0, Relaxed);
    Ok(())
}

/// Sets the interval of the tick; 0 switches it off.
pub(crate) fn set_tick(interval_ns: u64) {
    let microseconds = interval_ns / NS_PER_US;
    linux::set_interval(if interval_ns == 0 { 0 } else { microseconds.max(LEAST_INTERVAL_US) });
}

/// Resumes what the active upcall interrupted, as it stands in the CPU block.
pub(crate) fn return_from_upcall() -> ! {
    let block = pages::block();
    let refuse = |text| -> ! { report::crash(CrashKind::BadContext, text, &switch::here()) };
    if block.upcall_active.load(Relaxed) == 0 {
        refuse("a return from an upcall while none was active");
    }
    let registers = block.load_registers();
    if !(LOWEST.0..USER_END.0).contains(&registers.rip) {
        refuse("a return from an upcall to an address or with flags that ring 3 may not have");
    }
    let address = CONTEXT.load(Relaxed);
    // SAFETY: an upcall is active, so this is the kernel's frame on the signal stack, which nobody else uses.
    let context = unsafe { &mut *core::ptr::with_exposed_provenance_mut::<Context>(address as usize) };
    context.store(&registers);
    // SAFETY: the kernel has laid the state there and keeps its address.
    if let Some(state) = unsafe { context.floating_point.as_mut() } {
        for (index, (word, saved)) in state.iter_mut().zip(&block.floating_point).enumerate() {
            let bits = if index == MXCSR_WORD { MXCSR_BITS } else { u64::MAX };
            // The words behind the registers are the kernel's own.
            if index < KERNELS_WORDS {
                *word = saved.load(Relaxed) & bits;
            }
        }
    }
    block.upcall_active.store(0, Relaxed);
    // SAFETY: as above; the kernel checks what it restores.
    unsafe { switch::resume(address) }
}

/// In the FXSAVE image, the last 48 bytes say how the kernel has saved the extended state.
const KERNELS_WORDS: usize = (512 - 48) / 8;

/// Handles every signal; [`switch::handle`] comes here.
pub(crate) extern "C" fn on_signal(signal: i32, information: *const Information, context: *mut Context) {
    // SAFETY: the kernel's, on the signal stack; they stay until the handler is returned from.
    let (information, context) = unsafe { (&*information, &mut *context) };
    match signal {
        signal::ALARM => on_alarm(context),
        signal::INTERRUPT | signal::TERMINATE => on_stop(),
        _ => on_fault(signal, information, context),
    }
}

fn on_fault(signal: i32, information: &Information, context: &mut Context) -> ! {
    if signal != signal::SYSTEM_CALL {
        if signal == signal::SEGMENT && information.code == ACCESS_DENIED {
            let page = context.registers[place::ADDRESS] & !(PAGE_SIZE as u64 - 1);
            // The kernel maps pages when they are first touched, so the CPU may have found one missing. A guard is.
            context.registers[place::ERROR_CODE] |= if linux::is_readable(page) { PROTECTION } else { 0 };
        }
        deliver(UpcallKind::Fault, context);
    }
    context.registers[place::VECTOR] = VECTOR_SYSCALL;
    context.registers[place::ERROR_CODE] = 0;
    context.registers[place::ADDRESS] = 0;
    if context.load().rip == switch::behind_gate() {
        // Whoever came through the gate wanted what the filter keeps from every guest.
        report::crash_by_fault(context.header(CrashKind::ForeignSyscall));
    }
    deliver(UpcallKind::ForeignSyscall, context)
}

fn on_alarm(context: &mut Context) {
    let is_program = context.load().rip < GUEST_IMAGE.0;
    if is_program && ENTRY.load(Relaxed) != 0 {
        deliver(UpcallKind::Tick, context);
    }
    pages::block().pending.store(1, Relaxed);
}

fn on_stop() {
    if IS_STOP_REQUESTED.swap(true, Relaxed) {
        report::exit(STATUS_STOPPED);
    }
    pages::count_event(EVENT_STOP);
    // A full counter wakes as well.
    let _: Result<usize, Errno> = linux::write(descriptor::WAKE, &1_u64.to_ne_bytes());
}

/// Lets the guest's handler have what happened. Where that cannot be, the guest ends.
fn deliver(kind: UpcallKind, context: &mut Context) -> ! {
    let block = pages::block();
    if block.upcall_active.load(Relaxed) != 0 {
        report::crash_by_fault(context.header(CrashKind::FaultInUpcall));
    }
    let entry = ENTRY.load(Relaxed);
    if entry == 0 {
        let is_call = kind == UpcallKind::ForeignSyscall;
        let crash = if is_call { CrashKind::ForeignSyscall } else { CrashKind::Fault };
        report::crash_by_fault(context.header(crash));
    }
    block.vector.store(context.registers[place::VECTOR], Relaxed);
    block.error_code.store(context.registers[place::ERROR_CODE], Relaxed);
    block.address.store(context.registers[place::ADDRESS], Relaxed);
    block.store_registers(&context.load());
    // SAFETY: the kernel's own pointer into the same frame, or none.
    if let Some(state) = unsafe { context.floating_point.as_ref() } {
        for (slot, word) in block.floating_point.iter().zip(state) {
            slot.store(*word, Relaxed);
        }
    }
    block.upcall_active.store(1, Relaxed);
    CONTEXT.store(linux::number_of(core::ptr::from_mut(context).cast()), Relaxed);
    // SAFETY: the guest has registered both.
    unsafe { switch::enter(entry, STACK_TOP.load(Relaxed), kind as u64) }
}

impl Context {
    fn load(&self) -> Registers {
        Registers::from_words(place::GENERAL.map(|place| self.registers[place]))
    }

    fn store(&mut self, registers: &Registers) {
        for (place, word) in place::GENERAL.into_iter().zip(registers.to_words()) {
            self.registers[place] = word;
        }
    }

    fn header(&self, kind: CrashKind) -> CrashHeader {
        CrashHeader {
            kind: kind as u32,
            vector: self.registers[place::VECTOR] as u32,
            error_code: self.registers[place::ERROR_CODE],
            address: self.registers[place::ADDRESS],
            registers: self.load(),
            ..CrashHeader::default()
        }
    }
}

const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
