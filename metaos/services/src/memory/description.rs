//! An address in words, for reports.

use super::area::{Area, MAIN_STACK_END};
use super::name::Name;
use super::{heap, ranges};
use abi::{VirtAddr, layout};
use core::fmt;

/// What lies at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description {
    /// The kind of range.
    pub subject: Subject,
    /// Its name; for a stack that of the thread.
    pub name: Name,
    /// Where in the range the address lies.
    pub part: Part,
}

/// The kind of range that a [`Description`] speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The first pages, which are never mapped.
    Null,
    /// The heap.
    Heap,
    /// A thread's stack.
    Stack,
    /// Another range that was handed out.
    Range(Area),
}

/// Where in a range an address lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// In the range.
    Body,
    /// In the unmapped page below, or for the heap above.
    Guard,
}

/// Describes `address`, if the services know what lies there. Neither waits nor allocates.
#[must_use]
pub fn describe(address: VirtAddr) -> Option<Description> {
    let fixed = |subject, name: &str, part| Some(Description { subject, name: Name::from(name), part });
    match address {
        _ if address < layout::LOWEST => fixed(Subject::Null, "null", Part::Body),
        _ if (layout::STACKS..layout::MAIN_STACK).contains(&address) => {
            fixed(Subject::Stack, "main", Part::Guard)
        }
        _ if (layout::MAIN_STACK..MAIN_STACK_END).contains(&address) => {
            fixed(Subject::Stack, "main", Part::Body)
        }
        _ if (layout::HEAP..heap::end()).contains(&address) => fixed(Subject::Heap, "heap", Part::Body),
        _ if (heap::end()..layout::HEAP_END).contains(&address) => fixed(Subject::Heap, "heap", Part::Guard),
        _ => describe_range(address),
    }
}

fn describe_range(address: VirtAddr) -> Option<Description> {
    let area = Area::ALL.into_iter().find(|area| (area.start()..area.end()).contains(&address))?;
    let entry = ranges::find(area, address)?;
    let subject = if area == Area::Stacks { Subject::Stack } else { Subject::Range(area) };
    let part = if address.0 < entry.start { Part::Guard } else { Part::Body };
    Some(Description { subject, name: entry.name, part })
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.subject, self.part) {
            (Subject::Null, _) => f.write_str("the null page"),
            (Subject::Heap, Part::Body) => f.write_str("the heap"),
            (Subject::Heap, Part::Guard) => f.write_str("past the end of the heap"),
            (Subject::Stack, Part::Body) => write!(f, "the stack of thread {}", self.name),
            (Subject::Stack, Part::Guard) => write!(f, "the guard page of the stack of thread {}", self.name),
            (Subject::Range(_), Part::Body) => self.name.fmt(f),
            (Subject::Range(_), Part::Guard) => write!(f, "the guard page below {}", self.name),
        }
    }
}
