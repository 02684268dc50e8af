//! The traits of everything that is read and written.

use super::error::{Error, ErrorKind, Result};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Bytes that are read at a time where the amount is not known.
const PIECE: usize = 4096;

/// Something that bytes come from.
pub trait Read {
    /// Reads up to `buffer.len()` bytes and returns how many; 0 at the end, or for an empty buffer.
    ///
    /// # Errors
    ///
    /// Those of the source; nothing is read then.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Fills the buffer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] if the source ends before, or an error of the source.
    fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            match self.read(buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }

    /// Appends everything up to the end to `bytes` and returns how much that is.
    ///
    /// # Errors
    ///
    /// Those of the source; what was read before is kept.
    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> Result<usize> {
        let before = bytes.len();
        loop {
            let start = bytes.len();
            bytes.resize(start + PIECE, 0);
            let outcome = self.read(&mut bytes[start..]);
            bytes.truncate(start + outcome.unwrap_or(0));
            if outcome? == 0 {
                return Ok(bytes.len() - before);
            }
        }
    }

    /// Appends everything up to the end to `text` and returns how many bytes that is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidData`] if it is no UTF-8, or an error of the source; nothing is appended then.
    fn read_to_string(&mut self, text: &mut String) -> Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_to_end(&mut bytes)?;
        let read = core::str::from_utf8(&bytes).map_err(|_| Error::from(ErrorKind::InvalidData))?;
        text.push_str(read);
        Ok(count)
    }
}

/// Something that bytes go to.
pub trait Write {
    /// Writes some of the bytes and returns how many.
    ///
    /// # Errors
    ///
    /// Those of the destination; nothing is written then.
    fn write(&mut self, bytes: &[u8]) -> Result<usize>;

    /// Sends on what is held back.
    ///
    /// # Errors
    ///
    /// Those of the destination.
    fn flush(&mut self) -> Result<()>;

    /// Writes all bytes.
    ///
    /// # Errors
    ///
    /// Those of the destination; some of the bytes may be written then.
    fn write_all(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => bytes = &bytes[count..],
            }
        }
        Ok(())
    }

    /// Writes formatted text; what `write!` calls.
    ///
    /// # Errors
    ///
    /// Those of the destination.
    fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> Result<()> {
        let mut adapter = Adapter { writer: self, error: None };
        fmt::write(&mut adapter, arguments)
            .map_err(|_| adapter.error.unwrap_or(Error::other("a formatting trait returned an error")))
    }
}

/// Writes all that comes from `reader` to `writer` and returns how many bytes that is.
///
/// # Errors
///
/// Those of either side.
pub fn copy<R: Read + ?Sized, W: Write + ?Sized>(reader: &mut R, writer: &mut W) -> Result<u64> {
    let mut buffer = [0; PIECE];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(total),
            count => {
                writer.write_all(&buffer[..count])?;
                total += count as u64;
            }
        }
    }
}

struct Adapter<'a, W: ?Sized> {
    writer: &'a mut W,
    error: Option<Error>,
}

impl<W: Write + ?Sized> fmt::Write for Adapter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.writer.write_all(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

impl<R: Read + ?Sized> Read for &mut R {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        (**self).read(buffer)
    }
}

impl<W: Write + ?Sized> Write for &mut W {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        (**self).write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        (**self).flush()
    }
}

impl Read for &[u8] {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.len());
        let (taken, rest) = self.split_at(count);
        buffer[..count].copy_from_slice(taken);
        *self = rest;
        Ok(count)
    }
}

impl Write for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives three bytes at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            let most = buffer.len().min(3);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn a_slow_source_is_read_to_its_end() {
        let mut text = String::new();
        assert_eq!(Slow(b"hello, world").read_to_string(&mut text).unwrap(), 12);
        assert_eq!(text, "hello, world");
        let mut exact = [0; 5];
        Slow(b"hello").read_exact(&mut exact).unwrap();
        assert_eq!(&exact, b"hello");
        assert_eq!(Slow(b"hell").read_exact(&mut exact).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(Slow(b"\xff").read_to_string(&mut text).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn text_is_formatted_into_a_writer() {
        let mut bytes = Vec::new();
        write!(bytes, "{}-{}", 1, 2).unwrap();
        let mut copied = Vec::new();
        assert_eq!(copy(&mut &bytes[..], &mut copied).unwrap(), 3);
        assert_eq!(copied, b"1-2");
    }
}
