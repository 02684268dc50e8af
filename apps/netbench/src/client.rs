//! The client: measures one workload and prints the result.

mod datagrams;
mod outcome;
mod streams;
mod target;

use crate::request::{Measurement, Workload};
use libos::io::Result;
use libos::println;
use target::Target;

/// Carries out a measurement.
pub(crate) fn measure(measurement: &Measurement) -> Result<()> {
    let target = Target::find(&measurement.server)?;
    let Measurement { workload, size, limit, .. } = measurement;
    let outcome = match workload {
        Workload::TcpRr => streams::ask_and_answer(&target, *size, limit),
        Workload::TcpSend => streams::send(&target, limit),
        Workload::TcpReceive => streams::receive(&target, limit),
        Workload::Connect => streams::connect(&target, limit),
        Workload::UdpRr => datagrams::ask_and_answer(&target, *size, limit),
        Workload::UdpSend => datagrams::send(&target, *size, limit),
        Workload::UdpReceive => datagrams::receive(&target, *size, limit),
    }?;
    println!("netbench: {} {outcome}", workload.name());
    Ok(())
}
