//! Prints a greeting and its arguments, and ends with the status that is asked for: `hello [WORD...] [--exit N]`.
//! The variable `GREETING` replaces the greeting.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use entry::ExitCode;
use libos::string::String;
use libos::vec::Vec;
use libos::{env, eprintln, println};

entry::main!(main);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    println!("{}", env::var("GREETING").as_deref().unwrap_or("Hello from ring 3."));
    let (words, status) = match words.as_slice() {
        [words @ .., option, status] if option == "--exit" => match status.parse::<u8>() {
            Ok(status) => (words, ExitCode::from(status)),
            Err(_) => {
                eprintln!("--exit {status}: not a status; write a number up to 255");
                return ExitCode::from(2);
            }
        },
        words => (words, ExitCode::SUCCESS),
    };
    for (index, word) in words.iter().enumerate() {
        println!("argument {}: {word}", index + 1);
    }
    status
}
