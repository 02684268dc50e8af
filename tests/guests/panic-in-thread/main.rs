//! Panics in a thread.
#![no_std]
#![no_main]

use libos::thread::Builder;
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("panic in a thread");
    let worker = Builder::new().name("worker-1".into()).spawn(|| panic!("the worker gives up"));
    let ended = worker.map(|worker| worker.join().is_ok());
    metaos_test_guests::say(format_args!("{ended:?}"));
    not_caught()
}
