//! An ordinary program with threads, a panic that is caught, sockets and files.
#![allow(missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    TcpStream::connect(address).unwrap().write_all(b"over loopback").unwrap();
    println!("{}", server.join().unwrap());
    std::panic::set_hook(Box::new(|_| println!("hook")));
    let caught = std::panic::catch_unwind(|| assert!(std::env::args().count() > 90));
    println!("caught {}", caught.is_err());
    let path = std::env::temp_dir().join(format!("metaos-work-{}", std::process::id()));
    std::fs::write(&path, "text").unwrap();
    println!("{} {}", std::fs::read_to_string(&path).unwrap(), std::fs::metadata(&path).unwrap().len());
    std::fs::remove_file(&path).unwrap();
    println!("{:?}", std::fs::read(&path).unwrap_err().kind());
    let sums: Vec<u64> = (0..8).map(|n| thread::spawn(move || (0..n * 1000).sum::<u64>())).map(|t| t.join().unwrap()).collect();
    println!("{sums:?}");
    std::process::exit(5);
}
