//! The library OS: threads, sockets, poll sets, time and environment behind an API shaped like std.
//!
//! A program that knows std knows this: the modules, types and functions have its names. What differs:
//!
//! - Threads are cooperative. A thread runs until it blocks, yields or ends; the network moves while threads wait.
//! - A panic ends the whole guest, so there is no poisoning and joining cannot fail.
//! - What is written to a TCP stream is sent when the writer next waits or yields, all of it at once. A datagram goes
//!   as it is written.
//! - What std leaves to other crates is here where programs need it: [`poll`] waits for many sockets, with the rules of
//!   epoll; [`mod@env`] reads options.
//!
//! Nothing is linked or started before it is used: a program without sockets carries no network stack.
//!
//! `unsafe` stands only in the modules `gate`, which switches from one stack to another, and [`linux::gate`], which does
//! so for Linux programs.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod collections;
pub mod env;
#[expect(unsafe_code, reason = "switching stacks is nothing that the language knows")]
mod gate;
pub mod io;
pub mod linux;
mod macros;
pub mod net;
pub mod poll;
pub mod process;
mod readiness;
mod slots;
pub mod sync;
pub mod system;
mod task;
pub mod thread;
pub mod time;
mod timers;

pub use alloc::{borrow, boxed, fmt, format, rc, slice, str, string, vec};
