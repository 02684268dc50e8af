//! Holds where unsafe code, assembly and privileged instructions may stand.
//!
//! The language does not confine them: a naked function with `wrmsr` is safe code to the compiler, and the `x86_64`
//! crate's `hlt` is a safe function. So the sources are read here, line by line, against the tables below. (That the
//! finished guests hold no privileged instruction is the image linker's check, on machine code.)

use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms whose sources are held to the rules.
const ROOMS: [&str; 4] = ["metaos", "libos", "apps", "linker/src"];
/// Held to its authors' rules.
const FOREIGN: &str = "libos/smoltcp";

/// Files that may hold privileged instructions.
const PRIVILEGED: [&str; 3] = [
    "metaos/nucleus/src/privileged.rs",
    // Instructions in sequence, which cannot be functions.
    "metaos/nucleus/src/boot/entry.rs",
    "metaos/nucleus/src/trap/entry.rs",
];

/// Files that may hold assembly without privileged instructions.
const ASSEMBLY: &[&str] = &[
    "metaos/nucleus/src/report.rs",
    "metaos/nucleus/src/symbols.rs",
    "metaos/entry/src/",
    "metaos/hosted/src/switch.rs",
    "libos/src/gate.rs",
    "libos/src/linux/gate.rs",
];

/// Files and folders that may hold unsafe code.
const UNSAFE: &[&str] = &[
    "metaos/nucleus/src/",
    "metaos/entry/src/",
    "metaos/hosted/src/",
    "metaos/services/src/clock.rs",
    "metaos/services/src/io/dma.rs",
    "metaos/services/src/io/entropy/cpu.rs",
    "metaos/services/src/io/volatile.rs",
    "metaos/services/src/memory/heap.rs",
    "metaos/services/src/memory/state.rs",
    "metaos/services/src/upcall/block.rs",
    "libos/src/gate.rs",
    "libos/src/linux/gate.rs",
];

/// Folders within [`UNSAFE`] that may not.
const SAFE: &[&str] = &[
    "metaos/nucleus/src/devices/",
    "metaos/nucleus/src/calls.rs",
    "metaos/hosted/src/console.rs",
    "metaos/hosted/src/device.rs",
    "metaos/hosted/src/device/packets.rs",
    "metaos/hosted/src/device/single.rs",
    "metaos/hosted/src/machine.rs",
    "metaos/hosted/src/memory.rs",
    "metaos/hosted/src/wait.rs",
];

#[test]
fn unsafe_code_assembly_and_privilege_stand_in_their_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
    let mut found = Vec::new();
    for file in ROOMS.iter().flat_map(|room| sources(&root.join(room))).filter(|file| !is_test(file)) {
        let name = file.strip_prefix(root).expect("a source lies in the workspace").display().to_string();
        let text = fs::read_to_string(&file).expect("a source file is text");
        found.extend(violations(&name, &text));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_stands_in_the_wrong_room_is_found() {
    let planted = [
        ("libos/src/net/mod.rs", "let x = unsafe { *p };", "unsafe code"),
        ("apps/http/src/main.rs", "core::arch::asm!(\"nop\");", "assembly"),
        ("metaos/services/src/clock.rs", "#[unsafe(naked)]", "assembly"),
        ("metaos/entry/src/gate.rs", "    \"wrmsr\",", "a privileged instruction"),
        ("metaos/entry/src/gate.rs", "asm!(\"mov cr3, rax\")", "a privileged instruction"),
        ("metaos/entry/src/gate.rs", "asm!(\"xor eax, eax\", \"cli\")", "a privileged instruction"),
        ("metaos/nucleus/src/calls.rs", "x86_64::instructions::hlt();", "a privileged instruction"),
        (
            "metaos/nucleus/src/cpu.rs",
            "use x86_64::registers::control::{Cr0Flags, Cr3};",
            "a privileged instruction",
        ),
        ("metaos/nucleus/src/devices/acpi.rs", "unsafe fn read() {}", "unsafe code"),
    ];
    for (file, line, what) in planted {
        let found = violations(file, &format!("//! A file.\n{line}\n"));
        assert!(found.iter().any(|message| message.contains(what)), "{file}: {line}: {found:?}");
    }
}

#[test]
fn words_that_only_look_like_it_are_not() {
    let harmless = "fail(\"stack overflow\");\n// unsafe { asm!(\"hlt\") }\nlet unsafely = \"press in or out\";\n#![forbid(unsafe_code)]\n";
    assert_eq!(violations("libos/src/net/mod.rs", harmless), Vec::<String>::new());
    let flags = "use x86_64::registers::control::{Cr0Flags, Cr4Flags};\n";
    assert_eq!(violations("metaos/nucleus/src/cpu.rs", flags), Vec::<String>::new());
}

fn violations(file: &str, text: &str) -> Vec<String> {
    let is_in = |places: &[&str]| places.iter().any(|place| file.starts_with(place));
    let is_privileged_file = is_in(&PRIVILEGED);
    let rules = [
        ("unsafe code", is_in(UNSAFE) && !is_in(SAFE), Regex::new(r"\bunsafe\b\s*(\{|fn|impl|extern|\()")),
        (
            "assembly",
            is_privileged_file || is_in(ASSEMBLY),
            Regex::new(r"\b(asm|global_asm|naked_asm)!|unsafe\(naked\)"),
        ),
        ("a privileged instruction", is_privileged_file, Regex::new(PRIVILEGED_ASSEMBLY)),
        ("a privileged instruction", is_privileged_file, Regex::new(PRIVILEGED_FUNCTION)),
    ];
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        for (what, is_allowed, pattern) in &rules {
            let pattern = pattern.as_ref().expect("the patterns are constants");
            if !is_allowed && pattern.is_match(code) {
                found.push(format!("{file}:{}: {what} does not belong here: {}", number + 1, code.trim()));
            }
        }
    }
    found
}

/// A string that starts with a privileged instruction, as the lines of an assembly block do.
const PRIVILEGED_ASSEMBLY: &str = concat!(
    r#""\s*(\w+:\s*)?("#,
    "hlt|cli|sti|clts|invd|wbinvd|invlpg|rdmsr|wrmsr|lgdt|lidt|lldt|ltr|lmsr|swapgs|sysretq?|iretq?|stac|clac|xsetbv",
    r#"|in\s+(al|ax|eax),|out\s+(dx|\d)|insb|outsb|rep (insb|outsb)|mov\s+\w+,\s*[cd]r\d|mov\s+[cd]r\d)\b"#,
);

/// Functions of the `x86_64` crate that are or hold privileged instructions: all but its types of flags and structures.
const PRIVILEGED_FUNCTION: &str = r"x86_64::instructions|\b(Cr[0-8]|XCr0|Efer|Msr|LStar|SFMask|KernelGsBase|GsBase|FsBase|Port|Dr[0-7])\b(::|[,};])";

/// Tells whether a file holds unit tests, which make memory and devices up, and never ship.
fn is_test(file: &Path) -> bool {
    let is_test_name =
        |name: &str| matches!(name, "tests" | "tests.rs" | "mock.rs" | "fake.rs" | "entry_test.rs");
    file.iter().any(|part| part.to_str().is_some_and(is_test_name))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the rooms are folders") {
            let path = entry.expect("the rooms are readable").path();
            if path.ends_with(FOREIGN) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}
