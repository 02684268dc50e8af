//! From an address of the layout to a pointer.

use abi::VirtAddr;
use core::ptr::NonNull;

/// Returns a pointer to `address`. Making it is safe; using it is for the modules that own what is mapped there.
///
/// # Panics
///
/// If the address is null, which the layout leaves unmapped.
pub(crate) fn at(address: VirtAddr) -> NonNull<u8> {
    let number = usize::try_from(address.0).expect("a pointer has 64 bits");
    NonNull::new(core::ptr::with_exposed_provenance_mut(number)).expect("the layout has nothing at null")
}
