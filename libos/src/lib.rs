//! The library OS: threads, sockets, time and environment behind an API shaped like std.
#![no_std]
