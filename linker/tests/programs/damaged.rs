//! Whatever is done to the bytes of a program, there is a plan or a refusal.

use metaos_linker::Refusal;
use metaos_linker::rewrite::{LinuxProgram, Placement, Plan};

use crate::native::stubs_address;
use crate::samples;

const ROUNDS: usize = 300;

#[test]
fn a_changed_program_is_planned_or_refused() {
    let sample = samples::all().into_iter().min_by_key(|sample| sample.bytes.len()).unwrap();
    let mut numbers = fastrand::Rng::with_seed(1);
    let mut planned = 0;
    for round in 0..ROUNDS {
        let mut bytes = sample.bytes.clone();
        for _ in 0..=numbers.usize(..4) {
            let place = match round % 3 {
                // Headers of the file and of segments; headers of sections; anywhere.
                0 => numbers.usize(..0x200),
                1 => bytes.len() - 1 - numbers.usize(..0x800),
                _ => numbers.usize(..bytes.len()),
            };
            bytes[place] = [0, 1, 0xff, numbers.u8(..)][numbers.usize(..4)];
        }
        if numbers.u8(..) < 16 {
            bytes.truncate(numbers.usize(..bytes.len()));
        }
        planned += usize::from(plan(&bytes).is_ok());
    }
    assert!(planned > 0 && planned < ROUNDS, "{planned} of {ROUNDS} were planned");
}

#[test]
fn dynamic_programs_are_refused_with_what_to_do() {
    let error = plan(&std::fs::read("/proc/self/exe").unwrap()).unwrap_err();
    assert_eq!(error, Refusal::NeedsLoader("a dynamic loader (PT_INTERP)"));
    assert!(error.to_string().contains("gcc -static"));
    assert_eq!(plan(b"#!/bin/sh\n").unwrap_err(), Refusal::NotElf);
}

#[test]
fn stubs_out_of_reach_are_refused() {
    let sample = samples::all().into_iter().next().unwrap();
    let program = LinuxProgram::parse(&sample.bytes).unwrap();
    let placement = Placement { bias: 0, stubs: 1 << 40 };
    let refusal = Plan::of(&program).emit(&placement, |_| 0).unwrap_err();
    assert!(matches!(refusal, Refusal::OutOfReach { .. }));
}

fn plan(bytes: &[u8]) -> Result<usize, Refusal> {
    let program = LinuxProgram::parse(bytes)?;
    let plan = Plan::of(&program);
    drop(plan.summary().to_string());
    let placement = Placement { bias: 0, stubs: stubs_address(&program) };
    // Far places are refused, which is as good.
    drop(plan.emit(&placement, |_| 0));
    Ok(plan.sites().len())
}
