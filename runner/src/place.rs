//! Where a guest runs, and why there: on KVM, as a Linux process, or on TCG.
//!
//! What a user leaves open is decided by what was asked for otherwise and by what works on this host, which is probed
//! and never assumed: KVM first, for a machine is what a guest was made for; then a process, which is as fast; TCG where
//! neither works or where only a machine has what was asked for.

use std::path::Path;

use crate::hosted::{self, HostedRefusal};
use crate::kvm::{self, KvmRefusal};
use crate::machine::Accelerator;
use crate::qemu;

/// What the user wants executed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// KVM where it works, else a process, else TCG.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// TCG.
    Tcg,
    /// A process or nothing.
    Hosted,
}

/// What was asked for that not every place has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    /// Something that only a machine has.
    pub machine: Option<&'static str>,
    /// Something that only a process has.
    pub process: Option<&'static str>,
}

/// A place, and why it was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// What executes the guest.
    pub accelerator: Accelerator,
    /// Why.
    pub reason: String,
}

/// Why there is no such place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlaceError {
    /// KVM was asked for and cannot be used.
    #[error("{0}; choose --accel auto to run in another way")]
    Kvm(#[from] KvmRefusal),
    /// A process was asked for and cannot be made.
    #[error("{0}; choose --accel auto to run in another way")]
    Hosted(#[from] HostedRefusal),
    /// A process, and something that only a machine has.
    #[error("{0} takes a machine; leave it out, or choose --accel tcg in place of hosted")]
    MachineOnly(&'static str),
    /// A machine, and something that only a process has.
    #[error("{0} takes a guest that runs as a process; leave it out, or choose --accel hosted")]
    ProcessOnly(&'static str),
}

/// What works on a host.
pub trait Probe {
    /// Whether KVM does.
    ///
    /// # Errors
    ///
    /// It does not, and why.
    fn kvm(&self) -> Result<(), KvmRefusal>;

    /// Whether a guest can run as a process.
    ///
    /// # Errors
    ///
    /// It cannot, and why.
    fn hosted(&self) -> Result<(), HostedRefusal>;

    /// Whether QEMU is installed.
    fn has_qemu(&self) -> bool;
}

/// The host that this program runs on.
#[derive(Clone, Copy, Debug)]
pub struct ThisHost;

impl Probe for ThisHost {
    fn kvm(&self) -> Result<(), KvmRefusal> {
        kvm::probe()
    }

    fn hosted(&self) -> Result<(), HostedRefusal> {
        hosted::probe()
    }

    fn has_qemu(&self) -> bool {
        qemu::find().is_ok()
    }
}

/// Returns what only a machine can do with the image at `path`.
#[must_use]
pub fn wish_of_image(path: &Path) -> Option<&'static str> {
    match hosted::has_linux_start(path) {
        // A file that cannot be read is told of by whoever needs it.
        Ok(true) | Err(_) => None,
        Ok(false) => Some("an image without a start for Linux"),
    }
}

/// Decides where a guest runs. Only what matters is probed.
///
/// # Errors
///
/// The place that was asked for is not to be had, or does not have what was asked for otherwise.
pub fn choose(choice: Choice, wishes: Wishes, host: &impl Probe) -> Result<Place, PlaceError> {
    let asked = || "asked for".to_owned();
    match (choice, wishes) {
        (Choice::Hosted, Wishes { machine: Some(what), .. }) => Err(PlaceError::MachineOnly(what)),
        (Choice::Kvm | Choice::Tcg, Wishes { process: Some(what), .. }) => Err(PlaceError::ProcessOnly(what)),
        (Choice::Hosted, _) => {
            Ok(Place { accelerator: Accelerator::Hosted, reason: host.hosted().map(|()| asked())? })
        }
        (Choice::Kvm, _) => {
            Ok(Place { accelerator: Accelerator::Kvm, reason: host.kvm().map(|()| asked())? })
        }
        (Choice::Tcg, _) => Ok(Place { accelerator: Accelerator::Tcg, reason: asked() }),
        (Choice::Auto, Wishes { machine: Some(what), process: Some(_) }) => {
            Err(PlaceError::MachineOnly(what))
        }
        (Choice::Auto, Wishes { machine: Some(what), .. }) => Ok(machine(what, host)),
        (Choice::Auto, Wishes { process: Some(what), .. }) => {
            let reason = host.hosted().map(|()| format!("{what} takes a process"))?;
            Ok(Place { accelerator: Accelerator::Hosted, reason })
        }
        (Choice::Auto, _) => Ok(open(host)),
    }
}

/// A machine, for `what` takes one.
fn machine(what: &str, host: &impl Probe) -> Place {
    match host.kvm() {
        Ok(()) => {
            Place { accelerator: Accelerator::Kvm, reason: format!("KVM works, and {what} takes a machine") }
        }
        Err(refusal) => {
            Place { accelerator: Accelerator::Tcg, reason: format!("{what} takes a machine, and {refusal}") }
        }
    }
}

/// The best place.
fn open(host: &impl Probe) -> Place {
    let without_kvm = match host.has_qemu() {
        true => match host.kvm() {
            Ok(()) => return Place { accelerator: Accelerator::Kvm, reason: "KVM works".to_owned() },
            Err(refusal) => refusal.to_string(),
        },
        false => "QEMU is not installed".to_owned(),
    };
    match host.hosted() {
        Ok(()) => Place { accelerator: Accelerator::Hosted, reason: without_kvm },
        Err(refusal) => {
            Place { accelerator: Accelerator::Tcg, reason: format!("{without_kvm}, and {refusal}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host {
        kvm: bool,
        hosted: bool,
        qemu: bool,
    }

    impl Probe for Host {
        fn kvm(&self) -> Result<(), KvmRefusal> {
            if self.kvm { Ok(()) } else { Err(KvmRefusal::Missing) }
        }

        fn hosted(&self) -> Result<(), HostedRefusal> {
            if self.hosted { Ok(()) } else { Err(HostedRefusal::NoSeccomp) }
        }

        fn has_qemu(&self) -> bool {
            self.qemu
        }
    }

    const NOTHING: Wishes = Wishes { machine: None, process: None };
    const MACHINE: Wishes = Wishes { machine: Some("--machine"), process: None };
    const PROCESS: Wishes = Wishes { machine: None, process: Some("--net peer") };

    fn place(choice: Choice, wishes: Wishes, kvm: bool, hosted: bool, qemu: bool) -> Option<Accelerator> {
        choose(choice, wishes, &Host { kvm, hosted, qemu }).ok().map(|place| place.accelerator)
    }

    #[test]
    fn what_is_left_open_goes_to_kvm_then_to_a_process_then_to_tcg() {
        let auto = |kvm, hosted, qemu| place(Choice::Auto, NOTHING, kvm, hosted, qemu);
        assert_eq!(auto(true, true, true), Some(Accelerator::Kvm));
        assert_eq!(auto(false, true, true), Some(Accelerator::Hosted));
        assert_eq!(auto(false, false, true), Some(Accelerator::Tcg));
        // Nothing is to be installed where it can be helped.
        assert_eq!(auto(true, true, false), Some(Accelerator::Hosted));
        assert_eq!(auto(true, false, false), Some(Accelerator::Tcg));
    }

    #[test]
    fn what_only_a_machine_has_goes_to_a_machine() {
        assert_eq!(place(Choice::Auto, MACHINE, true, true, true), Some(Accelerator::Kvm));
        assert_eq!(place(Choice::Auto, MACHINE, false, true, true), Some(Accelerator::Tcg));
        assert_eq!(place(Choice::Tcg, MACHINE, true, true, true), Some(Accelerator::Tcg));
        assert_eq!(place(Choice::Hosted, MACHINE, true, true, true), None);
    }

    #[test]
    fn what_only_a_process_has_goes_to_a_process() {
        assert_eq!(place(Choice::Auto, PROCESS, true, true, true), Some(Accelerator::Hosted));
        assert_eq!(place(Choice::Auto, PROCESS, true, false, true), None);
        assert_eq!(place(Choice::Kvm, PROCESS, true, true, true), None);
        assert_eq!(place(Choice::Tcg, PROCESS, true, true, true), None);
        let both = Wishes { machine: MACHINE.machine, process: PROCESS.process };
        assert_eq!(place(Choice::Auto, both, true, true, true), None);
    }

    #[test]
    fn what_is_asked_for_by_name_is_taken_or_refused() {
        assert_eq!(place(Choice::Hosted, NOTHING, true, true, true), Some(Accelerator::Hosted));
        assert_eq!(place(Choice::Hosted, NOTHING, true, false, true), None);
        assert_eq!(place(Choice::Kvm, NOTHING, false, true, true), None);
        assert_eq!(place(Choice::Tcg, NOTHING, true, true, true), Some(Accelerator::Tcg));
    }

    #[test]
    fn the_reason_names_what_is_missing() {
        let nothing = Host { kvm: false, hosted: false, qemu: true };
        let reason = choose(Choice::Auto, NOTHING, &nothing).unwrap().reason;
        assert!(reason.contains("/dev/kvm") && reason.contains("seccomp"), "{reason}");
        let refusal = choose(Choice::Hosted, MACHINE, &nothing).unwrap_err().to_string();
        assert!(refusal.starts_with("--machine takes a machine"), "{refusal}");
    }
}
