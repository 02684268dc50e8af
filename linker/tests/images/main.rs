//! The linker from outside: made-up executables in, an image or a refusal out.
#![cfg(test)]

mod accepted;
mod builder;
mod code;
mod committed;
mod confined;
mod linux;
mod mutations;
mod refused;
mod rewritten;
mod samples;
