//! Which room a function or datum belongs to, told from its mangled name.
//!
//! The crate in which a symbol was defined is the first name of its path; for `<Type as Trait>::method` it is that
//! of the type, or of the trait where the type is a built-in one. Code that was inlined counts where it was
//! inlined, so sizes by room are those of the machine code, not of the sources.

use core::fmt;

use rustc_demangle::demangle;
use serde::{Deserialize, Serialize};

/// What `entry::main!` calls a program's main function, where the start code finds it.
const MAIN: &str = "metaos_main";

/// A part of an image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Room {
    /// The ring-0 part, with all that it links.
    Nucleus,
    /// What crosses between rooms.
    Abi,
    /// The machine of a guest that runs as a Linux process.
    Hosted,
    /// Memory and I/O services.
    Services,
    /// The library OS.
    Libos,
    /// The start, the panic handler, the allocator, the compiler's helpers.
    Entry,
    /// The network stack and what it brings.
    Smoltcp,
    /// Rust's `core`, `alloc` and `compiler_builtins`.
    Core,
    /// Crates that services and library OS bring.
    Libraries,
    /// The program and crates that only it brings.
    App,
    /// What no symbol names: constants, tables, padding between functions.
    Other,
}

impl Room {
    /// All rooms, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Nucleus,
        Self::Abi,
        Self::Hosted,
        Self::Services,
        Self::Libos,
        Self::Entry,
        Self::Smoltcp,
        Self::Core,
        Self::Libraries,
        Self::App,
        Self::Other,
    ];

    fn of_crate(name: &str) -> Self {
        match name {
            "metaos_nucleus" => Self::Nucleus,
            "metaos_abi" => Self::Abi,
            "metaos_hosted" => Self::Hosted,
            "metaos_services" => Self::Services,
            "metaos_libos" => Self::Libos,
            "metaos_entry" | "__rustc" => Self::Entry,
            "smoltcp" | "managed" | "heapless" | "byteorder" | "hash32" | "stable_deref_trait" => {
                Self::Smoltcp
            }
            "core" | "alloc" | "std" | "compiler_builtins" => Self::Core,
            "bitflags" | "equivalent" | "foldhash" | "hashbrown" | "lock_api" | "ppv_lite86"
            | "rand_chacha" | "rand_core" | "raw_cpuid" | "spin" | "talc" | "virtio_drivers"
            | "virtio_spec" | "volatile" | "zerocopy" => Self::Libraries,
            _ => Self::App,
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nucleus => "nucleus",
            Self::Abi => "abi",
            Self::Hosted => "hosted",
            Self::Services => "services",
            Self::Libos => "libos",
            Self::Entry => "entry",
            Self::Smoltcp => "smoltcp",
            Self::Core => "core",
            Self::Libraries => "libraries",
            Self::App => "app",
            Self::Other => "other",
        })
    }
}

/// Returns the room that the symbol `mangled` belongs to.
///
/// A name that Rust did not mangle is taken for one of the start code (`_start`, `memcpy`), but for the function into
/// which a program's `main` is inlined; an empty one for [`Room::Other`].
#[must_use]
pub fn room_of_symbol(mangled: &str) -> Room {
    if mangled.is_empty() {
        return Room::Other;
    }
    let demangled = format!("{:#}", demangle(mangled));
    if demangled == mangled {
        return if mangled == MAIN { Room::App } else { Room::Entry };
    }
    crate_of_path(&demangled).map_or(Room::Other, Room::of_crate)
}

/// Returns the crate in which the thing at `path` was defined; `None` for a built-in type.
fn crate_of_path(path: &str) -> Option<&str> {
    let path = strip_type_operators(path);
    if let Some(inner) = path.strip_prefix('<') {
        return crate_of_implementation(inner);
    }
    let end = path.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(path.len());
    let (first, rest) = path.split_at(end);
    (!first.is_empty() && rest.starts_with("::")).then_some(first)
}

/// Returns the crate of `Type` or of `Trait` in `Type as Trait>::method`, that of `Type` in `Type>::method`.
fn crate_of_implementation(inner: &str) -> Option<&str> {
    match split_at_as(inner) {
        Some((of_type, of_trait)) => crate_of_path(of_type).or_else(|| crate_of_path(of_trait)),
        // Only `core` and its kin may give methods to built-in types, be they slices of something else.
        None if strip_type_operators(inner).len() < inner.len() => Some("core"),
        None => crate_of_path(inner).or(Some("core")),
    }
}

/// Splits at the ` as ` that stands outside of any inner brackets.
fn split_at_as(inner: &str) -> Option<(&str, &str)> {
    const AS: &str = " as ";

    let mut depth = 0_u32;
    for (index, letter) in inner.char_indices() {
        match letter {
            '<' | '(' | '[' => depth += 1,
            '>' if inner[..index].ends_with('-') => {} // the arrow of a function type
            '>' | ')' | ']' if depth == 0 => return None,
            '>' | ')' | ']' => depth -= 1,
            ' ' if depth == 0 && inner[index..].starts_with(AS) => {
                return Some((&inner[..index], &inner[index + AS.len()..]));
            }
            _ => {}
        }
    }
    None
}

/// Strips references, pointers, slices, tuples and the like from the front of a type.
fn strip_type_operators(path: &str) -> &str {
    const OPERATORS: [&str; 9] = ["&", "mut ", "*const ", "*mut ", "[", "(", "dyn ", "impl ", "'_ "];

    let mut path = path;
    // Each round takes at least one letter away.
    while let Some(rest) = OPERATORS.iter().find_map(|operator| path.strip_prefix(operator)) {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests;
