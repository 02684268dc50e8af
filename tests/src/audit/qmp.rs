//! A small client of QEMU's machine protocol: JSON, one object a line, over a unix socket (QEMU, `qmp-spec`).
//!
//! Every answer is waited for a limited time, so that a machine that hangs fails a test and does not hang it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long QEMU may take to make its socket, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the socket is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Why QEMU was not asked.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The socket is not there, or QEMU ended.
    #[error("qemu does not answer on its QMP socket: {0}; look whether it still runs")]
    Socket(#[from] io::Error),
    /// It said something that is no JSON object.
    #[error("qemu answered `{0}`, which is not QMP")]
    NotQmp(String),
    /// It refused a command.
    #[error("qemu refused `{command}`: {answer}")]
    Refused {
        /// The command.
        command: String,
        /// Its answer.
        answer: String,
    },
}

/// A connection to a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the QEMU that serves `socket`, as soon as it does.
    ///
    /// # Errors
    ///
    /// Nobody serves it in time, or not QEMU.
    pub fn connect(socket: &Path) -> Result<Self, QmpError> {
        let stream = connect_in_time(socket, Instant::now() + PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut qmp = Self { stream: BufReader::new(stream) };
        let greeting = qmp.read()?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::NotQmp(greeting.to_string()));
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Executes a command and returns what it returns.
    ///
    /// # Errors
    ///
    /// QEMU refuses it, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, QmpError> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}")?;
        loop {
            let mut answer = self.read()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(QmpError::Refused { command: command.to_owned(), answer: error.to_string() });
            }
            // Otherwise it is an event, which may come at any time.
        }
    }

    /// Executes a command of the human monitor and returns what it prints.
    ///
    /// # Errors
    ///
    /// QEMU refuses it, or does not answer.
    pub fn monitor(&mut self, line: &str) -> Result<String, QmpError> {
        let answer = self.execute("human-monitor-command", &json!({ "command-line": line }))?;
        answer.as_str().map(str::to_owned).ok_or_else(|| QmpError::NotQmp(answer.to_string()))
    }

    fn read(&mut self) -> Result<Value, QmpError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        serde_json::from_str(&line).map_err(|_| QmpError::NotQmp(line))
    }
}

fn connect_in_time(socket: &Path, deadline: Instant) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(socket) {
            Err(_) if Instant::now() < deadline => thread::sleep(POLL),
            outcome => return outcome,
        }
    }
}
