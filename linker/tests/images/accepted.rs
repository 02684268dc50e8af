//! What a good pair becomes.

use abi::image::{ImageTable, OWNER_NUCLEUS};
use abi::layout::{GUEST_IMAGE, LINUX_PROGRAM, LOAD_DIRECT, LOAD_GRUB, NUCLEUS};
use abi::{Access, PhysAddr, VirtAddr};
use core::mem::offset_of;
use metaos_linker::{GuestPolicy, Image, Input, LinkError, Options, Room, inspect, link};
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::builder::{Elf, Segment};
use crate::samples;

const PAGE: usize = 0x1000;

pub(crate) fn link_elfs(nucleus: &Elf, guest: &Elf, load_address: u64) -> Result<Image, LinkError> {
    link(
        &Input { name: "out/good-nucleus.elf", bytes: &nucleus.build() },
        &Input { name: "out/good-guest.elf", bytes: &guest.build() },
        &Options { load_address, guest_policy: GuestPolicy::Checked },
    )
}

fn good_image() -> Image {
    link_elfs(&samples::nucleus(), &samples::guest(), LOAD_DIRECT).unwrap()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

/// Returns where the file has each segment.
fn file_offsets(image: &Image) -> Vec<usize> {
    load_headers(image).iter().map(|header| usize::try_from(header.p_offset(LittleEndian)).unwrap()).collect()
}

fn load_headers(image: &Image) -> Vec<ProgramHeader64<LittleEndian>> {
    let bytes = image.bytes.as_slice();
    let headers =
        FileHeader64::<LittleEndian>::parse(bytes).unwrap().program_headers(LittleEndian, bytes).unwrap();
    headers.iter().copied().filter(|header| header.p_type(LittleEndian) == elf::PT_LOAD).collect()
}

#[test]
fn the_segments_keep_their_addresses_and_lie_one_after_the_other_in_memory() {
    let segments = good_image().report.segments;
    let expected = [
        (NUCLEUS.0, 0x10_0000, 0x1000, Access::READ_EXECUTE),
        (NUCLEUS.0 + 0x1000, 0x10_1000, 0x1000, Access::READ),
        (NUCLEUS.0 + 0x2000, 0x10_2000, 0x3000, Access::READ_WRITE),
        (GUEST_IMAGE.0, 0x10_5000, 0x1000, Access::READ_EXECUTE),
        (GUEST_IMAGE.0 + 0x1000, 0x10_6000, 0x1000, Access::READ),
        (GUEST_IMAGE.0 + 0x2000, 0x10_7000, 0x4000, Access::READ_WRITE),
    ];
    let found: Vec<_> = segments
        .iter()
        .map(|segment| {
            (segment.virtual_start.0, segment.physical_start.0, segment.memory_bytes, segment.access)
        })
        .collect();
    assert_eq!(found, expected);
    assert!(segments[..3].iter().all(|segment| segment.is_of_nucleus()));
    assert!(!segments[3..].iter().any(|segment| segment.is_of_nucleus()));
}

#[test]
fn zeroed_data_takes_no_room_in_the_file() {
    let mut guest = samples::guest();
    guest.segments[2].bytes.extend_from_slice(&[0; 0x1800]);
    let image = link_elfs(&samples::nucleus(), &guest, LOAD_DIRECT).unwrap();
    let data = image.report.segments[5];
    assert_eq!((data.file_bytes, data.memory_bytes), (10, 0x5000));
    assert_eq!(image.bytes.len(), file_offsets(&image)[5] + 10);
}

#[test]
fn the_nucleus_learns_where_everything_lies() {
    let image = good_image();
    let table = &image.bytes[file_offsets(&image)[1]..];
    assert_eq!(u32_at(table, offset_of!(ImageTable, segment_count)), 6);
    assert_eq!(u64_at(table, offset_of!(ImageTable, load_address)), LOAD_DIRECT);
    assert_eq!(u64_at(table, offset_of!(ImageTable, guest_entry)), samples::ENTRY);
    assert_eq!(u64_at(table, offset_of!(ImageTable, guest_gate)), samples::GATE);
    for (index, segment) in image.report.segments.iter().enumerate() {
        let entry = &table[offset_of!(ImageTable, segments) + index * 32..];
        assert_eq!(u64_at(entry, 0), segment.virtual_start.0);
        assert_eq!(u64_at(entry, 8), segment.physical_start.0 - LOAD_DIRECT);
        assert_eq!(u64_at(entry, 16), segment.memory_bytes);
        assert_eq!(u32_at(entry, 24), segment.access.bits());
        assert_eq!(u32_at(entry, 28), if index < 3 { OWNER_NUCLEUS } else { 0 });
    }
}

#[test]
fn boot_loaders_find_physical_entries() {
    let image = link_elfs(&samples::nucleus(), &samples::guest(), LOAD_GRUB).unwrap();
    let header_start = file_offsets(&image)[0];
    assert!(header_start.is_multiple_of(8));
    let header = &image.bytes[header_start..];
    let offset = u32::try_from(samples::MULTIBOOT_ENTRY - samples::NUCLEUS_TEXT).unwrap();
    assert_eq!(u32_at(header, 24), 0x100_0000 + offset);

    let pvh = samples::PVH_ENTRY - samples::NUCLEUS_TEXT + LOAD_GRUB;
    let note =
        [[4, 8, 18].map(u32::to_le_bytes).concat(), b"Xen\0".to_vec(), pvh.to_le_bytes().to_vec()].concat();
    let first_page = &image.bytes[..PAGE];
    assert!(first_page.windows(note.len()).any(|window| window == note));
}

#[test]
fn the_file_is_also_laid_out_for_linux() {
    for load_address in [LOAD_DIRECT, LOAD_GRUB] {
        let image = link_elfs(&samples::nucleus(), &samples::guest(), load_address).unwrap();
        let header = FileHeader64::<LittleEndian>::parse(image.bytes.as_slice()).unwrap();
        assert_eq!(header.e_entry(LittleEndian), samples::ENTRY);
        let headers = load_headers(&image);
        for (header, segment) in headers.iter().zip(&image.report.segments) {
            let address = header.p_vaddr(LittleEndian);
            assert_eq!(header.p_offset(LittleEndian) % 4096, address % 4096);
            assert_eq!(header.p_paddr(LittleEndian), segment.physical_start.0);
            let has_zeros = header.p_memsz(LittleEndian) > header.p_filesz(LittleEndian);
            assert!(!has_zeros || segment.access.contains(Access::WRITE));
            if segment.is_of_nucleus() {
                assert!((LOAD_DIRECT..LINUX_PROGRAM.0).contains(&address), "{address:#x}");
            } else {
                assert_eq!(address, segment.virtual_start.0);
            }
        }
        let pages = |header: &ProgramHeader64<LittleEndian>| {
            let start = header.p_vaddr(LittleEndian);
            (start / 4096, (start + header.p_memsz(LittleEndian)).div_ceil(4096))
        };
        assert!(headers.windows(2).all(|pair| pages(&pair[0]).1 <= pages(&pair[1]).0));
    }
}

/// A page of the file that is executed in ring 3 holds nothing else.
#[test]
fn code_of_the_guest_has_its_pages_of_the_file_to_itself() {
    let image = good_image();
    let [offset, next] = [3, 4].map(|segment| file_offsets(&image)[segment]);
    let code = image.report.segments[3];
    assert_eq!((code.access, code.file_bytes), (Access::READ_EXECUTE, code.memory_bytes));
    assert!(offset.is_multiple_of(PAGE) && next == offset + PAGE);
}

#[test]
fn the_nucleus_takes_no_whole_pages_of_the_file() {
    let image = good_image();
    let offsets = file_offsets(&image);
    let ends = image.report.segments.iter().zip(&offsets);
    let ends: Vec<usize> =
        ends.map(|(segment, at)| at + usize::try_from(segment.file_bytes).unwrap()).collect();
    assert!(offsets[0] < PAGE);
    assert!(offsets[1] - ends[0] < 16 && offsets[2] - ends[1] < 16);
}

#[test]
fn a_jump_past_the_end_of_code_meets_a_breakpoint() {
    let image = good_image();
    for (segment, used) in [(0, samples::NUCLEUS_CODE), (3, 16)] {
        let text = &image.bytes[file_offsets(&image)[segment]..][..PAGE];
        assert!(text[used..].iter().all(|&byte| byte == 0xcc));
    }
}

#[test]
fn a_segment_that_starts_within_a_page_is_filled_up_to_whole_pages() {
    let mut guest = samples::guest();
    guest.segments[1].address += 0x123;
    let image = link_elfs(&samples::nucleus(), &guest, LOAD_DIRECT).unwrap();
    let segment = image.report.segments[4];
    assert_eq!(segment.virtual_start, VirtAddr(samples::GUEST_RODATA));
    let page = &image.bytes[file_offsets(&image)[4]..][..PAGE];
    assert_eq!(&page[..0x123], [0; 0x123]);
    assert!(page[0x123..].starts_with(b"a constant of hello"));
}

#[test]
fn a_gap_in_the_nucleus_is_kept_in_memory() {
    let mut nucleus = samples::nucleus();
    nucleus.segments[2].address += 0x5000;
    let segments = link_elfs(&nucleus, &samples::guest(), LOAD_DIRECT).unwrap().report.segments;
    assert_eq!(segments[2].physical_start, PhysAddr(LOAD_DIRECT + 0x7000));
    assert_eq!(segments[3].physical_start, PhysAddr(LOAD_DIRECT + 0xa000));
}

#[test]
fn unwind_tables_at_the_end_of_a_segment_stay_behind() {
    let mut guest = samples::guest();
    let mut frames = Segment::read_only(samples::GUEST_RODATA, &[7; 0x3000]);
    frames.bytes[..4].copy_from_slice(b"text");
    guest.segments[1] = frames.clone();
    guest.segments[2].address += 0x4000;
    let with = link_elfs(&samples::nucleus(), &guest, LOAD_DIRECT).unwrap();
    // The same pages, of which all but the first 16 bytes are now called `.eh_frame`.
    let bytes = builder_with_unwind_section(&guest);
    let without = link(
        &Input { name: "nucleus", bytes: &samples::nucleus().build() },
        &Input { name: "guest", bytes: &bytes },
        &Options { load_address: LOAD_DIRECT, guest_policy: GuestPolicy::Checked },
    )
    .unwrap();
    assert_eq!(with.report.segments[4].memory_bytes, 0x3000);
    assert_eq!(without.report.segments[4].memory_bytes, 0x1000);
}

/// Turns the read-only section into `.eh_frame` that starts 16 bytes later.
fn builder_with_unwind_section(guest: &Elf) -> Vec<u8> {
    let mut guest = guest.clone();
    guest.segments[1].section = ".eh_frame";
    let mut bytes = guest.build();
    let table = usize::try_from(u64_at(&bytes, 0x28)).unwrap();
    let section = table + 2 * 64;
    for (field, change) in [(0x10, 16_i64), (0x18, 16), (0x20, -16)] {
        let value = u64_at(&bytes, section + field).wrapping_add_signed(change);
        bytes[section + field..section + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

#[test]
fn the_report_counts_bytes_by_room() {
    let report = good_image().report;
    let size = |room| report.rooms.iter().find(|size| size.room == room).copied();
    assert_eq!(size(Room::Nucleus).unwrap().read_only, size_of::<ImageTable>() as u64);
    assert_eq!(size(Room::App).unwrap().text, 3);
    assert_eq!(size(Room::Services).unwrap().text, 3);
    assert_eq!(size(Room::Entry).unwrap().text, 10);
    assert_eq!(size(Room::Libos).unwrap().read_only, 8);
    assert_eq!(size(Room::Other).unwrap().read_only, 11);
    assert_eq!(size(Room::Smoltcp), None);
}

#[test]
fn a_stripped_image_still_tells_what_it_is_made_of() {
    let image = good_image();
    let report = inspect(&Input { name: "hello.img", bytes: &image.bytes }).unwrap();
    assert_eq!(report, image.report);
    assert_eq!(report.guest, "good-guest.elf");
    assert_eq!(report.load_address, PhysAddr(LOAD_DIRECT));
    assert_eq!(report.file_bytes, image.bytes.len() as u64);
    let text = report.to_string();
    for part in ["good-nucleus.elf", "0xffffffff80000000", "r-x", "services", "headers and padding"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    assert_eq!(good_image().bytes, good_image().bytes);
}

#[test]
fn a_guest_for_attacks_is_linked_without_a_look_at_its_code() {
    let nucleus = samples::nucleus().build();
    let guest = samples::guest_with_main(&[0xf4]).build();
    let link_with = |guest_policy| {
        link(
            &Input { name: "nucleus", bytes: &nucleus },
            &Input { name: "guest", bytes: &guest },
            &Options { load_address: LOAD_DIRECT, guest_policy },
        )
    };
    assert!(link_with(GuestPolicy::Unchecked).is_ok());
    assert!(link_with(GuestPolicy::Checked).is_err());
}
