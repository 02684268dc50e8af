//! Measures the network, as server and as client: `netbench [server] [--port N]` or
//! `netbench client WORKLOAD HOST[:PORT] [--count N] [--seconds S] [--size BYTES]`.
//!
//! # What the server does
//!
//! One port a workload, counted from a base port (5201; `--port N` chooses another). All integers are little-endian.
//! There is no greeting. TCP connections have Nagle's algorithm off. Any number may be open at once, and idle for any
//! time.
//!
//! | port | TCP | UDP |
//! |---|---|---|
//! | base + 0 | *echo*: sends back every byte as it comes. When the client ends its stream, the server sends what is left and closes | *echo*: sends each datagram back to its sender |
//! | base + 1 | *sink*: takes bytes until the client ends its stream, sends one `u64`, the number of bytes it took, and closes | *sink*: takes each datagram and counts it and its bytes; answers nothing |
//! | base + 2 | *source*: reads one `u64` N, sends N bytes and closes. N = 2^64-1: sends until the client goes. What the bytes are says nothing | *source*: a datagram of two `u64`, COUNT (at most 10 000 000) and SIZE (8 to 1472), makes it send COUNT datagrams of SIZE bytes to the sender as fast as it can, each starting with its index as a `u64`, from 0. One request is served at a time; any other datagram is ignored |
//! | base + 3 | *close*: closes each connection as soon as it is accepted, so that the server closes first. For the other order connect to echo and close | - |
//! | base + 4 | *figures*: sends the line `connections=N open=N datagrams=N datagram_bytes=N` and closes: connections accepted at the four ports above since the start, those of them that are open, datagrams taken by the sink and their bytes | - |
//!
//! # What the client does
//!
//! | workload | one operation |
//! |---|---|
//! | `tcp-rr` | on one open connection to echo: send SIZE bytes (1), wait until as many are back |
//! | `udp-rr` | send a datagram of SIZE bytes (64) to echo and wait for it; its first 8 bytes, as far as it has them, are its number. What does not come within a second is lost |
//! | `tcp-send` | bytes into sink until the limit; end the stream, wait for the count and check it |
//! | `tcp-receive` | bytes from source until the limit |
//! | `connect` | connect to close, read the end of the stream, close |
//! | `udp-send` | datagrams of SIZE bytes (64) into sink without waiting; figures before and after tell how many came |
//! | `udp-receive` | datagrams of SIZE bytes (64) from source, until all came or a second is silent |
//!
//! `--count` limits operations, in `tcp-send` and `tcp-receive` bytes; `--seconds` limits the time (1 if there is no
//! limit at all). HOST is an address or a name. The result is one line, with status 0:
//!
//! `netbench: tcp-rr operations=1000 lost=0 bytes=1000 elapsed_us=81234 per_second=12310 bytes_per_second=12310`
//!
//! Bytes are payload in one direction. Wrong use ends with status 2, failure with 1.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod client;
mod protocol;
mod request;
mod server;

use libos::{eprintln, io, process};
use request::Request;

entry::main!(main);

fn main() -> io::Result<()> {
    match Request::from_args() {
        Ok(Request::Serve(base)) => server::serve(base),
        Ok(Request::Measure(measurement)) => client::measure(&measurement),
        Err(error) => {
            eprintln!("netbench: {error}\n{}", request::USAGE);
            process::exit(2)
        }
    }
}
