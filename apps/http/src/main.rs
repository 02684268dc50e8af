//! Serves HTTP/1.1: `http [--port N]`.
//!
//! `/` is a tiny answer, `/stats` shows figures as JSON, `/bytes/N` sends N bytes of a fixed pattern, and `PUT` or
//! `POST` to `/sink` receives a body and answers its length and checksum.
//!
//! One thread serves all connections from a poll set, so that a connection that is silent costs a few hundred bytes
//! beside its buffers.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod connection;
mod figures;
mod server;

use libos::env::{OptionError, Options};
use libos::io::Result;
use libos::net::{Ipv6Addr, TcpListener};
use libos::{eprintln, println, process};
use server::Server;

/// Port that is served unless it is said otherwise.
const PORT: u16 = 80;

entry::main!(main);

fn main() -> Result<()> {
    let port = port().unwrap_or_else(|error| {
        eprintln!("http: {error}; usage: http [--port N]");
        process::exit(2)
    });
    process::on_stop(|| process::exit(0))?;
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    println!("http: serving on port {port}");
    Server::new(listener)?.run()
}

fn port() -> core::result::Result<u16, OptionError> {
    let mut options = Options::from_args();
    let port = options.value("--port")?;
    options.finish()?;
    Ok(port.unwrap_or(PORT))
}
