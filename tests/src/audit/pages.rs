//! The rules that each page keeps by itself: its rights, and where pages may lie.

use abi::PAGE_SIZE;
use abi::layout::{LOWEST, MAIN_STACK, USER_END};

use super::violation::{Rule, Violation};
use super::walk::Mapping;

/// Guard page of the main thread's stack.
const MAIN_GUARD: u64 = MAIN_STACK.0 - PAGE_SIZE as u64;
/// First address that is not in the lower half.
const LOWER_HALF_END: u64 = 1 << 47;

/// Judges each page.
pub(super) fn violations(mappings: &[Mapping]) -> Vec<Violation> {
    mappings
        .iter()
        .flat_map(|mapping| broken(mapping).map(|rule| Violation::new(rule, mapping.to_string())))
        .collect()
}

fn broken(mapping: &Mapping) -> impl Iterator<Item = Rule> {
    let rights = mapping.rights;
    let overlaps =
        |start: u64, end: u64| mapping.start.0 < end && start - mapping.start.0.min(start) < mapping.length;
    [
        (Rule::NothingIsWritableAndExecutable, rights.writable && rights.executable),
        (Rule::UpperHalfIsForTheNucleus, mapping.is_upper() && mapping.has_user_bit),
        (Rule::LowerHalfIsForTheGuest, !mapping.is_upper() && !rights.user),
        (Rule::NothingIsMappedAtNull, overlaps(0, LOWEST.0)),
        (Rule::EdgeIsNotMapped, overlaps(USER_END.0, LOWER_HALF_END)),
        (Rule::StacksHaveGuards, overlaps(MAIN_GUARD, MAIN_STACK.0)),
    ]
    .into_iter()
    .filter_map(|(rule, is_broken)| is_broken.then_some(rule))
}
