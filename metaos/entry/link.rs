//! The build script of every guest: name this file as `build` in the program's manifest.
//!
//! Link arguments cannot be handed on by a library, so each program prints them itself. The linker script is looked for
//! upwards from the program's folder, so that programs may live at any depth of the workspace.

use std::path::{Path, PathBuf};

const SCRIPT: &str = "metaos/entry/guest.ld";

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let script = find_script(Path::new(&manifest)).expect("metaos/entry/guest.ld lies above the program");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}", script.display());
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=0x1000",
        "-Wl,-z,noexecstack",
        "-Wl,-z,norelro",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

fn find_script(program: &Path) -> Option<PathBuf> {
    program.ancestors().map(|folder| folder.join(SCRIPT)).find(|script| script.is_file())
}
