//! Memory: who owns which part of the address space, and what is mapped there.
//!
//! A [`ranges::Range`] owns addresses, a [`Mapping`] owns addresses with memory behind them; both give back on drop.
//! Below every range one page stays unmapped, so that running off its lower end faults, and the table that hands
//! ranges out is the one that [`describe`]s a faulting address in words.
//!
//! W^X is enforced here although the machine below enforces it too: two independent checks, and hosted guests whose
//! host would allow it behave like the others.

mod area;
mod description;
mod error;
pub mod heap;
mod mapping;
mod name;
pub(crate) mod pointer;
pub mod ranges;
mod span;
pub mod stack;
pub(crate) mod state;

pub use area::Area;
pub use description::{Description, Part, Subject, describe};
pub use error::Error;
pub use mapping::Mapping;
pub use name::Name;

#[cfg(test)]
mod tests;
