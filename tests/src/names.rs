//! A network of the test's own with a DNS server, a DHCP server and a host that sends datagrams back.
//!
//! It is played frame by frame on a cable, so that it takes no rights and the test sees each question that is asked.
//! The guest's own network has a router, which is the DHCP server, too; everybody else lies behind it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use runner::{MachineConfig, MachineError, Outcome};
use stock_smoltcp::wire::{
    ArpOperation, DhcpMessageType, DhcpPacket, DhcpRepr, DnsFlags, DnsOpcode, DnsPacket, DnsQuestion,
    EthernetAddress,
};

use crate::cable::{self, Cable, HARDWARE_ADDRESS};
use crate::frame::{Ends, arp_question, udp_datagram};
use crate::namespace::{GUEST, HOST};

/// The DNS server.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// The host that [`NAME`] names; it sends datagrams back.
pub const TARGET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);
/// The one name that there is.
pub const NAME: &str = "bench.example.org";

const DNS_PORT: u16 = 53;
const DHCP_SERVER_PORT: u16 = 67;
const DHCP_CLIENT_PORT: u16 = 68;
/// Bytes before the question of a DNS message (RFC 1035, 4.1.1).
const DNS_HEADER: usize = 12;
/// Code of an answer that says that there is no such name (RFC 1035, 4.1.1).
const NO_SUCH_NAME: u8 = 3;
/// How long a lease lasts, in seconds.
const LEASE: u32 = 3600;
/// How often the network looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// What the DNS server does with questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// It answers them.
    Answers,
    /// It takes them and says nothing.
    IsSilent,
}

/// What came of a machine, and what the network has seen of it.
#[derive(Debug)]
pub struct Visit {
    /// How the machine ended.
    pub outcome: Outcome,
    /// The names that were asked for, one entry a question.
    pub questions: Vec<String>,
    /// Datagrams that were sent back.
    pub echoes: usize,
}

/// Runs a machine to its end on this network, for at most `timeout`.
///
/// # Errors
///
/// The machine does not end, or without a word.
///
/// # Panics
///
/// The machine does not start.
pub fn visit(config: MachineConfig, server: Server, timeout: Duration) -> Result<Visit, MachineError> {
    let (machine, cable) = cable::plug_in(config);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let host = Hosts { cable, server, questions: Vec::new(), echoes: 0 };
        let network = scope.spawn(|| host.play(&is_over));
        let outcome = machine.wait(timeout);
        is_over.store(true, Ordering::Relaxed);
        let Hosts { questions, echoes, .. } = network.join().expect("the network does not panic");
        Ok(Visit { outcome: outcome?, questions, echoes })
    })
}

struct Hosts {
    cable: Cable,
    server: Server,
    questions: Vec<String>,
    echoes: usize,
}

impl Hosts {
    fn play(mut self, is_over: &AtomicBool) -> Self {
        while !is_over.load(Ordering::Relaxed) {
            if let Some(frame) = self.cable.receive(LOOK)
                && let Some(answer) = self.answer(&frame)
            {
                self.cable.send(&answer);
            }
        }
        self
    }

    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if let Some((who, address, asked)) = arp_question(frame) {
            return tell_address(who, address, asked);
        }
        let (ends, ports, payload) = udp_datagram(frame)?;
        match (ends.destination_ip, ports.1) {
            (_, DHCP_SERVER_PORT) => lease(ends, payload),
            (NAME_SERVER, DNS_PORT) => {
                let answer = self.resolve(payload)?;
                Some(ends.back().udp((ports.1, ports.0), &answer))
            }
            (TARGET, _) => {
                self.echoes += 1;
                Some(ends.back().udp((ports.1, ports.0), payload))
            }
            _ => None,
        }
    }

    fn resolve(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let name = asked_name(question)?;
        let is_known = name == NAME;
        self.questions.push(name);
        (self.server == Server::Answers).then(|| answer(question, is_known))
    }
}

/// Answers an ARP request for the router.
fn tell_address(who: Ipv4Addr, address: EthernetAddress, asked: Ipv4Addr) -> Option<Vec<u8>> {
    let ends = Ends { source: HARDWARE_ADDRESS, source_ip: asked, destination: address, destination_ip: who };
    (asked == HOST).then(|| ends.arp(ArpOperation::Reply))
}

/// Offers and gives the guest its address and the name server's (RFC 2131).
fn lease(ends: Ends, request: &[u8]) -> Option<Vec<u8>> {
    let packet = DhcpPacket::new_checked(request).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    let message_type = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request => DhcpMessageType::Ack,
        _ => return None,
    };
    let answer = DhcpRepr {
        message_type,
        your_ip: GUEST.ip,
        server_ip: HOST,
        router: Some(HOST),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        server_identifier: Some(HOST),
        dns_servers: Some(std::iter::once(NAME_SERVER).collect()),
        lease_duration: Some(LEASE),
        requested_ip: None,
        client_identifier: None,
        parameter_request_list: None,
        max_size: None,
        ..request
    };
    let mut bytes = vec![0; answer.buffer_len()];
    answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).expect("the buffer has room for it");
    let way = Ends {
        source: HARDWARE_ADDRESS,
        source_ip: HOST,
        destination: ends.source,
        destination_ip: Ipv4Addr::BROADCAST,
    };
    Some(way.udp((DHCP_SERVER_PORT, DHCP_CLIENT_PORT), &bytes))
}

/// Returns the name in a question for addresses.
fn asked_name(message: &[u8]) -> Option<String> {
    let packet = DnsPacket::new_checked(message).ok()?;
    if packet.opcode() != DnsOpcode::Query || packet.flags().contains(DnsFlags::RESPONSE) {
        return None;
    }
    let (_, question) = DnsQuestion::parse(packet.payload()).ok()?;
    let labels: Result<Vec<&[u8]>, _> = packet.parse_name(question.name).collect();
    let labels: Vec<_> = labels.ok()?.into_iter().map(String::from_utf8_lossy).collect();
    Some(labels.join("."))
}

/// Makes an answer out of a question (RFC 1035, 4.1.3): the target's address, or that there is no such name.
fn answer(question: &[u8], is_known: bool) -> Vec<u8> {
    let mut message = question.to_vec();
    // A response.
    message[2] |= 0x80;
    message[3] = if is_known { 0 } else { NO_SUCH_NAME };
    message[7] = u8::from(is_known);
    if is_known {
        let name = 0xc000 | u16::try_from(DNS_HEADER).expect("the header is short");
        message.extend(name.to_be_bytes());
        // Type A, class IN, for a minute, four bytes.
        message.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(TARGET.octets());
    }
    message
}
