//! Ring-3 services of the meta-OS: memory, I/O, clock.
#![no_std]
