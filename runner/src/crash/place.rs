//! What lies at an address, in words: the rooms of the image where an ELF file knows it, else the address map.

use std::fmt;

use abi::{Access, layout};

use super::symbols::{Owner, Program, Programs, Symbol};

/// What lies at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Below the first page that is ever mapped.
    Null,
    /// Between the halves of the address space: no address at all.
    NonCanonical,
    /// A page of the image.
    Image { access: Access, room: String, symbol: Option<String> },
    /// Anywhere in the upper half, where no file tells more.
    Nucleus,
    /// A part of the address map, by name.
    Area(&'static str),
}

/// The address map between the guest image and the end of the lower half; each area ends where the next begins.
const AREAS: [(u64, &str); 11] = [
    (layout::LOWEST.0, "the range of Linux programs"),
    (layout::GUEST_IMAGE.0, "the guest image"),
    (layout::SERVICE_STATE.0, "the services' state"),
    (layout::PACKET_POOL.0, "the packet pool"),
    (layout::INFO_PAGE.0, "the information pages"),
    (layout::CPU_BLOCKS.0, "the CPU blocks"),
    (layout::DEVICE_WINDOWS.0, "the device windows"),
    (layout::HEAP.0, "the heap"),
    (layout::STACKS.0, "the stacks"),
    (layout::MMAP_AREA.0, "the mmap area"),
    (layout::USER_END.0, "the last page of the lower half"),
];

const LOWER_HALF_END: u64 = 0x8000_0000_0000;
const UPPER_HALF: u64 = 0xffff_8000_0000_0000;

impl Place {
    pub(super) fn of(address: u64, programs: &Programs) -> Self {
        if let Some(program) = programs.at(address) {
            return Self::in_image(address, program);
        }
        match address {
            _ if address < layout::LOWEST.0 => Self::Null,
            UPPER_HALF.. => Self::Nucleus,
            LOWER_HALF_END.. => Self::NonCanonical,
            _ => Self::Area(area(address)),
        }
    }

    /// Tells whether ring 3 has no business there at all.
    pub(super) fn is_nucleus(&self) -> bool {
        match self {
            Self::Nucleus => true,
            Self::Image { room, .. } => room == NUCLEUS,
            _ => false,
        }
    }

    fn in_image(address: u64, program: &Program) -> Self {
        let symbol = program.symbol(address);
        let room = match (program.owner, symbol) {
            (Owner::Nucleus, _) => NUCLEUS.to_owned(),
            (Owner::Guest, Some(symbol)) => linker::room_of_symbol(&symbol.mangled).to_string(),
            (Owner::Guest, None) => "the guest image".to_owned(),
            (Owner::Program, _) => "the program".to_owned(),
        };
        let access = program.access(address).unwrap_or(Access::empty());
        Self::Image { access, room, symbol: symbol.map(describe_symbol) }
    }
}

const NUCLEUS: &str = "nucleus";

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("the null page"),
            Self::NonCanonical => f.write_str("an address no CPU has"),
            Self::Nucleus => f.write_str("the nucleus"),
            Self::Area(name) => f.write_str(name),
            Self::Image { access, room, symbol } => {
                write!(f, "{} page of {room}", describe_access(*access))?;
                symbol.iter().try_for_each(|symbol| write!(f, " ({symbol})"))
            }
        }
    }
}

fn area(address: u64) -> &'static str {
    AREAS.iter().rev().find(|(start, _)| *start <= address).map_or("the null page", |(_, name)| name)
}

fn describe_access(access: Access) -> &'static str {
    if access.contains(Access::WRITE) {
        "data"
    } else if access.contains(Access::EXECUTE) {
        "text"
    } else {
        "read-only"
    }
}

fn describe_symbol(symbol: &Symbol) -> String {
    let kind = if symbol.is_function { "function" } else { "static" };
    format!("{kind} {}", symbol.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(address: u64) -> String {
        Place::of(address, &Programs::default()).to_string()
    }

    #[test]
    fn every_address_has_a_name() {
        assert_eq!(words(0), "the null page");
        assert_eq!(words(0xffff), "the null page");
        assert_eq!(words(0x40_0000), "the range of Linux programs");
        assert_eq!(words(layout::GUEST_IMAGE.0), "the guest image");
        assert_eq!(words(layout::HEAP_END.0 - 1), "the heap");
        assert_eq!(words(layout::MAIN_STACK.0), "the stacks");
        assert_eq!(words(LOWER_HALF_END - 1), "the last page of the lower half");
        assert_eq!(words(LOWER_HALF_END), "an address no CPU has");
        assert_eq!(words(layout::NUCLEUS.0), "the nucleus");
        assert_eq!(words(u64::MAX), "the nucleus");
    }
}
