//! Guests that misbehave, one a behaviour.
#![no_std]
