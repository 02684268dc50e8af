//! The pool, and the way to it.

use super::pool::Pool;
use super::{cpu, fill};
use crate::mock;

#[test]
fn what_is_absorbed_changes_what_comes_out() {
    mock::install();
    let output = |seeds: &[[u8; 32]]| {
        let mut pool = Pool::new();
        for seed in seeds {
            pool.absorb(seed);
        }
        let mut bytes = [0; 64];
        pool.fill(&mut bytes);
        bytes
    };
    assert_eq!(output(&[[1; 32]]), output(&[[1; 32]]));
    assert_ne!(output(&[[1; 32]]), output(&[[2; 32]]));
    assert_ne!(output(&[[1; 32], [2; 32]]), output(&[[2; 32], [1; 32]]));
    // A source of zeros spoils nothing.
    assert_ne!(output(&[[1; 32], [0; 32]]), output(&[[2; 32], [0; 32]]));
}

#[test]
fn a_long_request_is_filled_to_its_end() {
    mock::install();
    let mut pool = Pool::new();
    pool.absorb(&[3; 32]);
    let mut bytes = alloc::vec![0_u8; 300_000];
    pool.fill(&mut bytes);
    assert!(bytes.chunks(32).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
}

#[test]
fn bytes_come_if_and_only_if_there_is_a_source() {
    mock::install();
    let mut bytes = [[0; 32]; 2];
    let [first, second] = &mut bytes;
    let outcomes = [fill(first), fill(second)];
    // The mock machine has no devices, so that it is the CPU that decides.
    assert_eq!(outcomes.map(|outcome| outcome.is_ok()), [cpu::random().is_some(); 2]);
    assert_eq!(bytes[0] != bytes[1], outcomes[0].is_ok());
}
