//! Registers of the CPU that no monitor command shows, taken from the state that QEMU saves.
//!
//! A saved machine ends with a description of itself in JSON (QEMU, `docs/devel/migration/main.rst`, "Stream
//! structure"): each device's fields in order, with their sizes. It is believed only where it agrees with the monitor.

use std::collections::BTreeMap;

use serde_json::Value;

/// Marks a device's section, and the description at the end (QEMU, `migration/savevm.h`).
const SECTION: u8 = 4;
const DESCRIPTION: u8 = 6;
/// Name of the CPU's section.
const CPU: &str = "cpu";

/// The quad words of CPU 0's saved state, by name.
#[derive(Clone, Debug, Default)]
pub struct SavedCpu(pub BTreeMap<String, u64>);

impl SavedCpu {
    /// Reads the state of CPU 0 from a saved machine; `None`: it is not laid out as known.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let description = description(bytes)?;
        let devices = description["devices"].as_array()?;
        let cpu = devices.iter().find(|device| device["name"] == CPU && device["instance_id"] == 0)?;
        let state = section(bytes, u32::try_from(cpu["version"].as_u64()?).ok()?)?;
        let mut values = BTreeMap::new();
        let mut offset = 0;
        for field in cpu["fields"].as_array()? {
            let size = usize::try_from(field["size"].as_u64()?).ok()?;
            let count = field.get("array_len").map_or(Some(1), Value::as_u64)?;
            if let Some(value) = state.get(offset..offset + size).and_then(|value| value.try_into().ok()) {
                values.insert(field["name"].as_str()?.to_owned(), u64::from_be_bytes(value));
            }
            offset = size.checked_mul(usize::try_from(count).ok()?)?.checked_add(offset)?;
        }
        Some(Self(values))
    }

    /// Returns the quad word `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

/// Finds the description: its length, which stands before it, reaches to the end of the file.
fn description(bytes: &[u8]) -> Option<Value> {
    const HEADER: usize = 1 + size_of::<u32>();
    let starts = (0..bytes.len().checked_sub(HEADER)?).rev();
    let mut bodies = starts.filter_map(|start| {
        let (header, body) = bytes[start..].split_at_checked(HEADER)?;
        let length = u32::from_be_bytes(header[1..].try_into().ok()?);
        (header[0] == DESCRIPTION && length as usize == body.len()).then_some(body)
    });
    bodies.find_map(|body| serde_json::from_slice(body).ok())
}

/// Returns what follows the header of CPU 0's section.
fn section(bytes: &[u8], version: u32) -> Option<&[u8]> {
    const NUMBER: usize = size_of::<u32>();
    let mut name = vec![u8::try_from(CPU.len()).ok()?];
    name.extend_from_slice(CPU.as_bytes());
    name.extend_from_slice(&0_u32.to_be_bytes());
    name.extend_from_slice(&version.to_be_bytes());
    let mut places = bytes.windows(1 + NUMBER + name.len()).enumerate();
    let found = places.find(|(_, window)| window[0] == SECTION && window[1 + NUMBER..] == name);
    found.map(|(place, window)| &bytes[place + window.len()..])
}
