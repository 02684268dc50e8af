//! The host tool: builds images, starts them in QEMU or as Linux processes, watches them and says what happened to them.
//!
//! It is a library as well as the program `cargo metaos`, so that behaviour tests start machines by the same code
//! as users do. The way of a run: [`workspace`] finds the program, [`builder`] builds and links it, [`place`] finds
//! something to run it on ([`kvm`], [`hosted`], [`qemu`]), [`machine`] starts it and reads its [`control`] channel, [`crash`]
//! explains how it died. It leans on the linker for the image format and on `abi` for the channel.

pub mod bench;
pub mod builder;
pub mod cli;
pub mod command_line;
pub mod control;
pub mod crash;
mod forwarder;
pub mod hosted;
pub mod install;
pub mod iso;
pub mod kvm;
pub mod machine;
pub mod network;
pub mod place;
pub mod qemu;
pub mod signal;
pub mod simulation;
pub mod workspace;

pub use builder::{BuildRequest, BuiltImage, build_app};
pub use command_line::CommandLine;
pub use crash::{CrashReport, Symbols};
pub use machine::{
    Accelerator, Console, Firmware, Image, Machine, MachineConfig, MachineError, MachineKind, Outcome,
    Transport,
};
pub use network::{Backend, Forward, Network, Protocol, UserNetwork};
