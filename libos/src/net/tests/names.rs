use super::services::datagram;
use super::wire::{CLIENT, SERVER, World};
use crate::net::config::Settings;
use crate::net::dns::{Question, ResolveError, Wanted};
use alloc::vec::Vec;
use core::net::IpAddr;
use smoltcp::time::Duration;
use smoltcp::wire::Ipv4Cidr;

/// A world whose client asks the server for names.
fn world() -> World {
    let mut world = World::new();
    let settings =
        Settings { address: Ipv4Cidr::new(CLIENT, 24), gateway: None, servers: [SERVER.into()].into() };
    world.client.stack().configure(Some(&settings));
    world
}

fn ask(world: &mut World, name: &str) -> Result<Question, ResolveError> {
    let now = world.now;
    let (dns, link) = world.client.stack().resolver();
    dns.ask(now, link, name, Wanted::V4)
}

fn poll(world: &mut World, question: Question) -> Result<Result<Vec<IpAddr>, ResolveError>, Question> {
    world.client.stack().resolver().0.answer(question)
}

/// Lets the client send its question and returns the DNS message and the port that it comes from.
fn sent_question(world: &mut World) -> (Vec<u8>, u16) {
    let (socket, _) = world.server.stack().bind(core::net::SocketAddrV4::new(SERVER, 53), 4096).unwrap();
    let mut question = None;
    world.run_until(Duration::from_secs(5), |world| {
        let received = world
            .server
            .stack()
            .with_datagram(socket, |datagram| datagram.receive(|bytes, from| (bytes.to_vec(), from.port())));
        question = received.unwrap();
        question.is_some()
    });
    world.server.stack().unbind(socket);
    question.unwrap()
}

/// The answer with `code` and these addresses.
fn answer(mut message: Vec<u8>, code: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    message[2] |= 0x80;
    message[3] = code;
    message[7] = u8::try_from(addresses.len()).unwrap();
    for address in addresses {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address);
    }
    message
}

#[test]
fn a_name_gives_its_addresses() {
    let mut world = world();
    let question = ask(&mut world, "example.org").unwrap();
    let (message, port) = sent_question(&mut world);
    let answer = answer(message, 0, &[[192, 0, 2, 1], [192, 0, 2, 2]]);
    world.client.device().incoming.0.push_back(datagram(SERVER, 53, CLIENT, port, &answer));
    world.settle();
    let addresses = poll(&mut world, question).ok().unwrap().unwrap();
    assert_eq!(addresses, [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])]);
}

#[test]
fn a_name_that_does_not_exist_is_not_found() {
    let mut world = world();
    let question = ask(&mut world, "nowhere.example").unwrap();
    let (message, port) = sent_question(&mut world);
    world.client.device().incoming.0.push_back(datagram(SERVER, 53, CLIENT, port, &answer(message, 3, &[])));
    world.settle();
    assert_eq!(poll(&mut world, question).ok(), Some(Err(ResolveError::NotFound)));
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let mut world = world();
    let question = ask(&mut world, "example.org").unwrap();
    world.run_for(Duration::from_secs(30));
    assert_eq!(poll(&mut world, question).ok(), Some(Err(ResolveError::NotFound)));
}

#[test]
fn bad_names_and_no_server_are_told() {
    let mut world = world();
    let long = "a".repeat(64);
    for name in ["", ".", "a..b", &long, &"a.".repeat(200)] {
        assert_eq!(ask(&mut world, name).err(), Some(ResolveError::BadName), "{name}");
    }
    world.client.stack().configure(None);
    assert_eq!(ask(&mut world, "example.org").err(), Some(ResolveError::NoServer));
}

#[test]
fn answers_that_lie_are_survived() {
    let mut world = world();
    let question = ask(&mut world, "example.org").unwrap();
    let (message, port) = sent_question(&mut world);
    let whole = answer(message, 0, &[[192, 0, 2, 1]]);
    for length in 0..whole.len() {
        let mut lie = whole[..length].to_vec();
        world.client.device().incoming.0.push_back(datagram(SERVER, 53, CLIENT, port, &lie));
        for byte in &mut lie {
            *byte = byte.wrapping_add(0xc0);
        }
        world.client.device().incoming.0.push_back(datagram(SERVER, 53, CLIENT, port, &lie));
    }
    world.settle();
    assert!(poll(&mut world, question).is_err(), "no whole answer has come");
}
