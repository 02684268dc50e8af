//! Writes an initramfs: an archive in the "newc" form of cpio (Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed.

/// Types and rights of entries.
const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;
/// The console, which the kernel opens for init: character device 5, 1.
const CONSOLE: (u32, u32) = (5, 1);
const TRAILER: &str = "TRAILER!!!";

/// Returns an archive with `program` as init and `modules` in their order.
pub(super) fn archive(program: &[u8], modules: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Archive { bytes: Vec::new(), entries: 0 };
    for directory in ["dev", "proc", "sys", "modules"] {
        archive.add(directory, DIRECTORY, (0, 0), &[]);
    }
    archive.add("dev/console", DEVICE, CONSOLE, &[]);
    archive.add("init", FILE, (0, 0), program);
    for (index, (name, bytes)) in modules.iter().enumerate() {
        archive.add(&format!("modules/{index:02}-{name}"), FILE, (0, 0), bytes);
    }
    archive.add(TRAILER, 0, (0, 0), &[]);
    archive.bytes
}

struct Archive {
    bytes: Vec<u8>,
    entries: usize,
}

impl Archive {
    /// Adds an entry: a head of eight-digit hexadecimal fields, the name, the content; each part padded to four bytes.
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let (number, size, length) = (self.entries, content.len(), name.len() + 1);
        let (major, minor) = device;
        // Magic, inode, mode, owner, group, links, time, size, device, own device, length of the name, no checksum.
        let head = format!(
            "070701{number:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{major:08x}{minor:08x}\
             {length:08x}{0:08x}",
            0, 1
        );
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn entries_start_at_multiples_of_four() {
        let bytes = archive(b"12345", &[("a.ko".to_owned(), b"x".to_vec())]);
        let heads: Vec<usize> =
            bytes.windows(6).enumerate().filter(|(_, six)| six == b"070701").map(|(at, _)| at).collect();
        assert_eq!(heads.len(), 8);
        assert!(heads.iter().all(|at| at % 4 == 0), "{heads:?}");
    }

    #[test]
    fn cpio_reads_it_where_there_is_one() {
        let Ok(mut cpio) =
            Command::new("cpio").arg("-t").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            return;
        };
        cpio.stdin.take().unwrap().write_all(&archive(b"12345", &[("a.ko".to_owned(), vec![])])).unwrap();
        let names = String::from_utf8(cpio.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(
            names.lines().collect::<Vec<_>>(),
            ["dev", "proc", "sys", "modules", "dev/console", "init", "modules/00-a.ko"]
        );
    }
}
