//! Whatever is done to the bytes of a file, the linker answers.

use abi::layout::LOAD_DIRECT;
use metaos_linker::{GuestPolicy, Image, Input, LinkError, Options, inspect, link};

use crate::builder::Segment;
use crate::samples;

const ROUNDS: usize = 20_000;

/// A small generator of numbers (xorshift64, Marsaglia 2003): the same ones every time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// Changes a few places of `bytes`, most often to a value that files have a use for.
pub(crate) fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    const VALUES: [u64; 8] = [0, 1, 7, 0xffff, 0xffff_ffff, u64::MAX, samples::ENTRY, 0xffff_ffff_8000_1000];

    for _ in 0..=numbers.below(4) {
        if bytes.is_empty() {
            return;
        }
        let place = numbers.below(bytes.len());
        let value = VALUES[numbers.below(VALUES.len())].to_le_bytes();
        match numbers.below(8) {
            0 => bytes.truncate(place),
            1..4 => bytes[place] = numbers.next().to_le_bytes()[0],
            4 => bytes[place] ^= 1 << numbers.below(8),
            width => {
                let length = (1 << (width - 4)).min(bytes.len() - place);
                bytes[place..place + length].copy_from_slice(&value[..length]);
            }
        }
    }
}

fn link_bytes(nucleus: &[u8], guest: &[u8]) -> Result<Image, LinkError> {
    let options = Options { load_address: LOAD_DIRECT, guest_policy: GuestPolicy::Checked };
    link(&Input { name: "nucleus", bytes: nucleus }, &Input { name: "guest", bytes: guest }, &options)
}

#[test]
fn a_changed_guest_is_linked_or_refused() {
    let (nucleus, good) = (samples::nucleus().build(), samples::guest().build());
    let mut numbers = Numbers(1);
    let mut linked = 0;
    for _ in 0..ROUNDS {
        let mut guest = good.clone();
        mutate(&mut guest, &mut numbers);
        linked += usize::from(link_bytes(&nucleus, &guest).is_ok());
    }
    assert!(linked > 0 && linked < ROUNDS, "{linked} of {ROUNDS} were linked");
}

#[test]
fn a_changed_nucleus_is_linked_or_refused() {
    let (good, guest) = (samples::nucleus().build(), samples::guest().build());
    let mut numbers = Numbers(2);
    let mut linked = 0;
    for _ in 0..ROUNDS {
        let mut nucleus = good.clone();
        mutate(&mut nucleus, &mut numbers);
        linked += usize::from(link_bytes(&nucleus, &guest).is_ok());
    }
    assert!(linked > 0 && linked < ROUNDS, "{linked} of {ROUNDS} were linked");
}

#[test]
fn a_changed_image_is_inspected_or_refused() {
    let image = link_bytes(&samples::nucleus().build(), &samples::guest().build()).unwrap().bytes;
    let mut numbers = Numbers(3);
    for round in 0..ROUNDS {
        // Only the first page is looked at, so most changes go there.
        let mut changed = image[..if round % 8 == 0 { image.len() } else { 0x600 }].to_vec();
        mutate(&mut changed, &mut numbers);
        if let Ok(report) = inspect(&Input { name: "image", bytes: &changed }) {
            assert!(report.to_string().contains("segment"));
        }
    }
}

#[test]
fn random_machine_code_is_linked_or_refused() {
    let nucleus = samples::nucleus().build();
    let mut numbers = Numbers(4);
    for _ in 0..ROUNDS / 20 {
        let mut guest = samples::guest();
        let mut text = guest.segments[0].bytes.clone();
        text.extend((0..256).flat_map(|_| numbers.next().to_le_bytes()));
        guest.segments[0] = Segment::text(samples::ENTRY, &text);
        for symbol in &mut guest.symbols[2..] {
            symbol.address = samples::ENTRY + numbers.next() % 2048;
            symbol.length = numbers.next() % 64;
        }
        assert!(link_bytes(&nucleus, &guest.build()).is_err(), "2 KiB of noise hold something privileged");
    }
}
