//! Looks at the processes of this host, as `proc(5)` shows them.

use std::fs;

/// Returns the child of `parent` that runs `program` (`proc(5)`: the third word of `stat` is the state, the fourth the
/// parent).
#[must_use]
pub fn child_named(parent: u32, program: &str) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut children = ids.filter(|id| stat(*id).is_some_and(|(_, its_parent)| its_parent == parent));
    children.find(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(name).ends_with(program)
    })
}

/// Tells whether a process runs; one that has ended and was not waited for does not.
#[must_use]
pub fn is_running(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state != 'Z')
}

fn stat(process: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
