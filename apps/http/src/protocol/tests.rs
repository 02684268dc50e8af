use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

struct Figures;

impl Report for Figures {
    fn append(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(b"{}\n");
    }
}

fn feed(session: &mut Session, bytes: &[u8]) -> (usize, Step) {
    session.feed(bytes, &Figures)
}

/// What is answered to `bytes`, and how it ends.
fn answer(bytes: &str) -> (String, Step) {
    let mut session = Session::new();
    let (_, step) = feed(&mut session, bytes.as_bytes());
    (String::from_utf8(session.output).unwrap(), step)
}

fn status(bytes: &str) -> u16 {
    answer(bytes).0[9..12].parse().unwrap()
}

#[test]
fn the_root_greets_and_the_connection_goes_on() {
    let (text, step) = answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("Content-Length: 24\r\n"));
    assert!(text.ends_with("\r\n\r\nHello from the meta-OS.\n"));
    assert!(!text.contains("Connection"));
    assert_eq!(step, Step::Read);
}

#[test]
fn the_greeting_is_the_same_whole_and_in_parts() {
    let (whole, _) = answer("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (parts, _) = answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(parts.replace("Connection: keep-alive\r\n", ""), whole);
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (text, step) = answer(&format!("{one}GET /none HTTP/1.1\r\nHost: a\r\n\r\n{one}"));
    let places: Vec<_> =
        text.match_indices("HTTP/1.1 ").map(|(place, _)| &text[place + 9..place + 12]).collect();
    assert_eq!(places, ["200", "404", "200"]);
    assert_eq!(step, Step::Read);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut session = Session::new();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /stats HTTP/1.1\r\nHost: a\r\n\r\n";
    for byte in request {
        assert_eq!(feed(&mut session, &[*byte]), (1, Step::Read));
    }
    assert_eq!(session.answered, 2);
    assert!(session.output.ends_with(b"{}\n"));
    assert!(!session.has_carry());
}

#[test]
fn answers_to_a_flood_of_requests_are_sent_before_more_are_looked_at() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let flood = request.repeat(10_000);
    let (mut session, mut taken, mut answered) = (Session::new(), 0, 0);
    while taken < flood.len() {
        let (count, step) = feed(&mut session, &flood[taken..]);
        assert_eq!(step, Step::Read);
        assert!(session.held() < 64 << 10, "{} bytes are held", session.held());
        answered += String::from_utf8(session.output.split_off(0)).unwrap().matches("200 OK").count();
        taken += count;
    }
    assert_eq!(answered, 10_000);
}

