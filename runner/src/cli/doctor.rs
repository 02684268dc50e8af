//! `cargo metaos doctor`: looks at what is needed, and says what to do about what is not there.

use std::fs::OpenOptions;

use super::Outcome;
use crate::install::{Need, Plan, System};
use crate::workspace::Workspace;
use crate::{hosted, kvm, qemu};

/// How much something matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weight {
    /// Nothing runs without it.
    Needed,
    /// Something is slower, or is not offered, without it.
    Useful,
}

/// What was found.
#[derive(Debug)]
struct Finding {
    weight: Weight,
    subject: &'static str,
    /// What is there, or what to do.
    result: Result<String, String>,
}

/// Looks at everything and prints it.
pub(super) fn execute() -> Outcome {
    let findings = [
        home(),
        c_linker(),
        qemu_itself(),
        kvm_usable(),
        process(),
        passt(),
        tracers(),
        disc_tools(),
        test_tools(),
        bench_tools(),
        tap(),
    ];
    for finding in &findings {
        print(finding);
    }
    let is_fit = |finding: &Finding| finding.weight == Weight::Useful || finding.result.is_ok();
    Ok(if findings.iter().all(is_fit) { 0 } else { 1 })
}

fn print(finding: &Finding) {
    let (sign, text) = match (&finding.result, finding.weight) {
        (Ok(text), _) => ("ok ", text),
        (Err(text), Weight::Needed) => ("NO ", text),
        (Err(text), Weight::Useful) => ("-- ", text),
    };
    let subject = finding.subject;
    println!("{sign} {subject:<12} {}", text.trim_end().replace('\n', "\n                 "));
}

fn home() -> Finding {
    let result =
        Workspace::home().map(|home| home.root.display().to_string()).map_err(|error| error.to_string());
    Finding { weight: Weight::Needed, subject: "source tree", result }
}

fn c_linker() -> Finding {
    let missing =
        "no C linker in PATH; install gcc or clang (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)";
    let result =
        qemu::find_program("cc").map(|path| path.display().to_string()).ok_or_else(|| missing.to_owned());
    Finding { weight: Weight::Needed, subject: "C linker", result }
}

fn qemu_itself() -> Finding {
    let found = qemu::find().and_then(|path| Ok((qemu::version(&path)?, path)));
    let result = match found {
        Ok((version, path)) if version >= qemu::OLDEST => Ok(format!("{version} at {}", path.display())),
        Ok((version, path)) => Err(format!(
            "{version} at {} is older than {}\n{}",
            path.display(),
            qemu::OLDEST,
            advice(Need::Qemu)
        )),
        Err(error) => Err(format!("{error}\n{}", advice(Need::Qemu))),
    };
    // Where guests run as processes, only what takes a machine needs it.
    let weight = if hosted::probe().is_ok() { Weight::Useful } else { Weight::Needed };
    Finding { weight, subject: "QEMU", result }
}

fn kvm_usable() -> Finding {
    let usable = || "runs compiled code in ring 0".to_owned();
    let result = kvm::probe()
        .map(|()| usable())
        .map_err(|refusal| format!("{refusal}; guests run as processes, machines on TCG"));
    Finding { weight: Weight::Useful, subject: "KVM", result }
}

fn process() -> Finding {
    let usable = || "a guest can run as a Linux process".to_owned();
    let result =
        hosted::probe().map(|()| usable()).map_err(|refusal| format!("{refusal}; guests run in QEMU"));
    Finding { weight: Weight::Useful, subject: "hosted", result }
}

fn passt() -> Finding {
    let without = "a hosted guest's published ports are forwarded all the same, but it reaches nothing else";
    let result = hosted::find_passt().map(|path| path.display().to_string()).map_err(|error| match error {
        hosted::PasstError::Missing => format!("not installed; {without}\n{}", advice(Need::Passt)),
        error => format!("{error}; {without}"),
    });
    Finding { weight: Weight::Useful, subject: "passt", result }
}

fn tracers() -> Finding {
    let missing: Vec<Need> =
        [Need::Perf, Need::Gdb].into_iter().filter(|need| !need.missing().is_empty()).collect();
    let result = match missing.as_slice() {
        [] => Ok("everything is there".to_owned()),
        missing => Err(missing.iter().map(|need| advice(*need)).collect::<Vec<_>>().join("\n")),
    };
    Finding { weight: Weight::Useful, subject: "perf, gdb", result }
}

fn disc_tools() -> Finding {
    Finding { weight: Weight::Useful, subject: "build --iso", result: tools(Need::Iso) }
}

fn test_tools() -> Finding {
    Finding { weight: Weight::Useful, subject: "test", result: tools(Need::Tests) }
}

fn bench_tools() -> Finding {
    Finding { weight: Weight::Useful, subject: "bench", result: tools(Need::Bench) }
}

fn tools(need: Need) -> Result<String, String> {
    match need.missing().as_slice() {
        [] => Ok("everything is there".to_owned()),
        missing => Err(format!("missing: {}\n{}", missing.join(", "), advice(need))),
    }
}

fn tap() -> Finding {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    let result = match opened {
        Ok(_) => Ok("/dev/net/tun can be opened".to_owned()),
        Err(cause) => Err(format!("/dev/net/tun: {cause}; only --net tap needs it, --net user does not")),
    };
    Finding { weight: Weight::Useful, subject: "tap network", result }
}

fn advice(need: Need) -> String {
    match System::detect() {
        Some(system) => format!("get it by\n{}", Plan::new(&[need], &system)),
        None => "install it by hand: this system's package manager is not known".to_owned(),
    }
}
