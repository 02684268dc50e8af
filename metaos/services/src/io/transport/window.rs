//! Mapping the windows of a device, and finding its register blocks in them.

use super::error::TransportError;
use crate::io::volatile::Registers;
use abi::boot::{Device, MAX_WINDOWS, Region};

/// The windows of one device, mapped as they are asked for.
pub(super) struct Windows<'a> {
    index: usize,
    device: &'a Device,
    mapped: [Option<Registers>; MAX_WINDOWS],
}

impl<'a> Windows<'a> {
    pub(super) const fn new(index: usize, device: &'a Device) -> Self {
        Self { index, device, mapped: [None; MAX_WINDOWS] }
    }

    /// Returns register block `region`, of at least `least` bytes, and maps its window if it is not.
    pub(super) fn region(&mut self, region: usize, least: usize) -> Result<Registers, TransportError> {
        let Region { window, offset, length } = self.device.regions[region];
        let length = usize::try_from(length).map_err(|_| TransportError::MissingRegisters)?;
        if length < least || window >= self.device.window_count {
            return Err(TransportError::MissingRegisters);
        }
        let registers = self.window(window as usize)?;
        registers.part(offset as usize, length).ok_or(TransportError::MissingRegisters)
    }

    fn window(&mut self, window: usize) -> Result<Registers, TransportError> {
        let place = self.mapped.get(window).ok_or(TransportError::MissingRegisters)?;
        if let Some(registers) = place {
            return Ok(*registers);
        }
        let registers = self.map(window)?;
        self.mapped[window] = Some(registers);
        Ok(registers)
    }

    fn map(&self, window: usize) -> Result<Registers, TransportError> {
        let length = self.device.windows[window].length;
        let length = usize::try_from(length).map_err(|_| TransportError::MissingRegisters)?;
        Ok(Registers::map(self.index, window, length)?)
    }
}
