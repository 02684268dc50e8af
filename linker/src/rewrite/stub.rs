//! The stubs, and the text that jumps to them.
//!
//! Nothing is written to the program's stack, which may end right there (Go) or have its red zone in use. A stub needs
//! no register of the program either, because Linux gives `rcx` and `r11` back changed:
//!
//! ```text
//! text:  jmp stub                stub:  <moved from before the syscall>
//!        (int3 ...)                     lea rcx, [rip + back]
//!                                       jmp dispatcher     (or jmp [rip + pointer])
//!                                back:  <moved from after it>
//!                                       jmp text           (where the window ends)
//! ```
//!
//! At the dispatcher's entry `rax` holds the number, `rdi rsi rdx r10 r8 r9` the arguments, `rcx` the address of
//! `back`; `r11` is free and every other register the program's. It goes back by a jump to `rcx` with the result in
//! `rax`, and may change `rcx`, `r11` and the arithmetic flags, which no compiler keeps over a `syscall`.

use super::window::{JUMP, Moved, Window};
use super::{Entry, Patched, Placement, Plan, StubSite, Verdict};
use crate::error::Refusal;

/// `int3`: what the rest of a window is filled with, and the space between pointers and stubs.
const FILLER: u8 = 0xcc;
/// Length of `lea rcx, [rip + distance]`.
const LEA: usize = 7;
/// Length of `jmp [rip + distance]`.
const INDIRECT_JUMP: usize = 6;
/// Length of a pointer.
const POINTER: usize = 8;

/// Writes stubs and text; see [`Plan::emit`].
pub(super) fn emit(
    plan: &Plan<'_>,
    placement: &Placement,
    dispatcher: &dyn Fn(Option<u32>) -> u64,
) -> Result<Patched, Refusal> {
    let windows = plan.sites.iter().filter_map(|site| match &site.verdict {
        Verdict::Patched(window) => Some((site, window)),
        Verdict::Trapped(_) => None,
    });
    let mut entries: Vec<u64> = windows.clone().map(|(site, _)| dispatcher(site.number)).collect();
    let each_entry = entries.clone();
    entries.sort_unstable();
    entries.dedup();

    let mut stubs = Stubs { plan, placement, bytes: Vec::new(), entries };
    stubs.write_pointers();
    let mut text = plan.executable_bytes(placement.bias);
    let mut sites = Vec::new();
    for ((site, window), entry) in windows.zip(each_entry) {
        let written = stubs.write(window, entry)?;
        let start = stubs.moved_by_bias(window.range.start);
        let mut patch =
            vec![FILLER; usize::try_from(window.range.end - window.range.start).unwrap_or_default()];
        patch[..5].copy_from_slice(&jump(start, written.start)?);
        for part in &mut text {
            part.overwrite(start, &patch);
        }
        sites.push(StubSite { address: stubs.moved_by_bias(site.address), number: site.number, ..written });
    }
    Ok(Patched { text, stubs: stubs.bytes, sites })
}

struct Stubs<'a> {
    plan: &'a Plan<'a>,
    placement: &'a Placement,
    bytes: Vec<u8>,
    /// The dispatcher's entries by address; the pointers to them stand first.
    entries: Vec<u64>,
}

impl Stubs<'_> {
    fn write_pointers(&mut self) {
        self.bytes = self.entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    }

    /// Writes one stub, and tells where it is; address and number of the call are the caller's to fill in.
    fn write(&mut self, window: &Window, entry: u64) -> Result<StubSite, Refusal> {
        let start = self.here();
        let mut moved = Vec::new();
        for instruction in &window.before {
            moved.push(self.write_moved(instruction)?);
        }
        let before_jump = self.here().wrapping_add(LEA as u64);
        let direct = jump(before_jump, entry).ok();
        let skipped = direct.map_or(INDIRECT_JUMP, |direct| direct.len());
        self.bytes.extend([0x48, 0x8d, 0x0d]);
        self.bytes.extend(u32::try_from(skipped).expect("a few bytes").to_le_bytes());
        match direct {
            Some(direct) => self.bytes.extend(direct),
            None => self.write_indirect_jump(entry)?,
        }
        let back = self.here();
        for instruction in &window.after {
            moved.push(self.write_moved(instruction)?);
        }
        if !window.ends {
            let end = self.moved_by_bias(window.range.end);
            self.bytes.extend(jump(self.here(), end)?);
        }
        Ok(StubSite { address: 0, number: None, start, back, end: self.here(), moved })
    }

    fn write_indirect_jump(&mut self, entry: u64) -> Result<(), Refusal> {
        let index = self.entries.partition_point(|other| *other < entry);
        let pointer = self.placement.stubs.wrapping_add((index * POINTER) as u64);
        let from = self.here();
        self.bytes.extend([0xff, 0x25]);
        self.bytes.extend(distance(from.wrapping_add(INDIRECT_JUMP as u64), pointer)?);
        Ok(())
    }

    fn write_moved(&mut self, moved: &Moved) -> Result<Entry, Refusal> {
        let here = self.here();
        let bytes = self.plan.program.bytes_from(moved.original).unwrap_or_default();
        let mut bytes = bytes.get(..moved.length).unwrap_or_default().to_vec();
        if let Some((offset, target)) = moved.distance {
            let end = here.wrapping_add(moved.length as u64);
            let distance = distance(end, self.moved_by_bias(target))?;
            if let Some(place) = bytes.get_mut(offset..offset + distance.len()) {
                place.copy_from_slice(&distance);
            }
        }
        self.bytes.extend(bytes);
        Ok(Entry { stub: here, original: self.moved_by_bias(moved.original), length: moved.length })
    }

    fn here(&self) -> u64 {
        self.placement.stubs.wrapping_add(self.bytes.len() as u64)
    }

    fn moved_by_bias(&self, address: u64) -> u64 {
        address.wrapping_add(self.placement.bias)
    }
}

/// Returns `jmp rel32` at `from` to `to`.
fn jump(from: u64, to: u64) -> Result<[u8; 5], Refusal> {
    let [a, b, c, d] = distance(from.wrapping_add(JUMP), to)?;
    Ok([0xe9, a, b, c, d])
}

fn distance(from: u64, to: u64) -> Result<[u8; 4], Refusal> {
    let distance = to.wrapping_sub(from).cast_signed();
    i32::try_from(distance).map(i32::to_le_bytes).map_err(|_| Refusal::OutOfReach { from, to })
}
