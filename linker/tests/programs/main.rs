//! Real Linux programs, rewritten: their windows are sound on paper, and the patched programs do what they did before.
#![cfg(test)]

mod damaged;
mod native;
mod run;
mod samples;
mod sound;
