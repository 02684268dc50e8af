//! The linker from outside: made-up executables in, an image or a refusal out.

mod accepted;
mod builder;
mod committed;
mod mutations;
mod refused;
mod samples;
