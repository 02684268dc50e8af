//! The threads that carry a machine's bytes: console out, console in, control channel, the process's own
//! complaints.
//!
//! Each reads until the other side closes, which the process does by ending: so nothing that the machine sent before its
//! end is lost. What matters to the waiting side arrives as [`Event`]s.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::control::{Parser, Record};
use crate::machine::Console;
use crate::machine::capture::Capture;

/// What a terminal sends for Ctrl-D (ASCII EOT).
const END_OF_TRANSMISSION: u8 = 4;

/// Bytes read at once.
const PIECE: usize = 16 << 10;

/// What happened to a machine.
#[derive(Debug)]
pub(super) enum Event {
    /// A record came over the control channel.
    Record(Record),
    /// A channel was closed, which only the end of the process does.
    Closed,
    /// Nobody reads this process's standard output any more.
    ConsoleLost,
}

/// Reads the console into `capture` and, for a terminal, to standard output.
pub(super) fn read_console(
    mut stream: File,
    console: Console,
    capture: Arc<Capture>,
    events: Sender<Event>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut is_shown = console == Console::Terminal;
        for_each_piece(&mut stream, |bytes| {
            capture.push(bytes);
            if is_shown && show(bytes).is_err() {
                is_shown = false;
                send(&events, Event::ConsoleLost);
            }
        });
        capture.end();
        send(&events, Event::Closed);
    })
}

/// Reads records from the control channel. That the machine takes input goes to `ready`, how it ended to `events`.
pub(super) fn read_control(mut stream: File, events: Sender<Event>, ready: Sender<()>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut parser = Parser::new();
        for_each_piece(&mut stream, |bytes| {
            for record in parser.push(bytes) {
                match record {
                    // Nobody waits for it where there is no terminal.
                    Record::Ready => {
                        ready.send(()).ok();
                    }
                    Record::Exit(_) | Record::Crash(_) => send(&events, Event::Record(record)),
                }
            }
        });
        send(&events, Event::Closed);
    })
}

/// Reads what the process itself complains about.
pub(super) fn read_errors(mut stream: impl Read + Send + 'static, capture: Arc<Capture>) -> JoinHandle<()> {
    thread::spawn(move || {
        for_each_piece(&mut stream, |bytes| capture.push(bytes));
        capture.end();
    })
}

/// Passes standard input on to the console, and its end as a terminal does: by Ctrl-D. Waits for `ready` first, since a
/// serial port loses what comes before it is set up. A thread nobody waits for: reading a terminal cannot be called off.
pub(super) fn pass_input(mut console: File, ready: Receiver<()>) {
    thread::spawn(move || {
        if ready.recv().is_err() {
            return;
        }
        let mut input = io::stdin().lock();
        let mut piece = [0; 256];
        while let Ok(count @ 1..) = input.read(&mut piece) {
            if console.write_all(&piece[..count]).is_err() {
                return;
            }
        }
        // A guest that is gone has no use for it.
        console.write_all(&[END_OF_TRANSMISSION]).ok();
    });
}

fn for_each_piece(stream: &mut impl Read, mut take: impl FnMut(&[u8])) {
    let mut piece = vec![0; PIECE];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => take(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

fn show(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(bytes)?;
    output.flush()
}

/// The other side may have stopped listening; then nobody needs to know.
fn send(events: &Sender<Event>, event: Event) {
    drop(events.send(event));
}
