//! Which function serves which call.

use super::errno::{Errno, Outcome};
use super::{chance, console, ledger, memory, process, scheduling, signals, time};

/// Numbers of calls (`asm/unistd_64.h`).
mod number {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const OPEN: u64 = 2;
    pub(super) const CLOSE: u64 = 3;
    pub(super) const STAT: u64 = 4;
    pub(super) const FSTAT: u64 = 5;
    pub(super) const LSTAT: u64 = 6;
    pub(super) const POLL: u64 = 7;
    pub(super) const LSEEK: u64 = 8;
    pub(super) const MMAP: u64 = 9;
    pub(super) const MPROTECT: u64 = 10;
    pub(super) const MUNMAP: u64 = 11;
    pub(super) const BRK: u64 = 12;
    pub(super) const RT_SIGACTION: u64 = 13;
    pub(super) const RT_SIGPROCMASK: u64 = 14;
    pub(super) const IOCTL: u64 = 16;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const ACCESS: u64 = 21;
    pub(super) const SCHED_YIELD: u64 = 24;
    pub(super) const MREMAP: u64 = 25;
    pub(super) const MADVISE: u64 = 28;
    pub(super) const NANOSLEEP: u64 = 35;
    pub(super) const GETPID: u64 = 39;
    pub(super) const EXIT: u64 = 60;
    pub(super) const KILL: u64 = 62;
    pub(super) const UNAME: u64 = 63;
    pub(super) const FCNTL: u64 = 72;
    pub(super) const GETCWD: u64 = 79;
    pub(super) const READLINK: u64 = 89;
    pub(super) const UMASK: u64 = 95;
    pub(super) const GETTIMEOFDAY: u64 = 96;
    pub(super) const GETRLIMIT: u64 = 97;
    pub(super) const SYSINFO: u64 = 99;
    pub(super) const GETUID: u64 = 102;
    pub(super) const GETGID: u64 = 104;
    pub(super) const GETEUID: u64 = 107;
    pub(super) const GETEGID: u64 = 108;
    pub(super) const GETPPID: u64 = 110;
    pub(super) const SIGALTSTACK: u64 = 131;
    pub(super) const ARCH_PRCTL: u64 = 158;
    pub(super) const GETTID: u64 = 186;
    pub(super) const TKILL: u64 = 200;
    pub(super) const TIME: u64 = 201;
    pub(super) const FUTEX: u64 = 202;
    pub(super) const SCHED_GETAFFINITY: u64 = 204;
    pub(super) const SET_TID_ADDRESS: u64 = 218;
    pub(super) const CLOCK_GETTIME: u64 = 228;
    pub(super) const CLOCK_GETRES: u64 = 229;
    pub(super) const CLOCK_NANOSLEEP: u64 = 230;
    pub(super) const EXIT_GROUP: u64 = 231;
    pub(super) const TGKILL: u64 = 234;
    pub(super) const OPENAT: u64 = 257;
    pub(super) const NEWFSTATAT: u64 = 262;
    pub(super) const READLINKAT: u64 = 267;
    pub(super) const FACCESSAT: u64 = 269;
    pub(super) const PPOLL: u64 = 271;
    pub(super) const SET_ROBUST_LIST: u64 = 273;
    pub(super) const PRLIMIT64: u64 = 302;
    pub(super) const GETRANDOM: u64 = 318;
    pub(super) const RSEQ: u64 = 334;
    pub(super) const FACCESSAT2: u64 = 439;
}

/// Serves call `number` and returns what its register holds afterwards. `at`: where the program goes on.
pub(super) fn dispatch(number: u64, arguments: [u64; 6], at: u64) -> isize {
    crate::process::heed_stop();
    Errno::encode(serve(number, arguments, at))
}

fn serve(number: u64, arguments: [u64; 6], at: u64) -> Outcome {
    let [first, second, third, fourth, ..] = arguments;
    match number {
        number::READ => console::read(first, second, third),
        number::WRITE => console::write(first, second, third),
        number::READV => console::each_piece(first, second, third, console::read),
        number::WRITEV => console::each_piece(first, second, third, console::write),
        number::CLOSE => console::close(first),
        number::LSEEK => console::seek(first),
        number::FCNTL => console::control(first, second),
        number::IOCTL => console::terminal_control(first, second, third),
        number::FSTAT => console::status(first, second),
        number::NEWFSTATAT => console::status_at(first, second, third, fourth),
        number::OPEN | number::STAT | number::LSTAT | number::ACCESS => console::no_file(first),
        number::OPENAT | number::FACCESSAT | number::FACCESSAT2 => console::no_file(second),
        number::GETCWD => console::working_directory(first, second),
        number::POLL => console::poll(first, second, console::milliseconds(third)),
        number::PPOLL => {
            let timeout = if third == 0 { None } else { Some(time::nanoseconds(third)?) };
            console::poll(first, second, timeout)
        }

        number::BRK => memory::set_break(first),
        number::MMAP => memory::map(arguments),
        number::MUNMAP => memory::unmap(first, second),
        number::MPROTECT => memory::protect(first, second, third),
        number::MREMAP => memory::remap(arguments),
        number::MADVISE => memory::advise(first, second, third),

        number::EXIT | number::EXIT_GROUP => process::end(first),
        number::GETPID | number::GETTID | number::SET_TID_ADDRESS => Ok(process::PROCESS),
        number::GETPPID => Ok(1),
        number::GETUID | number::GETGID | number::GETEUID | number::GETEGID => Ok(0),
        number::UMASK => Ok(0o22),
        number::ARCH_PRCTL => process::set_thread_pointer(first, second),
        number::UNAME => process::names(first),
        number::PRLIMIT64 => process::limits(first, second, third, fourth),
        number::GETRLIMIT => process::limit_of(first, second),
        number::SYSINFO => process::system_information(first),
        number::READLINK => process::read_link(first, second, third),
        number::READLINKAT => process::read_link(second, third, fourth),
        number::SCHED_GETAFFINITY => process::affinity(second, third),
        number::SCHED_YIELD => process::yield_now(),
        number::FUTEX => scheduling::futex(arguments),
        // One thread leaves no lock behind that somebody else waits for.
        number::SET_ROBUST_LIST => Ok(0),
        // A program that asks is content with a no.
        number::RSEQ => Err(Errno::NoSystemCall),

        number::RT_SIGACTION => signals::action(first, second, third, fourth),
        number::RT_SIGPROCMASK => signals::mask(first, second, third, fourth),
        number::SIGALTSTACK => signals::stack(first, second),
        number::KILL | number::TKILL => signals::send(first, second, number, at),
        number::TGKILL => signals::send(second, third, number, at),

        number::CLOCK_GETTIME => time::get(first, second),
        number::CLOCK_GETRES => time::resolution(first, second),
        number::GETTIMEOFDAY => time::of_day(first, second),
        number::TIME => time::seconds(first),
        number::NANOSLEEP => time::sleep(first),
        number::CLOCK_NANOSLEEP => time::sleep_by(first, second, third),
        number::GETRANDOM => chance::fill(first, second, third),

        _ => {
            ledger::note(number, at);
            Err(Errno::NoSystemCall)
        }
    }
}
