//! Serves the system calls of the Linux program that the linker has put beside it. There is nothing else to it: the
//! library OS does the work, and the note says where the program is.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

entry::main!(main);

libos::linux_door!();
