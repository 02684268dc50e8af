//! The header before every frame (virtio 1.2, 5.1.6).

/// Bytes of the header; with `VIRTIO_F_VERSION_1` the last field is always there.
pub(super) const HEADER_BYTES: usize = 12;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const SEGMENT_NONE: u8 = 0;
const SEGMENT_TCP4: u8 = 1;

/// What is known of the transport checksum of a frame that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checksum {
    /// Nothing: the receiver checks it.
    Unverified,
    /// The device has checked it, or the frame never left the host: the receiver need not look.
    Verified,
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
    /// Cut a large TCP segment over IPv4 into frames, and fill in their checksums.
    SegmentTcp4 {
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

impl Offload {
    /// Writes the header of a frame that is sent.
    pub(super) fn header(self) -> [u8; HEADER_BYTES] {
        let (flags, kind, header_length, segment_size, start, offset) = match self {
            Self::None => (0, SEGMENT_NONE, 0, 0, 0, 0),
            Self::Checksum { start, offset } => (NEEDS_CHECKSUM, SEGMENT_NONE, 0, 0, start, offset),
            Self::SegmentTcp4 { header_length, segment_size, start, offset } => {
                (NEEDS_CHECKSUM, SEGMENT_TCP4, header_length, segment_size, start, offset)
            }
        };
        let [h0, h1] = u16::to_le_bytes(header_length);
        let [g0, g1] = u16::to_le_bytes(segment_size);
        let [s0, s1] = u16::to_le_bytes(start);
        let [o0, o1] = u16::to_le_bytes(offset);
        [flags, kind, h0, h1, g0, g1, s0, s1, o0, o1, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segmentation_request_stands_where_virtio_wants_it() {
        let offload = Offload::SegmentTcp4 {
            header_length: 0x0102,
            segment_size: 0x0304,
            start: 0x0506,
            offset: 0x0708,
        };
        assert_eq!(offload.header(), [1, 1, 2, 1, 4, 3, 6, 5, 8, 7, 0, 0]);
        assert_eq!(Offload::None.header(), [0; HEADER_BYTES]);
    }

    #[test]
    fn a_checksum_is_trusted_only_when_the_device_vouches_for_it() {
        let mut header = [0; HEADER_BYTES];
        assert_eq!(Checksum::read(&header), Checksum::Unverified);
        header[0] = DATA_VALID;
        assert_eq!(Checksum::read(&header), Checksum::Verified);
    }
}
