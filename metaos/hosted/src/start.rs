//! From the first instruction of the process to the guest's `main`.

use crate::filter::FilterError;
use crate::linux::{self, Errno};
use crate::options::{Network, Options, OptionsError};
use crate::process::Process;
use crate::{chance, clock, device, filter, memory, options, pages, report, signals};
use abi::hosted::descriptor;
use abi::layout::{LINUX_PROGRAM, LOWEST, MAIN_STACK, MAIN_STACK_SIZE};

/// Status of a process that could not become a machine: what a shell shows for a command that cannot be executed.
const STATUS_NOT_STARTED: u8 = 126;

/// Why the process cannot become a machine.
enum StartError {
    Options(OptionsError),
    /// A page of the guest's addresses cannot be had.
    Memory(Errno),
    /// A descriptor is not what the options say.
    Network(Errno),
    /// The linker has not seen the file.
    Unlinked,
    /// The host refuses something that every Linux since 5.9 grants.
    Host(Errno),
}

impl From<Errno> for StartError {
    fn from(error: Errno) -> Self {
        Self::Memory(error)
    }
}

/// Makes this process the machine of the guest that is linked with it, and takes from it what no guest needs. Returns the
/// stack pointer for the guest's main thread, as before a call. Ends the process if it cannot.
///
/// # Safety
///
/// For the start routine of the process, once; `stack` is the stack pointer at its start.
pub unsafe extern "C" fn start(stack: *const usize) -> u64 {
    // SAFETY: promised by the caller.
    let process = unsafe { Process::new(stack) };
    if let Err(error) = prepare(process) {
        report::complain(error.words(), error.number());
        linux::exit(STATUS_NOT_STARTED);
    }
    MAIN_STACK.0 + MAIN_STACK_SIZE as u64
}

fn prepare(process: Process) -> Result<(), StartError> {
    let options = Options::parse(options::words(process)).map_err(StartError::Options)?;
    let has_network = options.network != Network::None;
    // The nucleus, which the kernel has mapped with the guest: it has no business here.
    linux::unmap(LOWEST.0, LINUX_PROGRAM.0 - LOWEST.0)?;
    close_others(&options).map_err(StartError::Host)?;
    pages::map_info()?;
    clock::begin(options.seed.is_some());
    chance::begin(options.seed);
    pages::map_boot(options.memory, has_network, |room| {
        options::write_command_line(process, room).map_err(StartError::Options)
    })?;
    pages::map_block()?;
    pages::map_main_stack()?;
    memory::begin(options.memory);
    report::begin(options.has_control);
    signals::begin().map_err(StartError::Host)?;
    if has_network {
        device::begin(&options).map_err(StartError::Network)?;
    }
    clock::correct();
    filter::install().map_err(|error| match error {
        FilterError::Unlinked => StartError::Unlinked,
        FilterError::Refused(error) => StartError::Host(error),
    })
}

/// Closes what the guest has not been given.
fn close_others(options: &Options) -> Result<(), Errno> {
    linux::close_from(descriptor::END)?;
    if !options.has_control {
        linux::close(descriptor::CONTROL);
    }
    if options.network == Network::None {
        linux::close(descriptor::NETWORK);
    }
    linux::make_counter(descriptor::WAKE)
}

impl StartError {
    const fn words(&self) -> &'static str {
        match self {
            Self::Options(OptionsError::BadWord) => {
                "METAOS: unknown metaos.network=, or a number that is none; let `cargo metaos run` start the program"
            }
            Self::Options(OptionsError::TooLong) => {
                "arguments and environment are too long; start the program with fewer (env -i)"
            }
            Self::Memory(_) => "the host does not map memory at the guest's addresses (limits: ulimit -v)",
            Self::Network(_) => {
                "descriptor 4 is no network of the kind that METAOS names; let `cargo metaos run` start the program"
            }
            Self::Unlinked => "the file has no filter of system calls; link it with `cargo metaos build`",
            Self::Host(_) => "the host's kernel is too old or forbids seccomp; Linux 5.9 or later is needed",
        }
    }

    const fn number(&self) -> i32 {
        match self {
            Self::Options(_) | Self::Unlinked => 0,
            Self::Memory(error) | Self::Network(error) | Self::Host(error) => error.0,
        }
    }
}
