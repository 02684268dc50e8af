//! What a guest may ask of Linux, and with which arguments.
//!
//! The rule behind the list: a guest uses the files that it was given, its own memory, time and chance. It opens
//! nothing, starts nothing, looks at no other process, and no page of it ever becomes executable.

use std::collections::BTreeMap;

use abi::hosted::descriptor::{CONTROL, ERROR, INPUT, NETWORK, OUTPUT, WAKE};
use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use syscalls::x86_64::Sysno;

/// What an argument must be; arguments count from 0.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    /// One of these, in its low 32 bits: Linux looks at no more.
    OneOf(u8, &'static [i32]),
    /// This.
    Is(u8, u64),
    /// Has no other bits than these.
    Within(u8, u64),
}
use Argument::{Is, OneOf, Within};

/// Readable and writable, or less.
const DATA: u64 = (libc::PROT_READ | libc::PROT_WRITE).cast_unsigned() as u64;
/// Memory of its own where there is none yet.
const FRESH: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE)
    .cast_unsigned() as u64;
/// `TUNSETOFFLOAD` of `linux/if_tun.h` on x86-64: a tap device is told which frames its reader can take.
const SET_OFFLOADS: i32 = 0x4004_54d0;

/// The calls. Without conditions: any arguments.
pub(super) const CALLS: &[(Sysno, &[Argument])] = &[
    (Sysno::read, &[OneOf(0, &[INPUT, CONTROL, WAKE])]),
    (Sysno::readv, &[OneOf(0, &[NETWORK])]),
    (Sysno::recvfrom, &[OneOf(0, &[NETWORK])]),
    (Sysno::recvmmsg, &[OneOf(0, &[NETWORK])]),
    (Sysno::write, &[OneOf(0, &[OUTPUT, ERROR, CONTROL, WAKE])]),
    (Sysno::writev, &[OneOf(0, &[NETWORK])]),
    (Sysno::sendmsg, &[OneOf(0, &[NETWORK])]),
    (Sysno::sendmmsg, &[OneOf(0, &[NETWORK])]),
    (Sysno::ioctl, &[OneOf(0, &[NETWORK]), OneOf(1, &[SET_OFFLOADS])]),
    (Sysno::ppoll, &[]),
    (Sysno::mmap, &[Within(2, DATA), Is(3, FRESH), OneOf(4, &[-1])]),
    (Sysno::mprotect, &[Within(2, DATA)]),
    (Sysno::munmap, &[]),
    (Sysno::mincore, &[]),
    (Sysno::rt_sigreturn, &[]),
    (Sysno::setitimer, &[]),
    (Sysno::clock_gettime, &[]),
    (Sysno::getrandom, &[]),
    (Sysno::exit_group, &[]),
];

/// Returns the list as seccompiler wants it: by number, the rules of which one must hold; none, and all is well.
pub(super) fn rules() -> BTreeMap<i64, Vec<SeccompRule>> {
    CALLS.iter().map(|(call, arguments)| (i64::from(call.id()), alternatives(arguments))).collect()
}

/// Returns the rules that come of multiplying the alternatives of all arguments out.
fn alternatives(arguments: &[Argument]) -> Vec<SeccompRule> {
    let mut rules: Vec<Vec<SeccompCondition>> = vec![Vec::new()];
    for argument in arguments {
        let choices = argument.conditions();
        rules = rules
            .iter()
            .flat_map(|rule| {
                choices.iter().map(|choice| [rule.as_slice(), std::slice::from_ref(choice)].concat())
            })
            .collect();
    }
    rules.retain(|rule| !rule.is_empty());
    rules.into_iter().map(|rule| SeccompRule::new(rule).expect("the rule has a condition")).collect()
}

impl Argument {
    fn conditions(self) -> Vec<SeccompCondition> {
        use {SeccompCmpArgLen as Width, SeccompCmpOp as Comparison};
        match self {
            Self::OneOf(index, values) => values
                .iter()
                .map(|value| {
                    let value = u64::from(value.cast_unsigned());
                    condition(index, Width::Dword, Comparison::Eq, value)
                })
                .collect(),
            Self::Is(index, value) => vec![condition(index, Width::Qword, Comparison::Eq, value)],
            Self::Within(index, bits) => {
                vec![condition(index, Width::Qword, Comparison::MaskedEq(!bits), 0)]
            }
        }
    }
}

fn condition(index: u8, width: SeccompCmpArgLen, comparison: SeccompCmpOp, value: u64) -> SeccompCondition {
    SeccompCondition::new(index, width, comparison, value).expect("a call has six arguments")
}
