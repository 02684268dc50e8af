//! HTTP load by wrk, the client that people use.

use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Latency, Load};
use crate::bench::scratch;

/// Runs wrk with so many connections for so long.
pub(in crate::bench) fn wrk(address: SocketAddr, connections: usize, time: Duration) -> io::Result<Load> {
    let child = Command::new("wrk")
        .args(["--threads", "1", "--latency", "--timeout", "10s"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", time.as_secs().max(1))])
        .arg(format!("http://{address}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let _registered = scratch::Child::register(child.id());
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match parse(&text).filter(|_| output.status.success()) {
        Some(load) => refuse_errors(&text).map(|()| load),
        None => Err(io::Error::other(format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)))),
    }
}

fn refuse_errors(text: &str) -> io::Result<()> {
    let is_error = |line: &&str| line.contains("Socket errors") || line.contains("Non-2xx");
    match text.lines().find(is_error) {
        Some(line) => Err(io::Error::other(format!("wrk met errors: {}", line.trim()))),
        None => Ok(()),
    }
}

fn parse(text: &str) -> Option<Load> {
    let summary = text.lines().find(|line| line.contains(" requests in "))?;
    let mut words = summary.split_whitespace();
    let operations: u32 = words.next()?.parse().ok()?;
    let elapsed = duration(summary.split_once(" requests in ")?.1.split(',').next()?)?;
    let at = |share: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(share))?;
        duration(line.split_whitespace().nth(1)?)
    };
    let latency = at("50%").zip(at("99%")).map(|(median, tail)| Latency { median, tail });
    Some(Load { operations: f64::from(operations), elapsed, latency })
}

/// Reads a time as wrk writes it: 1.23ms, 4.00s, 1.50m.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let number: f64 = text[..split].parse().ok()?;
    let unit = match &text[split..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running 2s test @ http://10.9.0.2/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms  200.00us   3.00ms   90.00%
  Latency Distribution
     50%  902.00us
     75%    1.10ms
     90%    1.30ms
     99%    2.50ms
  112433 requests in 2.10s, 11.26MB read
Requests/sec:  53539.52
";

    #[test]
    fn the_output_of_wrk_is_read() {
        let load = parse(OUTPUT).unwrap();
        assert_eq!(load.operations, 112_433.0);
        assert_eq!(load.elapsed, Duration::from_millis(2100));
        let latency = load.latency.unwrap();
        assert_eq!((latency.median.as_micros(), latency.tail.as_micros()), (902, 2500));
        assert!(parse("").is_none());
    }

    #[test]
    fn a_load_with_errors_is_none() {
        assert!(refuse_errors("  Socket errors: connect 0, read 3, write 0, timeout 0").is_err());
        assert!(refuse_errors("  Non-2xx or 3xx responses: 7").is_err());
        assert!(refuse_errors(OUTPUT).is_ok());
    }
}
