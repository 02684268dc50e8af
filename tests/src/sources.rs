//! Counts lines of code, as the size laws do: comments, blank lines and tests are none.

use std::fs;
use std::path::Path;

/// Starts the tests at the end of a file.
const INLINE_TESTS: &str = "#[cfg(test)]\nmod tests {";
/// Files and folders that hold tests alone.
const TESTS: [&str; 2] = ["tests.rs", "tests"];

/// Returns the lines of code of the Rust sources below `folder`.
///
/// # Panics
///
/// They cannot be read.
#[must_use]
pub fn lines_of_code(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    paths.filter(|path| !TESTS.iter().any(|name| path.ends_with(name))).map(|path| lines_below(&path)).sum()
}

fn lines_below(path: &Path) -> usize {
    if path.is_dir() {
        return lines_of_code(path);
    }
    match path.extension() {
        Some(extension) if extension == "rs" => {
            count(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        }
        _ => 0,
    }
}

fn count(text: &str) -> usize {
    let code = text.split(INLINE_TESTS).next().unwrap_or_default();
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_tests_are_not_counted() {
        let text = "//! A file.\n\n/// Adds.\nfn one() {\n    // why\n    two();\n}\n\n#[cfg(test)]\nmod tests {\n    x\n}\n";
        assert_eq!(count(text), 3);
    }

    #[test]
    fn files_of_tests_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lib.rs", "tests.rs", "deep/mod.rs", "deep/tests/wire.rs", "linker.ld"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "code();\n").unwrap();
        }
        assert_eq!(lines_of_code(folder.path()), 2);
    }
}
