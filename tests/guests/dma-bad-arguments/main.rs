//! Asks for DMA memory of lengths and alignments that there are not.
#![no_std]
#![no_main]

use abi::{Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;
const AREA: u64 = layout::PACKET_POOL.0;

fn main() -> ExitCode {
    let cases: [(&str, [u64; 3], Error); 8] = [
        ("map DMA memory over the nucleus", [layout::NUCLEUS.0, PAGE, PAGE], Error::BadAddress),
        ("map DMA memory over its image", [layout::GUEST_IMAGE.0, PAGE, PAGE], Error::AlreadyMapped),
        ("map no DMA memory", [AREA, 0, PAGE], Error::BadLength),
        ("map half a page of DMA memory", [AREA, PAGE / 2, PAGE], Error::Misaligned),
        ("map DMA memory with no alignment", [AREA, PAGE, 0], Error::Misaligned),
        ("map DMA memory with an odd alignment", [AREA, PAGE, 3 * PAGE], Error::Misaligned),
        ("map DMA memory with the largest alignment", [AREA, PAGE, 1 << 63], Error::OutOfMemory),
        ("map more DMA memory than there is", [AREA, 1 << 40, PAGE], Error::OutOfMemory),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::MapDma, arguments, error))
            .collect(),
    )
}
