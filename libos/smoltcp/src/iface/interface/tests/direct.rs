use super::*;

use crate::socket::tcp;

fn segment(control: TcpControl, seq: i32, ack: Option<i32>) -> TcpRepr<'static> {
    TcpRepr {
        src_port: 4660,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(seq),
        ack_number: ack.map(TcpSeqNumber),
        window_len: 1000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

fn ip(payload_len: usize) -> IpRepr {
    IpRepr::new(
        IpAddress::v4(192, 168, 1, 2),
        IpAddress::v4(192, 168, 1, 1),
        IpProtocol::Tcp,
        payload_len,
        64,
    )
}

fn socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; 64]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.listen(80).unwrap();
    socket
}

/// The next segment that the socket sends.
fn sent(iface: &mut Interface, socket: &mut tcp::Socket<'_>) -> Option<(TcpControl, usize)> {
    let mut sent = None;
    iface
        .dispatch_segment(Instant::ZERO, socket, |_, _, repr| {
            sent = Some((repr.control, repr.payload.len()));
            Ok::<_, ()>(())
        })
        .unwrap();
    sent
}

#[rstest]
#[cfg(feature = "medium-ethernet")]
fn test_segments_pass_without_a_device(#[values(Medium::Ethernet)] medium: Medium) {
    let (mut iface, _, _) = setup(medium);
    let now = Instant::ZERO;
    let mut socket = socket();

    let syn = segment(TcpControl::Syn, 100, None);
    assert_eq!(
        iface.process_segment(now, &mut socket, &ip(syn.buffer_len()), &syn),
        None
    );
    assert_eq!(iface.segment_poll_at(now, &socket), Some(Instant::ZERO));
    // A segment that cannot be emitted is offered again.
    assert_eq!(
        iface.dispatch_segment(now, &mut socket, |_, _, _| Err(())),
        Err(())
    );
    let mut number = None;
    iface
        .dispatch_segment(now, &mut socket, |_, ip_repr, repr| {
            assert_eq!(ip_repr.payload_len(), repr.buffer_len());
            assert_eq!(repr.control, TcpControl::Syn);
            number = Some(repr.seq_number.0);
            Ok::<_, ()>(())
        })
        .unwrap();

    let ack = segment(TcpControl::None, 101, number.map(|number| number + 1));
    assert_eq!(
        iface.process_segment(now, &mut socket, &ip(ack.buffer_len()), &ack),
        None
    );
    assert_eq!(socket.state(), tcp::State::Established);
    assert_eq!(sent(&mut iface, &mut socket), None);
    assert_eq!(iface.segment_poll_at(now, &socket), None);
    socket.send_slice(b"data").unwrap();
    assert_eq!(iface.segment_poll_at(now, &socket), Some(Instant::ZERO));
    assert_eq!(sent(&mut iface, &mut socket), Some((TcpControl::Psh, 4)));
}

#[rstest]
#[cfg(feature = "medium-ethernet")]
fn test_segment_for_another_is_reset(#[values(Medium::Ethernet)] medium: Medium) {
    let (mut iface, _, _) = setup(medium);
    let mut socket = socket();
    let ack = segment(TcpControl::None, 1, Some(2));
    let (_, reply) = iface
        .process_segment(Instant::ZERO, &mut socket, &ip(ack.buffer_len()), &ack)
        .unwrap();
    assert_eq!(reply.control, TcpControl::Rst);
    let rst = segment(TcpControl::Rst, 1, Some(2));
    assert_eq!(
        iface.process_segment(Instant::ZERO, &mut socket, &ip(rst.buffer_len()), &rst),
        None
    );
    assert_eq!(socket.state(), tcp::State::Listen);
}

#[rstest]
#[cfg(feature = "medium-ethernet")]
fn test_next_hop(#[values(Medium::Ethernet)] medium: Medium) {
    let (mut iface, _, _) = setup(medium);
    let (now, later) = (Instant::ZERO, Instant::from_secs(61));
    let hardware = HardwareAddress::Ethernet(EthernetAddress([2, 2, 2, 2, 2, 2]));
    let near = IpAddress::v4(192, 168, 1, 2);
    assert_eq!(iface.next_hop(now, &near), None);
    iface.inner.neighbor_cache.fill(near, hardware, now);
    assert_eq!(iface.next_hop(now, &near), Some(hardware));
    assert_eq!(iface.next_hop(later, &near), None);
    // What lies beyond a router is sent to the router.
    let far = IpAddress::v4(1, 2, 3, 4);
    assert_eq!(iface.next_hop(now, &far), None);
    iface
        .routes_mut()
        .add_default_ipv4_route(Ipv4Address::new(192, 168, 1, 2))
        .unwrap();
    assert_eq!(iface.next_hop(now, &far), Some(hardware));
    assert_eq!(iface.next_hop(now, &IpAddress::v4(192, 168, 1, 255)), None);
}

#[rstest]
#[cfg(all(feature = "medium-ethernet", feature = "socket-udp"))]
fn test_a_datagram_reaches_its_socket_without_a_device(#[values(Medium::Ethernet)] medium: Medium) {
    use crate::socket::udp;

    let (mut iface, _, _) = setup(medium);
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY], vec![0; 16]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(80).unwrap();
    let repr = UdpRepr {
        src_port: 4660,
        dst_port: 80,
    };
    iface.process_datagram(Instant::ZERO, &mut socket, &ip(12), &repr, b"data");
    let (payload, meta) = socket.recv().unwrap();
    assert_eq!(payload, b"data");
    assert_eq!(
        meta.endpoint,
        IpEndpoint::new(IpAddress::v4(192, 168, 1, 2), 4660)
    );
    assert_eq!(meta.local_address, Some(IpAddress::v4(192, 168, 1, 1)));
}

#[rstest]
#[cfg(feature = "medium-ethernet")]
fn test_a_neighbor_that_is_heard_of_stays_known(#[values(Medium::Ethernet)] medium: Medium) {
    let (mut iface, _, _) = setup(medium);
    let remote = IpAddress::v4(192, 168, 1, 2);
    let hardware = |last| HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, last]));
    let at = Instant::from_secs;
    iface.inner.neighbor_cache.fill(remote, hardware(1), at(0));
    iface.refresh_neighbor(at(50), remote, hardware(1));
    assert_eq!(iface.next_hop(at(100), &remote), Some(hardware(1)));
    // Another one cannot keep it.
    iface.refresh_neighbor(at(100), remote, hardware(2));
    assert_eq!(iface.next_hop(at(111), &remote), None);
}
