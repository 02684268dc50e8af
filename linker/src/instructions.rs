//! The instructions of a stretch of machine code, in order.
//!
//! x86 code has no marks between instructions, so decoding starts anew wherever one is known to start, and runs on
//! through what nothing names. Bytes that are no instruction are stepped over one by one: padding and tables are no
//! mistake.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction};

/// The instructions of some bytes.
pub(crate) struct Instructions<'a> {
    decoder: Decoder<'a>,
    length: usize,
    base: u64,
    /// Offsets at which decoding starts anew, the last first.
    starts: Vec<usize>,
}

impl<'a> Instructions<'a> {
    /// Decodes `bytes`, which stand at address `base`; decoding starts anew at each of `starts`.
    pub(crate) fn new(bytes: &'a [u8], base: u64, starts: impl Iterator<Item = u64>) -> Self {
        let mut starts: Vec<usize> = starts
            .filter_map(|address| usize::try_from(address.checked_sub(base)?).ok())
            .filter(|offset| *offset < bytes.len())
            .collect();
        starts.sort_unstable();
        starts.dedup();
        starts.reverse();
        let decoder = Decoder::with_ip(64, bytes, base, DecoderOptions::NONE);
        Self { decoder, length: bytes.len(), base, starts }
    }

    fn seek(&mut self, offset: usize) {
        // Both set what the decoder reads next; `offset` is at most the length of its bytes.
        if self.decoder.set_position(offset).is_ok() {
            self.decoder.set_ip(self.base.wrapping_add(offset as u64));
        }
    }
}

impl Iterator for Instructions<'_> {
    type Item = Instruction;

    fn next(&mut self) -> Option<Instruction> {
        // Every round moves on by at least one byte or takes a start away.
        loop {
            let position = self.decoder.position();
            if let Some(start) = self.starts.pop_if(|start| *start <= position) {
                self.seek(start);
                continue;
            }
            if position >= self.length {
                return None;
            }
            let instruction = self.decoder.decode();
            if instruction.code() != Code::INVALID {
                return Some(instruction);
            }
            self.seek(position + 1);
        }
    }
}
