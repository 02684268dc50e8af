//! Why a Machine call was refused.

use core::fmt;

/// Reason for refusing a Machine call. A refused call changes nothing.
///
/// Crosses the boundary as the negative of its number in the result register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u32)]
pub enum Error {
    /// The call number is not one of [`crate::Call`].
    UnknownCall = 1,
    /// An address is outside the part of the address space the call may touch.
    BadAddress = 2,
    /// An address, length or alignment is not a multiple of what the call asks for.
    Misaligned = 3,
    /// A length is zero or does not fit the address space.
    BadLength = 4,
    /// The access bits are not a known combination.
    BadAccess = 5,
    /// The page would be writable and executable.
    WritableAndExecutable = 6,
    /// Part of the range is mapped already.
    AlreadyMapped = 7,
    /// Part of the range is not mapped, or not by this kind of call.
    NotMapped = 8,
    /// No free frame (or no contiguous run of frames) is left.
    OutOfMemory = 9,
    /// No frame is left for page tables.
    OutOfTables = 10,
    /// There is no such device.
    NoSuchDevice = 11,
    /// The device has no such window.
    NoSuchWindow = 12,
    /// This machine cannot do that.
    Unsupported = 13,
    /// The upcall entry or stack does not lie in memory of the right kind.
    BadUpcall = 14,
    /// The call makes sense only inside an upcall, and none is active.
    NoUpcall = 15,
    /// The guest returned from an upcall with registers it must not have.
    BadContext = 16,
}

impl Error {
    const ALL: [Self; 16] = [
        Self::UnknownCall,
        Self::BadAddress,
        Self::Misaligned,
        Self::BadLength,
        Self::BadAccess,
        Self::WritableAndExecutable,
        Self::AlreadyMapped,
        Self::NotMapped,
        Self::OutOfMemory,
        Self::OutOfTables,
        Self::NoSuchDevice,
        Self::NoSuchWindow,
        Self::Unsupported,
        Self::BadUpcall,
        Self::NoUpcall,
        Self::BadContext,
    ];

    /// Returns the error with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// Turns the outcome of a call into the value of its result register.
    #[must_use]
    pub fn encode(outcome: Result<u64, Self>) -> u64 {
        match outcome {
            Ok(value) => value,
            Err(error) => (u64::from(error as u32)).wrapping_neg(),
        }
    }

    /// Reads the result register of a call.
    ///
    /// # Errors
    ///
    /// The call was refused.
    pub fn decode(register: u64) -> Result<u64, Self> {
        let number = register.wrapping_neg();
        match u32::try_from(number).ok().and_then(Self::from_number) {
            Some(error) => Err(error),
            None => Ok(register),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCall => "no such machine call",
            Self::BadAddress => "address outside the guest's part of the address space",
            Self::Misaligned => "address or length is not a multiple of the page size",
            Self::BadLength => "length is zero or too large",
            Self::BadAccess => "unknown access bits",
            Self::WritableAndExecutable => "a page may not be writable and executable",
            Self::AlreadyMapped => "range is mapped already",
            Self::NotMapped => "range is not mapped by the guest",
            Self::OutOfMemory => "out of memory; start the guest with more (-m)",
            Self::OutOfTables => "out of page tables; start the guest with more memory (-m)",
            Self::NoSuchDevice => "no such device",
            Self::NoSuchWindow => "the device has no such window",
            Self::Unsupported => "not supported by this machine",
            Self::BadUpcall => "upcall entry or stack is not in memory of the right kind",
            Self::NoUpcall => "no upcall is active",
            Self::BadContext => "the context to return to is not one of ring 3",
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_register() {
        for (index, error) in Error::ALL.into_iter().enumerate() {
            assert_eq!(Error::decode(Error::encode(Err(error))), Err(error));
            assert_eq!(error as usize, index + 1);
        }
    }

    #[test]
    fn a_value_is_not_taken_for_an_error() {
        assert_eq!(Error::decode(Error::encode(Ok(0))), Ok(0));
        assert_eq!(Error::decode(0x7fff_ffff_f000), Ok(0x7fff_ffff_f000));
    }
}
