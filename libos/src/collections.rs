//! Collections, with the names of `std::collections`.

pub use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap, LinkedList, VecDeque};
pub use hashbrown::{HashMap, HashSet};
