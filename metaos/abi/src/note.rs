//! ELF notes by which an unlinked nucleus or guest tells the linker what it is.
//!
//! Name [`NAME`], alignment 4, in a section whose name starts with `.note`. Fields are little-endian.

/// Name of our notes, with its terminating zero as it stands in the file.
pub const NAME: &[u8; 8] = b"metaos\0\0";
/// Note type of a nucleus; the descriptor is a [`NucleusNote`].
pub const TYPE_NUCLEUS: u32 = 1;
/// Note type of a guest; the descriptor is a [`GuestNote`].
pub const TYPE_GUEST: u32 = 2;
/// Note type of a guest's room for its filter; the descriptor is a [`crate::hosted::Filter`], which the linker fills in.
pub const TYPE_FILTER: u32 = 3;
/// Note type of a guest's room for a Linux program's table; the descriptor is a [`crate::linux::ProgramTable`], which
/// the linker fills in.
pub const TYPE_PROGRAM: u32 = 4;

/// Name of the Xen notes (PVH boot).
pub const XEN_NAME: &[u8; 4] = b"Xen\0";
/// Type of the note that holds the 32-bit physical entry point (Xen, `xen/include/public/elfnote.h`).
pub const XEN_PHYS32_ENTRY: u32 = 18;

/// What a nucleus says of itself. All addresses are link-time virtual addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct NucleusNote {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// The 32-bit entry point of PVH.
    pub pvh_entry: u64,
    /// The 32-bit entry point of multiboot2.
    pub multiboot_entry: u64,
    /// The multiboot2 header, whose entry address the linker fills in; it must stand in the file's first 32 KiB.
    pub multiboot_header: u64,
    /// The [`crate::image::ImageTable`] that the linker fills in.
    pub image_table: u64,
}

/// What a guest says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct GuestNote {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// Where ring 3 starts: `rdi` = boot information, `rsp` = top of the main stack, as after a call.
    pub entry: u64,
    /// Address of the one `syscall` instruction of the gate.
    pub gate: u64,
}
