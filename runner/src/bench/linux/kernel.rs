//! Takes the kernel proper, an ELF file, out of a bzImage.
//!
//! The setup header says where the compressed payload lies (Linux, Documentation/arch/x86/boot.rst, fields
//! `setup_sects`, `payload_offset`, `payload_length`); how it is compressed shows in its first bytes.

use std::io::{self, Read};

/// Offsets in the file.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: usize = 512;
/// Sectors of setup if the field is zero, for old kernels.
const DEFAULT_SECTORS: usize = 4;
/// First bytes of the formats.
const GZIP: &[u8] = b"\x1f\x8b";
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const LZ4_LEGACY: &[u8] = b"\x02\x21\x4c\x18";
const ELF: &[u8] = b"\x7fELF";
/// Most bytes that a block of LZ4's legacy format holds.
const LZ4_BLOCK: usize = 8 << 20;
/// Most bytes of a kernel: more is no kernel.
const LARGEST: u64 = 512 << 20;

/// What is wrong with a kernel's file.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// It has no setup header.
    #[error("this is no Linux kernel for x86 (no bzImage)")]
    NoHeader,
    /// The payload is compressed in a way that is not known.
    #[error("the kernel is compressed in an unknown way (it starts with {0:02x?})")]
    UnknownFormat(Vec<u8>),
    /// The payload is damaged.
    #[error("the kernel could not be decompressed: {0}")]
    Damaged(#[from] io::Error),
    /// What came out is no ELF file.
    #[error("the kernel is no ELF file inside")]
    NoElf,
}

/// Returns the ELF file in the kernel `image`.
pub(super) fn extract(image: &[u8]) -> Result<Vec<u8>, KernelError> {
    let payload = payload(image).ok_or(KernelError::NoHeader)?;
    let elf = decompress(payload)?;
    if elf.starts_with(ELF) { Ok(elf) } else { Err(KernelError::NoElf) }
}

/// Decompresses by whatever format `bytes` are in. What follows the compressed data is left alone: the kernel's
/// makefiles append the decompressed length to some formats.
pub(super) fn decompress(bytes: &[u8]) -> Result<Vec<u8>, KernelError> {
    match bytes {
        _ if bytes.starts_with(LZ4_LEGACY) => Ok(lz4(&bytes[LZ4_LEGACY.len()..])?),
        _ if bytes.starts_with(GZIP) => Ok(read_all(flate2::read::GzDecoder::new(bytes))?),
        _ if bytes.starts_with(XZ) => Ok(read_all(lzma_rust2::XzReader::new(bytes, false))?),
        _ if bytes.starts_with(ZSTD) => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(bytes).map_err(io::Error::other)?;
            Ok(read_all(decoder)?)
        }
        _ => Err(KernelError::UnknownFormat(bytes.iter().take(6).copied().collect())),
    }
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let sectors = match usize::from(*image.get(SETUP_SECTORS)?) {
        0 => DEFAULT_SECTORS,
        sectors => sectors,
    };
    let start = ((sectors + 1) * SECTOR).checked_add(number(image, PAYLOAD_OFFSET)?)?;
    image.get(start..start.checked_add(number(image, PAYLOAD_LENGTH)?)?)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    reader.take(LARGEST).read_to_end(&mut output)?;
    Ok(output)
}

/// The legacy format: blocks, each with its length before it. The last four bytes are the decompressed length.
fn lz4(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    while let Some(length) = number(rest, 0).filter(|_| rest.len() > 4) {
        let block = rest[4..].get(..length).ok_or_else(|| io::Error::other("a block is cut off"))?;
        output.extend(lz4_flex::block::decompress(block, LZ4_BLOCK).map_err(io::Error::other)?);
        rest = &rest[4 + length..];
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4]
            .copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        [image, payload.to_vec()].concat()
    }

    /// An LZ4 block of literals alone.
    fn legacy_lz4(content: &[u8]) -> Vec<u8> {
        let block = [&[u8::try_from(content.len()).unwrap() << 4], content].concat();
        let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
        [LZ4_LEGACY, &length(block.len()), &block, &length(content.len())].concat()
    }

    #[test]
    fn a_kernel_is_taken_out_of_its_file() {
        assert_eq!(extract(&image(&legacy_lz4(b"\x7fELFkernel"))).unwrap(), b"\x7fELFkernel");
    }

    #[test]
    fn what_is_no_kernel_is_named() {
        assert!(matches!(extract(b"hello"), Err(KernelError::NoHeader)));
        assert!(matches!(extract(&image(b"raw bytes")), Err(KernelError::UnknownFormat(_))));
        assert!(matches!(extract(&image(&legacy_lz4(b"no elf"))), Err(KernelError::NoElf)));
        assert!(matches!(extract(&image(b"\x02\x21\x4c\x18\xff\0\0\0x")), Err(KernelError::Damaged(_))));
        let mut cut = image(&legacy_lz4(b"\x7fELF"));
        cut.truncate(2 * SECTOR + 1);
        assert!(matches!(extract(&cut), Err(KernelError::NoHeader)));
    }
}
