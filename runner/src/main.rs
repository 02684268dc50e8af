//! The program `cargo metaos`; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    metaos_runner::cli::main(std::env::args_os().collect())
}
