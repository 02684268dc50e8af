//! Behaviour tests of whole images.

pub mod audit;
pub mod cable;
pub mod client;
pub mod echo;
pub mod frame;
pub mod garbage;
pub mod guests;
pub mod impairment;
pub mod linux;
pub mod names;
pub mod namespace;
pub mod pattern;
pub mod peer;
pub mod process;
pub mod program;
pub mod server;
pub mod sources;
pub mod tap;
pub mod terminal;
