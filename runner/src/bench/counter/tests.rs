//! The plugin counts a loop of known length, in a machine that does nothing else.

use super::*;
use crate::machine::{Image, Machine, MachineConfig};

/// Prints, then executes four instructions a round, and a few around them.
const LOOP: &str = r#"
    .section .note.pvh, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long start
    .code32
    .text
    .globl start
start:
    mov $1000000, %ecx
1:  nop
    nop
    dec %ecx
    jnz 1b
    mov $0x3f8, %dx
    mov $'!', %al
    out %al, (%dx)
2:  hlt
    jmp 2b
"#;
const EXPECTED: u64 = 4_000_000;

fn assembled(directory: &Path) -> PathBuf {
    let (source, image) = (directory.join("loop.S"), directory.join("loop.elf"));
    fs::write(&source, LOOP).unwrap();
    let flags = ["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-Ttext=0x100000,-e,start", "-o"];
    let made = Command::new("cc").args(flags).args([&image, &source]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    image
}

#[test]
fn a_known_loop_is_counted_to_the_instruction() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("counter");
    let plugin = Plugin::compile(directory.path()).unwrap();
    let mut config = MachineConfig::new(Image::Kernel(assembled(directory.path())));
    config.extra_arguments = plugin.arguments(&socket, Detail::Blocks).to_vec();
    let machine = Machine::start(&config).unwrap();
    let mut counter = Counter::connect(&socket).unwrap();
    assert!(machine.wait_for_console("!", Duration::from_secs(20)));
    let blocks = counter.read_blocks().unwrap();
    let count = counter.read().unwrap();
    let body: Vec<&Block> = blocks.iter().filter(|block| block.sizes.ends_with(&[1, 1, 1, 2])).collect();
    let executed: u64 = body.iter().map(|block| block.executions).sum();
    assert_eq!(executed * 4, EXPECTED, "{blocks:?}");
    // The firmware comes before it.
    assert!((EXPECTED..EXPECTED + 5_000_000).contains(&count.total()), "{count:?}");
    assert_eq!(count.upper, 0);
}

#[test]
fn answers_are_read_as_they_are_written() {
    assert_eq!(parse_count("12 34\n"), Some(Count { lower: 12, upper: 34 }));
    assert_eq!(parse_count("12\n"), None);
    let block = Block { executions: 7, address: 0xffff_0000_0000_0000, sizes: vec![1, 15] };
    assert_eq!(parse_block("7 ffff000000000000 1 15\n"), Some(block));
    assert_eq!(parse_block("7 xyz 1\n"), None);
    assert_eq!(parse_block(""), None);
}
