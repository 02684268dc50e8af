//! Mappings seen from the frames: which views each frame of memory has.

use std::collections::BTreeMap;

use abi::PAGE_SIZE;

use super::walk::Mapping;

const PAGE: u64 = PAGE_SIZE as u64;

/// The views of each frame that is mapped, by physical address.
#[derive(Debug)]
pub(super) struct Frames<'a>(BTreeMap<u64, Vec<&'a Mapping>>);

impl<'a> Frames<'a> {
    pub(super) fn new(mappings: &'a [Mapping]) -> Self {
        let mut views: BTreeMap<u64, Vec<&Mapping>> = BTreeMap::new();
        for mapping in mappings {
            for frame in (mapping.frame.0..mapping.frame.0 + mapping.length).step_by(PAGE_SIZE) {
                views.entry(frame).or_default().push(mapping);
            }
        }
        Self(views)
    }

    /// Returns the views of the frame that holds physical address `address`.
    pub(super) fn views(&self, address: u64) -> &[&'a Mapping] {
        self.0.get(&(address & !(PAGE - 1))).map_or(&[], Vec::as_slice)
    }

    /// Returns pairs of views of one frame, the first such that `first` holds, the second such that `second` holds;
    /// one pair for each pair of mappings, however many frames they share.
    pub(super) fn pairs(
        &self,
        first: impl Fn(&Mapping) -> bool,
        second: impl Fn(&Mapping) -> bool,
    ) -> Vec<(&'a Mapping, &'a Mapping)> {
        let mut pairs = BTreeMap::new();
        for views in self.0.values() {
            for left in views.iter().filter(|view| first(view)) {
                let others = views.iter().filter(|view| view.start != left.start && second(view));
                pairs.extend(others.map(|right| ((left.start, right.start), (*left, *right))));
            }
        }
        pairs.into_values().collect()
    }
}
