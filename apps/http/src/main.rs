//! Serves HTTP/1.1: `http [--port N]`.
//!
//! `/` is a tiny answer, `/stats` shows figures as JSON, `/bytes/N` sends N bytes of a fixed pattern, and `PUT` or
//! `POST` to `/sink` receives a body and answers its length and checksum.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod connection;
mod figures;

use figures::FIGURES;
use libos::io::{Result, Write};
use libos::net::{Ipv4Addr, TcpListener, TcpStream};
use libos::vec::Vec;
use libos::{env, eprintln, println, process, system, thread};

/// Port that is served unless it is said otherwise.
const PORT: u16 = 80;
/// Bytes of stack of one connection's thread.
const STACK_BYTES: usize = 32 << 10;
/// The share of the memory that may go into such stacks.
const STACK_SHARE: u64 = 4;

entry::main!(main);

fn main() -> Result<()> {
    let Some(port) = port() else {
        eprintln!("usage: http [--port N]");
        process::exit(2);
    };
    process::on_stop(|| process::exit(0))?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    println!("http: serving on port {port}");
    let limit = system::memory_bytes() / STACK_SHARE / STACK_BYTES as u64;
    for stream in listener.incoming() {
        serve(stream?, limit);
    }
    Ok(())
}

fn port() -> Option<u16> {
    let mut words = env::args().skip(1);
    match (words.next().as_deref(), words.next(), words.next()) {
        (None, ..) => Some(PORT),
        (Some("--port"), Some(number), None) => number.parse().ok(),
        _ => None,
    }
}

/// Serves a connection in a thread of its own, or refuses it if there are too many.
fn serve(stream: TcpStream, limit: u64) {
    if FIGURES.open_connections() >= limit {
        return refuse(&stream);
    }
    let second = stream.clone();
    let open = FIGURES.open_connection();
    let thread = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES).spawn(move || {
        // A client that breaks off is no news.
        let _ = connection::serve(&stream);
        drop(open);
    });
    if thread.is_err() {
        refuse(&second);
    }
}

fn refuse(mut stream: &TcpStream) {
    let mut answer = Vec::new();
    http_protocol::refuse(&mut answer);
    // If even that fails the client sees the connection close, which says the same.
    let _ = stream.write_all(&answer);
}
