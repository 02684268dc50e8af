//! Records from good, garbled and hostile machines.

use super::*;

/// Returns the bytes of a record.
pub(crate) fn encode(kind: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut bytes: Vec<u8> = [MAGIC, kind, length, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend_from_slice(payload);
    bytes
}

/// Returns the payload of a crash record.
pub(crate) fn encode_crash(crash: &CrashRecord) -> Vec<u8> {
    let r = &crash.registers;
    let kind = crash.kind.map_or(999, |kind| kind as u32);
    let mut bytes: Vec<u8> = [kind, crash.vector].into_iter().flat_map(u32::to_le_bytes).collect();
    let words = [
        crash.error_code,
        crash.address,
        r.rax,
        r.rdx,
        r.rcx,
        r.rbx,
        r.rsi,
        r.rdi,
        r.rbp,
        r.rsp,
        r.r8,
        r.r9,
        r.r10,
        r.r11,
        r.r12,
        r.r13,
        r.r14,
        r.r15,
        r.rip,
        r.rflags,
        crash.stack_start,
    ];
    bytes.extend(words.into_iter().flat_map(u64::to_le_bytes));
    let lengths = [crash.text.len(), crash.stack.len()];
    bytes.extend(lengths.into_iter().flat_map(|length| u32::try_from(length).unwrap().to_le_bytes()));
    assert_eq!(bytes.len(), CRASH_HEADER);
    bytes.extend_from_slice(crash.text.as_bytes());
    bytes.extend_from_slice(&crash.stack);
    bytes
}

/// Returns a crash of `kind` with nothing else in it.
pub(crate) fn blank_crash(kind: CrashKind) -> CrashRecord {
    CrashRecord {
        kind: Some(kind),
        vector: 0,
        error_code: 0,
        address: 0,
        registers: Registers::default(),
        stack_start: 0,
        text: String::new(),
        stack: Vec::new(),
    }
}

fn sample_crash() -> CrashRecord {
    CrashRecord {
        vector: 14,
        error_code: 7,
        address: 0x6000_0000_1000,
        registers: Registers {
            rax: 1,
            r15: 15,
            rip: 0x6000_0000_0010,
            rflags: 0x202,
            ..Registers::default()
        },
        stack_start: 0x7100_0000_8000,
        text: "in thread worker-1".to_owned(),
        stack: (0..=255).collect(),
        ..blank_crash(CrashKind::Fault)
    }
}

#[test]
fn every_exit_status_arrives_whole() {
    for status in 0..=255 {
        assert_eq!(Parser::new().push(&encode(record::EXIT, &[status])), [Record::Exit(status)]);
    }
}

#[test]
fn a_crash_arrives_in_pieces_of_any_size() {
    let bytes = encode(record::CRASH, &encode_crash(&sample_crash()));
    for size in [1, 3, 16, 100, 4096] {
        let mut parser = Parser::new();
        let records: Vec<Record> = bytes.chunks(size).flat_map(|piece| parser.push(piece)).collect();
        assert_eq!(records, [Record::Crash(Box::new(sample_crash()))]);
        assert_eq!(parser.skipped(), 0);
    }
}

#[test]
fn noise_between_records_is_skipped() {
    let mut bytes = b"mOSm garbage \xff".to_vec();
    bytes.extend(encode(record::EXIT, &[3]));
    bytes.extend(b"mOS");
    bytes.extend(encode(record::EXIT, &[4]));
    let mut parser = Parser::new();
    assert_eq!(parser.push(&bytes), [Record::Exit(3), Record::Exit(4)]);
    assert_eq!(parser.skipped(), 17);
}

#[test]
fn a_length_beyond_the_contract_is_not_waited_for() {
    let mut bytes: Vec<u8> =
        [MAGIC, record::CRASH, u32::MAX, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend(encode(record::EXIT, &[9]));
    let mut parser = Parser::new();
    assert_eq!(parser.push(&bytes), [Record::Exit(9)]);
    assert!(parser.pending.len() < HEADER);
}

#[test]
fn records_that_lie_about_their_contents_are_dropped() {
    let mut crash = encode_crash(&sample_crash());
    let lengths = CRASH_HEADER - 8;
    crash[lengths..lengths + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let lying = [
        encode(record::CRASH, &crash),
        encode(record::CRASH, &[0; CRASH_HEADER - 1]),
        encode(record::EXIT, &[]),
        encode(record::EXIT, &[1, 2]),
        encode(77, &[1]),
    ];
    for bytes in lying {
        assert_eq!(Parser::new().push(&bytes), []);
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let crash = CrashRecord { text: "\x1b[2Jgone".to_owned(), ..sample_crash() };
    let records = Parser::new().push(&encode(record::CRASH, &encode_crash(&crash)));
    let [Record::Crash(crash)] = records.as_slice() else { panic!("one crash expected") };
    assert_eq!(crash.text, "\u{fffd}[2Jgone");
}

#[test]
fn random_streams_never_grow_the_buffer_beyond_one_record() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut parser = Parser::new();
    for _ in 0..2000 {
        let mut piece = Vec::new();
        for _ in 0..64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = state.to_le_bytes()[7];
            if byte < 16 { piece.extend(MAGIC.to_le_bytes()) } else { piece.push(byte % 5) }
        }
        parser.push(&piece);
        assert!(parser.pending.len() <= HEADER + LONGEST_PAYLOAD);
    }
}
