//! What the unwind tables tell about code: where functions are, and where exceptions land.
//!
//! `.eh_frame` is read by `gimli`; the call-site table of a function (`.gcc_except_table`, LSDA) is not part of DWARF
//! but of the Itanium C++ ABI as GCC writes it. Tables that make no sense tell nothing more.

use core::ops::Range;

use gimli::{
    BaseAddresses, CieOrFde, EhFrame, EndianSlice, LittleEndian, Pointer, Reader as _, UnwindSection as _,
};

use super::program::LinuxProgram;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// `DW_EH_PE_omit`.
const OMITTED: u8 = 0xff;
/// `DW_EH_PE_uleb128`, `DW_EH_PE_udata4`.
const ULEB128: u8 = 0x01;
const UDATA4: u8 = 0x03;
/// Call sites of all functions together, so that a small file cannot take long.
const MAX_CALL_SITES: usize = 4_000_000;

/// What was found.
#[derive(Default, Debug)]
pub(super) struct Unwind {
    /// Functions, in no order.
    pub(super) functions: Vec<Range<u64>>,
    pub(super) landing_pads: Vec<u64>,
}

/// Reads the unwind tables of `program`.
pub(super) fn read(program: &LinuxProgram<'_>) -> Unwind {
    let mut unwind = Unwind::default();
    let Some((start, bytes)) = program.unwind_table else { return unwind };
    let section = EhFrame::new(bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(start);
    let mut entries = section.entries(&bases);
    let mut call_sites = MAX_CALL_SITES;
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(entry) = partial.parse(EhFrame::cie_from_offset) else { continue };
        let function = entry.initial_address()..entry.initial_address().saturating_add(entry.len());
        if let Some(Pointer::Direct(address)) = entry.lsda() {
            let table = program.bytes_from(address).map(|bytes| Bytes::new(bytes, LittleEndian));
            // An error ends the table, and what was found stays.
            let _ = table
                .map(|table| landing_pads(table, function.start, &mut call_sites, &mut unwind.landing_pads));
        }
        unwind.functions.push(function);
    }
    unwind
}

fn landing_pads(
    mut table: Bytes<'_>,
    function: u64,
    budget: &mut usize,
    found: &mut Vec<u64>,
) -> gimli::Result<()> {
    // A base of their own is something that neither GCC nor LLVM writes.
    if table.read_u8()? != OMITTED {
        return Ok(());
    }
    if table.read_u8()? != OMITTED {
        table.read_uleb128()?;
    }
    let encoding = table.read_u8()?;
    let length =
        usize::try_from(table.read_uleb128()?).map_err(|_| gimli::Error::UnexpectedEof(table.offset_id()))?;
    let mut sites = table.split(length)?;
    let read = |sites: &mut Bytes<'_>| match encoding {
        ULEB128 => sites.read_uleb128().map(Some),
        UDATA4 => sites.read_u32().map(|value| Some(u64::from(value))),
        _ => Ok(None),
    };
    while !sites.is_empty() && *budget > 0 {
        *budget -= 1;
        let (_start, _length, landing) = (read(&mut sites)?, read(&mut sites)?, read(&mut sites)?);
        let Some(landing) = landing else { return Ok(()) };
        sites.read_uleb128()?;
        if landing != 0 {
            found.push(function.wrapping_add(landing));
        }
    }
    Ok(())
}
