//! A network that is simulated: two hosts, two channels that treat frames badly, and a clock that jumps.
//!
//! All of it follows from one seed, so what fails once fails every time. The clock goes from one event to the next, so
//! minutes of the hosts' time take milliseconds. A host is a stack of ours or the published smoltcp as it stands: two
//! copies of one mistake agree with each other, but not with a stranger.
//!
//! `properties` holds that nothing is lost or changed and that nothing stays behind, `table` how fast it goes.

mod channel;
mod host;
mod network;
mod ours;
mod pattern;
mod program;
mod properties;
mod stock;
mod table;
