//! Init of the stock Linux guest: prepares the machine and serves what our own guest's programs serve.
//!
//! `/` by HTTP with keep-alive on port 80, as `http` does; echo, sink, source and close by TCP and UDP on the ports
//! from 5201 on, as `netbench` does. One thread and one level-triggered epoll, no allocation per operation: what a
//! careful program on Linux does. It is linked statically and is the only process.
#![forbid(unsafe_code)]

mod connection;
mod datagrams;
mod network;
mod server;
mod setup;

use std::fmt::Display;
use std::thread;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        // A process like others, on a Linux that is furnished already.
        if let Err(error) = serve() {
            println!("linux guest: {error}");
        }
        std::process::exit(1);
    }
    if let Err(error) = run() {
        println!("linux guest: {error}");
    }
    // Init must not end: the kernel would panic over the message.
    loop {
        thread::park();
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    setup::mount().map_err(|error| describe("mount", error))?;
    setup::load_modules().map_err(|error| describe("load modules", error))?;
    let settings = setup::settings()?;
    network::configure(&settings).map_err(|error| describe("configure the network", error))?;
    setup::raise_limits().map_err(|error| describe("raise limits", error))?;
    println!("linux guest: clock source {}", setup::clock_source());
    serve()
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let server = server::Server::listen().map_err(|error| describe("listen", error))?;
    println!("linux guest: serving");
    Err(describe("serve", server.serve()).into())
}

fn describe(step: &str, error: impl Display) -> String {
    format!("cannot {step}: {error}")
}
