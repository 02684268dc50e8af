//! Where the instructions go: executed blocks of code, told by function.
//!
//! Every instruction of every executed block is looked up in the unstripped ELF files, so that a block that spans
//! inlined functions is shared out among them.

use std::collections::HashMap;
use std::fmt::Write;

use super::measure::Sampled;
use crate::crash::{Programs, SourceFrame, Symbols};

/// Rows of a table.
const ROWS: usize = 40;

/// Titles of the tables.
const TITLES: [&str; 3] = ["by function", "by innermost inlined function and its file", "by file"];

/// Executed instructions by address.
type Executed = HashMap<u64, u64>;

/// Prints how many instructions an operation takes, and where.
pub(super) fn describe(sampled: &Sampled, symbols: &Symbols, unit: &str) -> String {
    let executed = difference(sampled);
    let programs = Programs::load(symbols);
    let mut counts = TITLES.map(|_| HashMap::new());
    for (address, count) in &executed {
        let Names { function, innermost, file } = Names::at(&programs, *address);
        for (counts, name) in counts.iter_mut().zip([function, innermost, file]) {
            *counts.entry(name).or_insert(0) += count;
        }
    }
    let total: u64 = executed.values().sum();
    let mut text = format!("{:.1} instructions / {unit}\n", each(total, sampled.operations));
    for (title, counts) in TITLES.iter().zip(&counts) {
        text += &table(title, counts, total, sampled.operations);
    }
    text
}

fn difference(sampled: &Sampled) -> Executed {
    let mut executed = Executed::new();
    let before: HashMap<(u64, usize), u64> =
        sampled.before.iter().map(|block| ((block.address, block.sizes.len()), block.executions)).collect();
    for block in &sampled.after {
        let earlier = before.get(&(block.address, block.sizes.len())).copied().unwrap_or(0);
        let count = block.executions.saturating_sub(earlier);
        let mut address = block.address;
        for size in block.sizes.iter().filter(|_| count > 0) {
            *executed.entry(address).or_insert(0) += count;
            address = address.wrapping_add(u64::from(*size));
        }
    }
    executed
}

/// What an instruction is counted under.
struct Names {
    /// The function as the linker knows it.
    function: String,
    /// The innermost inlined function, with its file.
    innermost: String,
    /// The file.
    file: String,
}

impl Names {
    fn at(programs: &Programs, address: u64) -> Self {
        let frames = programs.at(address).map(|program| program.source_frames(address)).unwrap_or_default();
        let name = |frame: Option<&SourceFrame>| {
            let function = frame.and_then(|frame| frame.function.clone());
            function.unwrap_or_else(|| format!("(no name, page {:#x})", address & !0xfff))
        };
        // What the compiler made up has no line of its own; it belongs to what it was inlined into.
        let location = frames.iter().find_map(|frame| frame.location.as_ref());
        let file = location.map_or_else(|| "(no file)".to_owned(), |(file, _)| file.clone());
        Self { function: name(frames.last()), innermost: format!("{}  {file}", name(frames.first())), file }
    }
}

fn table(title: &str, counts: &HashMap<String, u64>, total: u64, operations: f64) -> String {
    let mut rows: Vec<(&String, u64)> = counts.iter().map(|(name, count)| (name, *count)).collect();
    rows.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    let mut text = format!("\n{title}\n");
    for (name, count) in rows.into_iter().take(ROWS) {
        let (self_count, share) = (each(count, operations), each(count * 100, each(total, 1.0)));
        // Writing to a string does not fail.
        let _ = writeln!(text, "{self_count:>10.1} {share:>5.1} %  {name}");
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a figure of a few digits is made of it")]
fn each(count: u64, operations: f64) -> f64 {
    count as f64 / operations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::counter::Block;

    #[test]
    fn only_what_was_executed_since_counts() {
        let block = |executions, address, sizes: &[u8]| Block { executions, address, sizes: sizes.to_vec() };
        let sampled = Sampled {
            before: vec![block(5, 0x1000, &[1, 2])],
            after: vec![block(7, 0x1000, &[1, 2]), block(3, 0x1001, &[2]), block(4, 0x2000, &[1])],
            operations: 2.0,
        };
        let executed = difference(&sampled);
        assert_eq!(executed, Executed::from([(0x1000, 2), (0x1001, 5), (0x2000, 4)]));
        let text = describe(&sampled, &Symbols::default(), "request");
        assert!(text.starts_with("5.5 instructions / request\n"), "{text}");
        assert!(text.contains("100.0 %"), "{text}");
    }
}
