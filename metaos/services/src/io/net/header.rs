//! The header before every frame (virtio 1.2, 5.1.6).

/// Bytes of the header; with `VIRTIO_F_VERSION_1` the last field is always there.
pub(super) const HEADER_BYTES: usize = 12;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const SEGMENT_TCP4: u8 = 1;
const SEGMENT_TCP6: u8 = 4;

/// What is known of the transport checksum of a frame that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Nothing: the receiver checks it.
    Unverified,
    /// The device has checked it, or the frame never left the host: the receiver need not look.
    Verified,
}

/// What a TCP segment is carried by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What the device shall do with a frame that is sent. Only what [`super::Capabilities`] names may be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offload {
    /// Nothing: the frame is complete.
    #[default]
    None,
    /// Fill in the transport checksum. The frame carries the sum of the pseudo-header in its place.
    Checksum {
        /// Where the summed bytes start in the frame.
        start: u16,
        /// Where the checksum goes, from `start`.
        offset: u16,
    },
    /// Cut a large TCP segment into frames, and fill in their checksums.
    Segment {
        /// What carries it.
        carrier: Carrier,
        /// Bytes of all headers.
        header_length: u16,
        /// Payload bytes of each frame.
        segment_size: u16,
        /// As for `Checksum`.
        start: u16,
        /// As for `Checksum`.
        offset: u16,
    },
}

impl Checksum {
    /// Reads the verdict from the header of a frame that came in.
    pub(super) fn read(header: &[u8; HEADER_BYTES]) -> Self {
        if header[0] & (NEEDS_CHECKSUM | DATA_VALID) == 0 { Self::Unverified } else { Self::Verified }
    }
}

/// Reads how many buffers the frame lies in. It means something only if the driver lets frames span buffers.
pub(super) fn buffer_count(header: &[u8; HEADER_BYTES]) -> u16 {
    u16::from_le_bytes([header[10], header[11]])
}

impl Offload {
    /// Writes the header of a frame that is sent.
    #[inline]
    pub(super) fn header(self) -> [u8; HEADER_BYTES] {
        // In two words, which are constants where the places are.
        let (first, offset) = match self {
            Self::None => (0, 0),
            Self::Checksum { start, offset } => (u64::from(NEEDS_CHECKSUM) | u64::from(start) << 48, offset),
            Self::Segment { carrier, header_length, segment_size, start, offset } => {
                let kind = match carrier {
                    Carrier::Ipv4 => SEGMENT_TCP4,
                    Carrier::Ipv6 => SEGMENT_TCP6,
                };
                let kinds = u64::from(NEEDS_CHECKSUM) | u64::from(kind) << 8;
                let lengths = u64::from(header_length) << 16 | u64::from(segment_size) << 32;
                (kinds | lengths | u64::from(start) << 48, offset)
            }
        };
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&first.to_le_bytes());
        header[8..].copy_from_slice(&u32::from(offset).to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmentation_request_stands_where_virtio_wants_it() {
        let offload = |carrier| Offload::Segment {
            carrier,
            header_length: 0x0102,
            segment_size: 0x0304,
            start: 0x0506,
            offset: 0x0708,
        };
        assert_eq!(offload(Carrier::Ipv4).header(), [1, 1, 2, 1, 4, 3, 6, 5, 8, 7, 0, 0]);
        assert_eq!(offload(Carrier::Ipv6).header()[..2], [1, 4]);
        assert_eq!(Offload::None.header(), [0; HEADER_BYTES]);
    }

    #[test]
    fn a_checksum_is_trusted_only_when_the_device_vouches_for_it() {
        let mut header = [0; HEADER_BYTES];
        assert_eq!(Checksum::read(&header), Checksum::Unverified);
        header[0] = DATA_VALID;
        assert_eq!(Checksum::read(&header), Checksum::Verified);
    }

    #[test]
    fn the_number_of_buffers_stands_last() {
        let mut header = [0xff; HEADER_BYTES];
        header[10..].copy_from_slice(&[3, 1]);
        assert_eq!(buffer_count(&header), 0x103);
    }
}
