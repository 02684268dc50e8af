//! The pool, and the way to it.

use super::cipher::Cipher;
use super::pool::Pool;
use super::{cpu, fill};
use crate::mock;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

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

/// RFC 8439, A.1, test vectors 1 and 2.
#[test]
fn the_key_stream_is_that_of_the_standard() {
    let expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
                    da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586\
                    9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
                    29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
    let mut bytes = [0; 128];
    Cipher::new(&[0; 32]).fill(&mut bytes);
    let text: alloc::string::String = bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect();
    assert_eq!(text, expected);
}

#[test]
fn the_key_stream_is_that_of_another_implementation() {
    for seed in 0..20_u8 {
        let key =
            core::array::from_fn(|index| seed.wrapping_mul(37).wrapping_add(u8::try_from(index).unwrap()));
        let mut other = ChaCha20Rng::from_seed(key);
        let mut cipher = Cipher::new(&key);
        // The other throws the rest of a word away.
        for length in [4, 60, 64, 68, 1024, 4, 0, 132, 65_536] {
            let (mut found, mut expected) = (alloc::vec![0; length], alloc::vec![0; length]);
            cipher.fill(&mut found);
            other.fill_bytes(&mut expected);
            assert_eq!(found, expected);
        }
    }
}
