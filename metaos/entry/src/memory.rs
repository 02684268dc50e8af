//! The memory routines that compiled code calls by name: `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp`, `strlen`.
//!
//! Assembly, because the compiler turns a loop that copies into a call of `memcpy`, this one included.
//!
//! They use 16-byte unaligned moves and no `rep` prefix. `rep movsb` is as fast on CPUs with ERMS from some 2 KiB on,
//! and slower below (start-up of 30 cycles and more, without FSRM); but a software CPU runs it byte by byte, sixteen
//! times the work of this loop, and counts each byte as an instruction, and guests run on one often. Sixteen bytes a
//! load and a store keep a first-level cache busy on every x86-64 CPU, and beyond it memory is what limits.
//!
//! Small sizes are handled without a loop by moves from both ends that may overlap in the middle. All of a block is
//! loaded before any of it is stored, which makes one routine serve `memcpy` and `memmove`.

mod compare;
mod copy;
mod fill;
mod length;

#[cfg(test)]
mod tests;