#[test]
fn the_client_says_whether_the_connection_goes_on() {
    assert_eq!(answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").1, Step::Close);
    assert_eq!(answer("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, Close\r\n\r\n").1, Step::Close);
    assert_eq!(answer("GET / HTTP/1.0\r\n\r\n").1, Step::Close);
    let (text, step) = answer("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert!(text.contains("Connection: keep-alive\r\n"));
    assert_eq!(step, Step::Read);
}

#[test]
fn errors_have_their_numbers() {
    assert_eq!(status("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    assert_eq!(status("GET /bytes/-1 HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    assert_eq!(status("GET /bytes/99999999999999999999 HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), 405);
    assert_eq!(status("GET /sink HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
    assert_eq!(status("POST /sink HTTP/1.1\r\nHost: a\r\n\r\n"), 411);
    assert_eq!(status("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 501);
    assert_eq!(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    ] {
        assert_eq!(status(bad), 400, "{bad:?}");
        assert_eq!(answer(bad).1, Step::Refuse, "{bad:?}");
    }
    assert!(answer("POST / HTTP/1.1\r\nHost: a\r\n\r\n").0.contains("Allow: GET, HEAD\r\n"));
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
    assert_eq!(status(&long), 431);
    assert_eq!(status(&long[..MAX_HEAD + 1]), 431);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(40));
    assert_eq!(status(&many), 431);
}

#[test]
fn head_sends_no_body() {
    for place in ["/", "/stats", "/bytes/100", "/none"] {
        let (text, step) = answer(&format!("HEAD {place} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        assert!(!text.contains("Content-Length: 0"), "{text}");
        assert_eq!(step, Step::Read);
    }
}

#[test]
fn a_body_that_nobody_wants_is_skipped() {
    let next = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (text, _) = answer(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345{next}"));
    assert_eq!(text.matches("HTTP/1.1 ").count(), 2);
    assert!(text.ends_with("meta-OS.\n"));
}

#[test]
fn long_bodies_are_left_to_the_connection() {
    let mut session = Session::new();
    let request = b"GET /bytes/1000 HTTP/1.1\r\nHost: a\r\n\r\nrest";
    let (taken, step) = feed(&mut session, request);
    assert_eq!((taken, step), (request.len() - 4, Step::Send(1000, Persistence::KeepAlive)));
    assert!(session.output.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_received_body_is_answered_with_its_checksum() {
    let mut session = Session::new();
    let head = b"PUT /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    // The head comes in two pieces, and the second brings some of the body along.
    feed(&mut session, &head[..10]);
    let (_, step) = feed(&mut session, &[&head[10..], b"ab"].concat());
    assert_eq!(step, Step::Sink(3, Persistence::KeepAlive));
    assert!(session.output.starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"));
    let mut checksum = Checksum::new();
    checksum.add(&session.take_body(3));
    checksum.add(b"c");
    session.finish_sink(3, checksum, Persistence::Close);
    assert!(session.output.ends_with(b"3 e71fa2190541574b\n"));
}

#[test]
fn no_bytes_break_the_parser() {
    let request = b"PUT /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    for place in 0..request.len() {
        for byte in [0, b' ', b'\r', b'\n', 0x80, 0xff, b'9'] {
            let mut changed = *request;
            changed[place] = byte;
            let mut session = Session::new();
            feed(&mut session, &changed);
        }
    }
}

/// What a known parser makes of `bytes`: method, target, minor version, fields, length; `None` for an error,
/// `Some(None)` if more must come.
type Read = Option<Option<(Vec<u8>, Vec<u8>, u8, Vec<(Vec<u8>, Vec<u8>)>, usize)>>;

fn read_as_known(bytes: &[u8]) -> Read {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes).ok()? else { return Some(None) };
    let fields = request.headers.iter();
    let fields = fields.map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
    let (method, target) = (request.method.unwrap().into(), request.path.unwrap().into());
    Some(Some((method, target, request.version.unwrap(), fields, length)))
}

fn read_as_ours(bytes: &[u8]) -> Read {
    use crate::lines::{Lines, Stop};
    let mut lines = Lines::new(bytes);
    let line = match lines.request_line() {
        Ok(line) => line,
        Err(stop) => return (stop == Stop::Incomplete).then_some(None),
    };
    let mut fields = Vec::new();
    loop {
        match lines.field() {
            Ok(Some(field)) => fields.push((field.name.to_vec(), field.value.to_vec())),
            Ok(None) => break,
            Err(stop) => return (stop == Stop::Incomplete).then_some(None),
        }
    }
    Some(Some((
        line.method.to_vec(),
        line.target.to_vec(),
        line.minor,
        fields,
        bytes.len() - lines.rest().len(),
    )))
}

#[test]
fn heads_are_read_as_a_known_parser_reads_them() {
    let heads: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: 10.9.0.2:8080\r\n\r\nrest",
        b"\r\n\nPOST /sink?a=b HTTP/1.0\nHost:a\nContent-Length: \t 12 \t\nX-Empty:\n\nrest",
        b"HEAD /bytes/7 HTTP/1.1\r\nHost: a\r\nAccept: text/html;q=0.9, */*;q=0.8\r\nUser-Agent: Mozilla/5.0 (X; Y)\tZ\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nNon-Ascii: caf\xc3\xa9 \x80\xff\x9f\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nhost: 12345678\r\nb: 1234567\r\nc: 123456789abcdef\r\nd: 0123456789abcdef\r\n\r\n",
        b"GET  / HTTP/1.1\r\n folded\r\n\r\n",
    ];
    let odd = b"\0\t\r\n :/A\x7f\x80\xff\x1f\x20\x21~@";
    let mut state = 1_u64;
    let mut random = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let mut whole = 0;
    for round in 0..60_000 {
        let mut bytes = heads[random(heads.len())].to_vec();
        for _ in 0..random(4) {
            let place = random(bytes.len().max(2) - 1);
            match random(4) {
                0 => bytes[place] = odd[random(odd.len())],
                1 => bytes.insert(place, odd[random(odd.len())]),
                2 => drop(bytes.remove(place)),
                _ => bytes.truncate(place.max(4)),
            }
        }
        let known = read_as_known(&bytes);
        let ours = read_as_ours(&bytes);
        // A target of other bytes than ASCII is refused here: RFC 9112, 3.2 knows none.
        let is_odd_target = |read: &Read| {
            matches!(read, Some(Some((_, target, ..))) if !target.is_ascii()) || matches!(read, Some(None))
        };
        if ours.is_none() && is_odd_target(&known) {
            continue;
        }
        // More is asked for, or not, when it is clear already that it cannot help.
        if matches!(ours, Some(None)) && known.is_none() || matches!(known, Some(None)) && ours.is_none() {
            continue;
        }
        whole += usize::from(matches!(ours, Some(Some(_))));
        assert_eq!(ours, known, "round {round}: {}", bytes.escape_ascii());
    }
    assert!(whole > 15_000, "only {whole} heads were whole");
}

#[test]
fn versions_and_odd_targets_are_told_apart() {
    assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), 505);
    assert_eq!(status("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\u{1}\r\n\r\n"), 400);
}
