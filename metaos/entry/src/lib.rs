//! Start points, panic handler, allocator and compiler stubs of a guest.
#![no_std]
