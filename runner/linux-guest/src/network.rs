//! Gives the network card its address, by messages of rtnetlink(7).
//!
//! The messages are put together by hand: there are three of them, and a netlink library would be larger than this.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::{fs, thread, time::Duration};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use crate::setup::Settings;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// Request, with an acknowledgement, creating what is not there (`linux/netlink.h`).
const FLAGS: u16 = 0x1 | 0x4 | 0x400;
const ERROR: u16 = 2;
const AF_INET: u8 = 2;
const INTERFACE_UP: u32 = 1;
/// Attributes (`linux/if_addr.h`, `linux/rtnetlink.h`).
const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ROUTE_GATEWAY: u16 = 5;
/// Table main, protocol boot, scope universe, type unicast (`linux/rtnetlink.h`).
const ROUTE: [u8; 4] = [254, 3, 0, 1];
/// How often, and how many times, it is looked for the card.
const POLL: Duration = Duration::from_millis(1);
const POLLS: u32 = 5000;

/// Sets the card's address, switches it on, and routes through the gateway.
pub(crate) fn configure(settings: &Settings) -> io::Result<()> {
    let index = find_card()?;
    // The protocol NETLINK_ROUTE is zero, the default.
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    let address =
        [vec![AF_INET, settings.prefix, 0, 0], index.to_ne_bytes().to_vec(), attributes(settings)].concat();
    request(&socket, NEW_ADDRESS, &address)?;
    let zero = [0; 4];
    let up = INTERFACE_UP.to_ne_bytes();
    request(&socket, NEW_LINK, &[zero, index.to_ne_bytes(), up, up].concat())?;
    let gateway = attribute(ROUTE_GATEWAY, settings.gateway);
    request(&socket, NEW_ROUTE, &[vec![AF_INET, 0, 0, 0], ROUTE.to_vec(), zero.to_vec(), gateway].concat())
}

/// Returns the index of the first card that is not the loopback interface.
fn find_card() -> io::Result<u32> {
    for _ in 0..POLLS {
        let devices = fs::read_to_string("/proc/net/dev")?;
        let names = devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim()));
        if let Some(name) = names.into_iter().find(|name| *name != "lo") {
            return index_of(name);
        }
        thread::sleep(POLL);
    }
    Err(io::Error::other("there is no network card"))
}

fn index_of(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(rustix::net::netdevice::name_to_index(socket, name)?)
}

fn attributes(settings: &Settings) -> Vec<u8> {
    [attribute(ADDRESS_LOCAL, settings.address), attribute(ADDRESS_ADDRESS, settings.address)].concat()
}

fn attribute(kind: u16, address: Ipv4Addr) -> Vec<u8> {
    let head = [8_u16.to_ne_bytes(), kind.to_ne_bytes()].concat();
    [head, address.octets().to_vec()].concat()
}

/// Sends one message and waits for its acknowledgement.
fn request(socket: &OwnedFd, kind: u16, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([kind.to_ne_bytes(), FLAGS.to_ne_bytes()].concat());
    message.extend([0; 8]);
    message.extend(body);
    sendto(socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 1024];
    let (_, length) = recv(socket, &mut answer[..], RecvFlags::empty())?;
    match answer.get(..length.min(20)) {
        Some([_, _, _, _, kind @ ..]) if kind.len() == 16 && kind[..2] == ERROR.to_ne_bytes() => {
            match i32::from_ne_bytes([kind[12], kind[13], kind[14], kind[15]]) {
                0 => Ok(()),
                number => Err(io::Error::from_raw_os_error(-number)),
            }
        }
        _ => Err(io::Error::other("the kernel answered something else")),
    }
}
