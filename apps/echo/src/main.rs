//! Answers TCP and UDP with what it got, on port 7 (RFC 862) or another one: `echo [--port N]`.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use libos::env::{OptionError, Options};
use libos::io::{self, ErrorKind, Read, Write};
use libos::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use libos::{eprintln, println, process, thread};

/// Bytes of the largest datagram that there is.
const DATAGRAM_BYTES: usize = 65_535;
/// Port of the protocol.
const PORT: u16 = 7;

entry::main!(main);

fn main() -> io::Result<()> {
    let port = port().unwrap_or_else(|error| {
        eprintln!("echo: {error}; usage: echo [--port N]");
        process::exit(2)
    });
    process::on_stop(|| process::exit(0))?;
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
    println!("echo: port {port}, TCP and UDP");
    thread::Builder::new().name("datagrams".into()).spawn(move || echo_datagrams(&socket))?;
    for stream in listener.incoming() {
        let stream = stream?;
        // Without memory for a thread the connection is closed, and the next one may have more luck.
        drop(thread::Builder::new().name("connection".into()).spawn(move || echo_stream(stream)));
    }
    Ok(())
}

fn port() -> Result<u16, OptionError> {
    let mut options = Options::from_args();
    let port = options.value("--port")?;
    options.finish()?;
    Ok(port.unwrap_or(PORT))
}

/// Sends back all that comes, until the peer ends or breaks off.
fn echo_stream(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 || stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn echo_datagrams(socket: &UdpSocket) {
    let mut buffer = libos::vec![0; DATAGRAM_BYTES];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, peer)) => {
                if let Err(error) = socket.send_to(&buffer[..length], peer)
                    && error.kind() == ErrorKind::NetworkDown
                {
                    return eprintln!("echo: {error}");
                }
            }
            Err(error) => return eprintln!("echo: {error}"),
        }
    }
}
