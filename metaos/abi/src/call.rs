//! The calls from ring 3 to the machine below, by number.
//!
//! Register convention of the `syscall` gate: number in `rax`; arguments in `rdi`, `rsi`, `rdx`, `r10`, `r8`,
//! `r9`; result in `rax` (see [`crate::Error::decode`]); `rcx` and `r11` are lost. Every other general register is
//! kept; x87 and SSE state may be lost.
//! A call counts as a Machine call only if its return address is the gate named in the guest's ELF note.

/// Number of a Machine call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u64)]
pub enum Call {
    /// Ends the machine. `rdi`: exit status, low 8 bits.
    Exit = 0,
    /// Ends the machine with a report. `rdi`: [`crate::control::CrashKind`]; `rsi`, `rdx`: text (address, bytes).
    /// The registers reported are those of the active upcall, else those of this call.
    Crash = 1,
    /// Writes bytes to the early console. `rdi`, `rsi`: address, bytes.
    ConsoleWrite = 2,
    /// Takes bytes that were typed on the console, without waiting. `rdi`, `rsi`: buffer, its size. Result: count.
    ConsoleRead = 3,
    /// Maps zeroed anonymous memory. `rdi`: address; `rsi`: bytes; `rdx`: [`crate::Access`] bits. Large pages are
    /// used wherever address and length allow.
    Map = 4,
    /// Changes the access of mapped anonymous memory. Arguments as for `Map`.
    Protect = 5,
    /// Unmaps anonymous or DMA memory and gives its frames back. `rdi`: address; `rsi`: bytes.
    Unmap = 6,
    /// Maps zeroed, contiguous, pinned, never executable memory. `rdi`: address; `rsi`: bytes; `rdx`: alignment of
    /// the bus address, a power of two. Result: bus address.
    MapDma = 7,
    /// Maps a device window. `rdi`: device index; `rsi`: window index; `rdx`: address.
    MapWindow = 8,
    /// Sleeps until the clock reaches `rdi` (ns since boot, `u64::MAX`: never) or [`crate::InfoPage::events_total`]
    /// differs from `rsi`. Returns at once if it differs already.
    Wait = 9,
    /// Registers where upcalls enter. `rdi`: entry address; `rsi`: top of the upcall stack (16-byte aligned).
    RegisterUpcall = 10,
    /// Returns from the active upcall to the context in the CPU block. Does not return to the caller.
    ReturnFromUpcall = 11,
    /// Sets the interval of the preemption tick. `rdi`: ns, 0: none.
    SetTick = 12,
    /// Sets FS base, for CPUs without `wrfsbase`. `rdi`: address.
    SetThreadPointer = 13,
    /// Wakes another CPU. `rdi`: its index.
    Notify = 14,
    /// Starts another CPU. `rdi`: its index; `rsi`: entry; `rdx`: stack top.
    StartCpu = 15,
}

impl Call {
    const ALL: [Self; 16] = [
        Self::Exit,
        Self::Crash,
        Self::ConsoleWrite,
        Self::ConsoleRead,
        Self::Map,
        Self::Protect,
        Self::Unmap,
        Self::MapDma,
        Self::MapWindow,
        Self::Wait,
        Self::RegisterUpcall,
        Self::ReturnFromUpcall,
        Self::SetTick,
        Self::SetThreadPointer,
        Self::Notify,
        Self::StartCpu,
    ];

    /// Returns the call with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_calls_agree() {
        for (index, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, index);
            assert_eq!(Call::from_number(index as u64), Some(call));
        }
        assert_eq!(Call::from_number(16), None);
        assert_eq!(Call::from_number(u64::MAX), None);
    }
}
