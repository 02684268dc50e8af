//! Why files do not make an image: the file, what is wrong with it, and what to do.
//!
//! A refusal names the segment or section by its name in the linker script, because that is where most of them
//! are mended.

use core::fmt;

/// A file was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkError {
    file: String,
    refusal: Refusal,
}

impl LinkError {
    pub(crate) fn new(file: &str, refusal: Refusal) -> Self {
        Self { file: file.to_owned(), refusal }
    }

    /// Returns the name of the file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns what is wrong with it.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.refusal)
    }
}

impl core::error::Error for LinkError {}

/// What a file is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The ring-0 part.
    Nucleus,
    /// The ring-3 part.
    Guest,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nucleus => "nucleus",
            Self::Guest => "guest",
        })
    }
}

/// Where an instruction stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Its mnemonic, in lower case.
    pub mnemonic: String,
    /// Its address.
    pub address: u64,
    /// The function that holds it, if the symbol table knows one.
    pub function: Option<String>,
    /// The segment that holds it.
    pub segment: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction `{}` at {:#x}", self.mnemonic, self.address)?;
        if let Some(function) = &self.function {
            write!(f, " in {function}")?;
        }
        write!(f, ", {},", self.segment)
    }
}

/// What is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not start as an ELF file does.
    NotElf,
    /// It is an ELF file of another class, byte order or machine.
    WrongMachine,
    /// It is an object file or a core dump; the number is the ELF type.
    NotExecutable(u16),
    /// It is position-independent or asks for a dynamic loader; the text is what shows it.
    Dynamic(&'static str),
    /// Something in it points outside it or makes no sense.
    Damaged {
        /// The part of the file.
        part: String,
        /// What is wrong with it.
        cause: String,
    },
    /// It has no symbol table, so sizes and code cannot be attributed.
    NoSymbols,
    /// It has nothing to load.
    NoSegments,
    /// It has thread-local storage.
    ThreadLocal(String),
    /// A segment or section is writable and executable.
    WritableAndExecutable(String),
    /// A segment is not readable.
    NotReadable(String),
    /// A segment lies outside its room's part of the address space.
    OutOfRange {
        /// The segment.
        segment: String,
        /// Its first address.
        start: u64,
        /// Its bytes in memory.
        length: u64,
        /// First address that is allowed.
        lowest: u64,
        /// End of what is allowed.
        limit: u64,
    },
    /// Two segments share a page.
    Overlap {
        /// The lower one.
        first: String,
        /// The higher one.
        second: String,
        /// Address of a page that is in both.
        page: u64,
    },
    /// Nucleus and guest have more segments than the image table holds.
    TooManySegments(usize),
    /// The image would fill more memory than is sensible; the number is what has been placed, in bytes.
    TooLarge(u64),
    /// The physical load address is not a page's, or the image would not end below 4 GiB.
    BadLoadAddress(u64),
    /// It has no note that says what it is.
    NoNote(Role),
    /// It is the other one.
    WrongRole(Role),
    /// It was built against another version of the contract.
    WrongVersion(u32),
    /// An address that should be code is not.
    NotCode {
        /// What the address is for.
        what: &'static str,
        /// The address.
        address: u64,
    },
    /// The gate is not a `syscall` instruction.
    BadGate(u64),
    /// An instruction of ring 0 in a guest.
    Privileged(Site),
    /// A way into ring 0 beside the gate.
    SecondGate(Site),
    /// A VEX-, EVEX- or XOP-coded instruction.
    Vex(Site),
    /// The nucleus has no image table where its note says.
    BadImageTable(u64),
    /// The multiboot2 header cannot be used.
    BadMultibootHeader {
        /// Its address.
        address: u64,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// A guest's room for its filter of Linux system calls cannot be used; the text says why.
    BadFilterRoom(&'static str),
    /// A guest has no room for a Linux program's table, or one that cannot be used.
    BadProgramRoom,
    /// A Linux program has more segments than its table holds.
    TooManyProgramSegments(usize),
    /// A Linux program has no start.
    NoEntry(u64),
    /// A Linux program lies where it cannot.
    ProgramOutOfRange {
        /// The segment.
        segment: String,
        /// Its first address.
        start: u64,
    },
    /// The file is not a finished image.
    NotAnImage,
    /// A Linux program that needs others at run time; the text is what shows it.
    NeedsLoader(&'static str),
    /// Every part of it can be loaded, but nothing of it can be executed.
    NoCode,
    /// Stubs or dispatcher lie where no jump of the program reaches, or where addresses end.
    OutOfReach {
        /// The address of the instruction that does not reach.
        from: u64,
        /// Where it is to lead.
        to: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file; pass the executable that cargo built"),
            Self::WrongMachine => {
                f.write_str("not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu")
            }
            Self::NotExecutable(kind) => {
                write!(f, "not an executable (ELF type {kind}); pass the linked program")
            }
            Self::Dynamic(what) => write!(f, "has {what}; link it with -static -no-pie"),
            Self::Damaged { part, cause } => {
                write!(f, "{part}: {cause}; the file is damaged, build it again")
            }
            Self::NoSymbols => {
                f.write_str("has no symbol table; link it without stripping (strip = \"none\")")
            }
            Self::NoSegments => f.write_str("has nothing to load; check its linker script"),
            Self::ThreadLocal(part) => {
                write!(f, "{part} is thread-local storage; drop `thread_local` and crates that need std")
            }
            Self::WritableAndExecutable(part) => {
                write!(f, "{part} is writable and executable; give code and data segments of their own")
            }
            Self::NotReadable(part) => write!(f, "{part} is not readable; set PF_R in the linker script"),
            Self::OutOfRange { segment, start, length, lowest, limit } => write!(
                f,
                "{segment} at {start:#x}, {length:#x} bytes, is not within {lowest:#x}..{limit:#x}; \
                 set its address in the linker script"
            ),
            Self::Overlap { first, second, page } => {
                write!(f, "{first} and {second} share page {page:#x}; align segments to 4096 bytes")
            }
            Self::TooManySegments(count) => write!(
                f,
                "brings the image to {count} segments of at most {}; merge sections in the linker script",
                abi::image::MAX_SEGMENTS
            ),
            Self::TooLarge(bytes) => {
                write!(f, "needs {bytes:#x} bytes of image memory; make its static data smaller")
            }
            Self::BadLoadAddress(address) => write!(
                f,
                "cannot be loaded at physical {address:#x}; choose a multiple of 4096 that leaves room below 4 GiB"
            ),
            Self::NoNote(Role::Nucleus) => {
                f.write_str("has no metaos note of a nucleus; pass the executable of metaos-nucleus")
            }
            Self::NoNote(Role::Guest) => {
                f.write_str("has no metaos note of a guest; link it with metaos-entry and its linker script")
            }
            Self::WrongRole(role) => write!(f, "is a {role}; pass nucleus and guest the other way round"),
            Self::WrongVersion(version) => write!(
                f,
                "has contract version {version}, the linker has {}; build both from the same sources",
                abi::VERSION
            ),
            Self::NotCode { what, address } => {
                write!(f, "{what} {address:#x} is not in an executable segment; check its linker script")
            }
            Self::BadGate(address) => {
                write!(
                    f,
                    "gate {address:#x} is not a syscall instruction; let the note name that instruction"
                )
            }
            Self::Privileged(site) => {
                write!(f, "{site} is privileged; a guest runs in ring 3, ask the machine by its calls")
            }
            Self::SecondGate(site) => {
                write!(f, "{site} enters ring 0 beside the gate; call through the gate")
            }
            Self::Vex(site) => write!(
                f,
                "{site} is VEX-coded; build without target features and target-cpu, for plain x86-64"
            ),
            Self::BadImageTable(address) => write!(
                f,
                "has no image table of version {} at {address:#x}; let its note name ImageTable::unlinked()",
                abi::VERSION
            ),
            Self::BadMultibootHeader { address, cause } => {
                write!(f, "multiboot2 header at {address:#x} {cause}; check the nucleus's boot code")
            }
            Self::BadFilterRoom(cause) => {
                write!(f, "room for the filter of Linux system calls {cause}; check its linker script")
            }
            Self::NeedsLoader(what) => write!(
                f,
                "is a dynamic program: it has {what}; build it static: `gcc -static`, `musl-gcc -static`, \
                 RUSTFLAGS=\"-C target-feature=+crt-static\" for cargo, CGO_ENABLED=0 for go, or take the package \
                 that is static already (busybox-static)"
            ),
            Self::NoCode => f.write_str("has no executable segment; pass the linked program"),
            Self::OutOfReach { from, to } => {
                write!(f, "{to:#x} is out of reach from {from:#x}; place stubs within 2 GiB of the program")
            }
            Self::BadProgramRoom => f.write_str("has no room for a Linux program; pass the guest linux-door"),
            Self::TooManyProgramSegments(count) => write!(
                f,
                "has {count} segments of at most {}; link it without a script of its own",
                abi::linux::MAX_PROGRAM_SEGMENTS
            ),
            Self::NoEntry(address) => {
                write!(f, "starts at {address:#x}, which is not code; pass an executable, not a library")
            }
            Self::ProgramOutOfRange { segment, start } => write!(
                f,
                "{segment} at {start:#x} is not within {:#x}..{:#x}; link it with -Wl,--image-base=0x400000, or \
                 position-independent (-static-pie)",
                abi::layout::LINUX_PROGRAM.0,
                abi::layout::GUEST_IMAGE.0
            ),
            Self::NotAnImage => f.write_str("not a metaos image; make one with `cargo metaos build`"),
        }
    }
}

impl Refusal {
    pub(crate) fn damaged(part: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Damaged { part: part.into(), cause: cause.to_string() }
    }
}
