//! The program on a host: writes its bytes, reads the other's, and closes.

use super::host::{Host, Reading};
use super::pattern::Pattern;
use alloc::format;
use alloc::string::String;
use smoltcp::time::{Duration, Instant};

/// What a program does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Bytes to write.
    pub(super) writes: usize,
    /// Bytes to read.
    pub(super) reads: usize,
    /// How long it does something else after each time it has read.
    pub(super) pause: Duration,
}

/// A program at its work.
pub(super) struct Program {
    task: Task,
    writes: Pattern,
    reads: Pattern,
    written: usize,
    read: usize,
    reads_again_at: Instant,
    is_closed: bool,
    has_ended: bool,
    is_released: bool,
}

impl Program {
    /// A program that writes the bytes of one seed and expects those of another.
    pub(super) fn new(task: Task, writes: u64, reads: u64) -> Self {
        Self {
            task,
            writes: Pattern::new(writes),
            reads: Pattern::new(reads),
            written: 0,
            read: 0,
            reads_again_at: Instant::from_micros(0),
            is_closed: false,
            has_ended: false,
            is_released: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_released
    }

    /// Returns how many bytes it has read.
    pub(super) fn progress(&self) -> usize {
        self.read
    }

    /// Returns when it wants to run if nothing happens on its host before.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        (!self.has_ended && self.reads_again_at > now).then_some(self.reads_again_at)
    }

    /// Does what it can do now.
    pub(super) fn run(&mut self, now: Instant, host: &mut dyn Host) -> Result<(), String> {
        if self.is_released || !host.is_open() {
            return Ok(());
        }
        self.write(host);
        if !self.has_ended && now >= self.reads_again_at {
            self.read(host)?;
            self.reads_again_at = now + self.task.pause;
        }
        if self.has_ended && self.is_closed {
            host.release();
            self.is_released = true;
        }
        Ok(())
    }

    fn write(&mut self, host: &mut dyn Host) {
        while self.written < self.task.writes {
            let (written, rest) = (self.written, self.task.writes - self.written);
            let count = host.write(&mut |space| {
                let count = space.len().min(rest);
                self.writes.fill(written, &mut space[..count]);
                count
            });
            if count == 0 {
                return;
            }
            self.written += count;
        }
        if !self.is_closed {
            host.close_sending();
            self.is_closed = true;
        }
    }

    fn read(&mut self, host: &mut dyn Host) -> Result<(), String> {
        loop {
            let (mut place, mut is_right) = (self.read, true);
            let reading = host.read(&mut |bytes| {
                is_right &= self.reads.is_at(place, bytes);
                place += bytes.len();
            });
            self.read = place;
            let name = host.name();
            match reading {
                _ if !is_right => return Err(format!("{name}: a byte before {place} is wrong")),
                Reading::Bytes => {}
                Reading::Nothing => return Ok(()),
                Reading::Broken(why) => return Err(format!("{name}: after {place} bytes: {why}")),
                Reading::End if place != self.task.reads => {
                    return Err(format!("{name}: the end after {place} bytes"));
                }
                Reading::End => {
                    self.has_ended = true;
                    return Ok(());
                }
            }
        }
    }
}
