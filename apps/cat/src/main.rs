//! Repeats its standard input line by line until that ends (Ctrl-D).
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use libos::io::{Result, stdin};
use libos::println;

entry::main!(main);

fn main() -> Result<()> {
    println!("cat: ready");
    for line in stdin().lines() {
        println!("{}", line?);
    }
    Ok(())
}
