//! A made-up machine that keeps every rule: the least of each thing that the rules speak about.

use abi::layout::{BOOT_INFO, CPU_BLOCKS, GUEST_IMAGE, HEAP, INFO_PAGE, MAIN_STACK, NUCLEUS, NUCLEUS_END};
use abi::{PAGE_SIZE, PhysAddr, VirtAddr};

use super::super::walk::{ADDRESS, NO_EXECUTE, PRESENT, USER, WRITABLE};
use super::super::{DescriptorTable, PhysicalMemory, Ram, Registers, Snapshot};

const PAGE: u64 = PAGE_SIZE as u64;
const MEMORY: usize = 1 << 20;
/// The page tables; the first is the root.
const TABLES: u64 = 0x1_0000;
/// Where the nucleus sees them.
const TABLES_VIEW: u64 = 0xffff_ffff_a000_0000;
const LOCAL_APIC: u64 = 0xfee0_0000;
const LOCAL_APIC_VIEW: u64 = NUCLEUS_END.0 + 16 * PAGE;
/// Frames from here on are given out in order.
const FRAMES: u64 = 0x4_0000;
const TASK: VirtAddr = VirtAddr(NUCLEUS.0 + 2 * PAGE);
const GATES: VirtAddr = VirtAddr(NUCLEUS.0 + 3 * PAGE);
/// Interrupt stacks, four pages each above a guard.
const STACKS: u64 = NUCLEUS_END.0 + 64 * PAGE;
const STACK_PAGES: u64 = 4;

/// Makes the machine.
pub(super) fn clean() -> Snapshot {
    let mut builder = Builder { ram: Ram(vec![0; MEMORY]), tables: 1, frames: 0 };
    builder.map_guest();
    builder.map_nucleus();
    Snapshot { registers: registers(), ram: builder.ram }
}

fn registers() -> Registers {
    Registers {
        cr0: 0x8001_0033,
        cr3: TABLES,
        cr4: 0x35_0e20,
        efer: 0xd01,
        rflags: 0x202,
        rsp: VirtAddr(stack_top(0) - 0x100),
        task: DescriptorTable { base: TASK, limit: 103 },
        interrupts: DescriptorTable { base: GATES, limit: 256 * 16 - 1 },
        xcr0: 0x1f,
        call_entry: VirtAddr(NUCLEUS.0 + 0x456),
        call_mask: 0x4_7700,
    }
}

fn stack_top(index: u64) -> u64 {
    STACKS + (index + 1) * (STACK_PAGES + 1) * PAGE
}

struct Builder {
    ram: Ram,
    tables: u64,
    frames: u64,
}

impl Builder {
    fn map_guest(&mut self) {
        let pages = [
            (GUEST_IMAGE.0, 0),
            (GUEST_IMAGE.0 + PAGE, NO_EXECUTE),
            (GUEST_IMAGE.0 + 2 * PAGE, WRITABLE | NO_EXECUTE),
            (MAIN_STACK.0, WRITABLE | NO_EXECUTE),
            (HEAP.0, WRITABLE | NO_EXECUTE),
        ];
        for (address, flags) in pages {
            let frame = self.frame();
            self.map(address, frame | PRESENT | USER | flags);
        }
        let shared = [(INFO_PAGE, 0), (BOOT_INFO, 0), (CPU_BLOCKS, WRITABLE)];
        for (index, (address, flags)) in (0..).zip(shared) {
            let frame = self.frame();
            self.map(address.0, frame | PRESENT | USER | NO_EXECUTE | flags);
            self.map(NUCLEUS_END.0 + (2 + index) * PAGE, frame | PRESENT | WRITABLE | NO_EXECUTE);
        }
    }

    fn map_nucleus(&mut self) {
        for (index, flags) in (0..).zip([0, NO_EXECUTE, WRITABLE | NO_EXECUTE, WRITABLE | NO_EXECUTE]) {
            let frame = self.frame();
            self.map(NUCLEUS.0 + index * PAGE, frame | PRESENT | flags);
            match VirtAddr(NUCLEUS.0 + index * PAGE) {
                TASK => self.write_task(frame),
                GATES => self.write_gates(frame),
                _ => {}
            }
        }
        for page in (0..3).flat_map(|index| (1..=STACK_PAGES).map(move |page| stack_top(index) - page * PAGE))
        {
            let frame = self.frame();
            self.map(page, frame | PRESENT | WRITABLE | NO_EXECUTE);
        }
        self.map(LOCAL_APIC_VIEW, LOCAL_APIC | PRESENT | WRITABLE | NO_EXECUTE);
        self.map(TABLES_VIEW, 0);
        for table in 0..self.tables {
            self.map(TABLES_VIEW + table * PAGE, (TABLES + table * PAGE) | PRESENT | WRITABLE | NO_EXECUTE);
        }
    }

    fn write_task(&mut self, frame: u64) {
        for (offset, index) in [(4, 1), (36, 1), (44, 2)] {
            self.ram.write(PhysAddr(frame + offset), &stack_top(index).to_le_bytes());
        }
        self.ram.write(PhysAddr(frame + 102), &104_u16.to_le_bytes());
    }

    fn write_gates(&mut self, frame: u64) {
        let handler = NUCLEUS.0 + 0x123;
        let low = handler & 0xffff | 0x08 << 16 | 1 << 32 | 0x8e << 40 | (handler >> 16 & 0xffff) << 48;
        for gate in 0..32 {
            self.ram.write(PhysAddr(frame + gate * 16), &low.to_le_bytes());
            self.ram.write(PhysAddr(frame + gate * 16 + 8), &(handler >> 32).to_le_bytes());
        }
    }

    fn frame(&mut self) -> u64 {
        self.frames += 1;
        FRAMES + (self.frames - 1) * PAGE
    }

    fn map(&mut self, address: u64, entry: u64) {
        let mut table = TABLES;
        for shift in [39, 30, 21] {
            let place = PhysAddr(table + (address >> shift & 511) * 8);
            let mut next = self.ram.quad_word(place).unwrap();
            if next == 0 {
                let user = if address >> 63 == 0 { USER } else { 0 };
                next = (TABLES + self.tables * PAGE) | PRESENT | WRITABLE | user;
                self.tables += 1;
                self.ram.write(place, &next.to_le_bytes());
            }
            table = next & ADDRESS;
        }
        self.ram.write(PhysAddr(table + (address >> 12 & 511) * 8), &entry.to_le_bytes());
    }
}
