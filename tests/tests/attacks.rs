//! Guests that misbehave, each caught with the report that says what it did, none silent.
//!
//! A table: for each guest of `tests/guests` where it is started, the kind of crash and words of the report, or, where
//! the machine refuses and the guest lives on, what it prints. A guest that is started everywhere is to die with the
//! same report in a machine and as a Linux process; what only a machine has (Machine calls, executable memory, what the
//! host's settings decide) or only a process is started there. Machines are q35 with qboot and QEMU's own CPU; machines
//! and processes have 32 MiB.

use std::path::Path;

use abi::control::{CrashKind, STATUS_CRASHED};
use metaos_tests::guests::{self, Place};
use runner::{CrashReport, Outcome};

/// Status of a guest whose attempts came to nothing (`metaos_test_guests::HELD`).
const STATUS_HELD: u8 = 42;

/// Makes the tests of one guest: a check in each place where it is started.
macro_rules! tests {
    ($test:ident: machine $check:expr) => {
        mod $test {
            use super::*;

            #[test]
            fn in_a_machine() {
                assert_eq!($check(Place::Machine), Ok(()));
            }
        }
    };
    ($test:ident: process $check:expr) => {
        mod $test {
            use super::*;

            #[test]
            fn as_a_process() {
                assert_eq!($check(Place::Process), Ok(()));
            }
        }
    };
    ($test:ident: everywhere $check:expr) => {
        mod $test {
            use super::*;

            #[test]
            fn in_a_machine() {
                assert_eq!($check(Place::Machine), Ok(()));
            }

            #[test]
            fn as_a_process() {
                assert_eq!($check(Place::Process), Ok(()));
            }
        }
    };
}

/// Makes the tests of each guest that is to crash, and a list of them: test, where, guest, kind of crash, words of the
/// report.
macro_rules! caught {
    ($($test:ident: $place:ident $guest:literal, $kind:ident, $words:literal;)*) => {
        const CAUGHT: &[&str] = &[$($guest),*];

        $(tests!($test: $place |place| is_caught(place, $guest, CrashKind::$kind, $words));)*
    };
}

/// Makes the tests of each guest that is to live on, and a list of them: test, where, guest, lines that it prints.
macro_rules! held {
    ($($test:ident: $place:ident $guest:literal, $lines:expr;)*) => {
        const HELD: &[&str] = &[$($guest),*];

        $(tests!($test: $place |place| is_held(place, $guest, &$lines));)*
    };
}

caught! {
    // The nucleus.
    a_read_of_the_nucleus_is_caught: everywhere "read-nucleus", Fault, "read of the nucleus at 0xffffffff80000000";
    a_write_to_the_nucleus_is_caught: everywhere "write-nucleus", Fault, "write to the nucleus at 0xffffffff80000000";
    a_jump_to_the_nucleus_is_caught: everywhere "jump-to-nucleus", Fault, "jump to the nucleus at 0xffffffff80000000";
    a_read_of_a_page_table_is_caught: everywhere "read-page-tables", Fault, "(protection, read, ring 3)";
    a_write_to_a_page_table_is_caught: everywhere "write-page-tables", Fault, "(protection, write, ring 3)";

    // The image.
    a_write_to_text_is_caught:
        everywhere "write-text", Fault, "write to text page of app (function metaos_test_guests::crime::do_nothing)";
    a_write_to_a_constant_is_caught:
        everywhere "write-rodata", Fault, "write to read-only page of app (static write_rodata::CONSTANT)";
    executing_data_is_caught: everywhere "execute-data", Fault, "in data page of app (static execute_data::CODE)";
    executing_constants_is_caught:
        everywhere "execute-rodata", Fault, "in read-only page of app (static execute_rodata::CODE)";
    executing_the_stack_is_caught: everywhere "execute-stack", Fault, "jump to page that is not executable: 0x71000002";
    executing_the_heap_is_caught: everywhere "execute-heap", Fault, "in the heap";
    a_jump_past_the_end_of_text_is_caught:
        everywhere "jump-past-text", Fault, "in data page of app (static jump_past_text::FIRST_DATA)";

    // Addresses.
    a_read_through_a_null_pointer_is_caught: everywhere "read-null", Fault, "null pointer read at 0x0";
    a_write_through_a_null_pointer_is_caught: everywhere "write-null", Fault, "null pointer write at 0xf000";
    a_call_of_a_null_pointer_is_caught: everywhere "call-null", Fault, "null pointer called (jump to 0x0)";
    a_read_from_an_address_no_cpu_has_is_caught:
        everywhere "read-beyond-addresses", Fault, "access to 0x800000000000, an address no CPU has";
    a_write_to_the_information_page_is_caught:
        everywhere "write-info-page", Fault, "write to protected page in the information pages at 0x640000000000";
    a_write_to_the_boot_information_is_caught:
        everywhere "write-boot-info", Fault, "write to protected page in the information pages at 0x640000001000";
    a_read_of_unmapped_device_space_is_caught:
        everywhere "read-device-space", Fault, "not mapped: 0x650000000000, in the device windows";
    a_read_past_the_end_of_a_device_window_is_caught:
        machine "read-past-window", Fault, "not mapped: 0x650000001000, in the device windows";

    // Memory that it mapped itself.
    a_read_of_an_unmapped_page_is_caught:
        everywhere "read-unmapped-page", Fault, "read of address that is not mapped: 0x720000000000";
    a_read_of_a_guard_page_is_caught:
        everywhere "read-guard-page", Fault, "read of address that is not mapped: 0x720000000000";
    a_write_to_a_page_made_read_only_is_caught:
        everywhere "write-protected-page", Fault, "write to protected page in the mmap area at 0x720000000000";
    a_write_to_data_that_became_text_is_caught:
        machine "write-former-data", Fault, "write to protected page in the mmap area at 0x720000000000";
    executing_text_that_became_data_is_caught:
        machine "execute-former-text", Fault, "jump to page that is not executable: 0x720000000000";
    executing_memory_for_devices_is_caught:
        everywhere "execute-dma", Fault, "jump to page that is not executable: 0x630000000000";
    a_write_to_the_read_only_part_of_a_large_page_is_caught:
        everywhere "write-part-of-large-page", Fault, "write to protected page in the mmap area at 0x720000005000";

    // Instructions.
    halting_is_caught: everywhere "halt", Fault, "privileged instruction `hlt`";
    switching_interrupts_off_is_caught: everywhere "disable-interrupts", Fault, "privileged instruction `cli`";
    switching_interrupts_on_is_caught: everywhere "enable-interrupts", Fault, "privileged instruction `sti`";
    reading_a_port_is_caught: everywhere "read-port", Fault, "privileged instruction `in %dx,%al`";
    writing_a_port_is_caught: everywhere "write-port", Fault, "privileged instruction `out %al,$0xf4`";
    reading_a_control_register_is_caught: everywhere "read-control-register", Fault, "privileged instruction `mov %cr3,";
    writing_a_control_register_is_caught: everywhere "write-control-register", Fault, ",%cr0`";
    writing_a_debug_register_is_caught: everywhere "write-debug-register", Fault, ",%dr0`";
    reading_a_model_specific_register_is_caught: everywhere "read-msr", Fault, "privileged instruction `rdmsr`";
    writing_a_model_specific_register_is_caught: everywhere "write-msr", Fault, "privileged instruction `wrmsr`";
    loading_a_descriptor_table_is_caught: everywhere "load-descriptor-table", Fault, "privileged instruction `lgdt (%";
    loading_an_interrupt_table_is_caught: everywhere "load-interrupt-table", Fault, "privileged instruction `lidt (%";
    reading_where_the_descriptor_table_lies_is_caught:
        machine "read-descriptor-table", Fault, "`sgdt (%rax)`, which UMIP keeps from ring 3";
    reading_where_the_interrupt_table_lies_is_caught:
        machine "read-interrupt-table", Fault, "`sidt (%rax)`, which UMIP keeps from ring 3";
    reading_the_task_register_is_caught:
        machine "read-task-register", Fault, "`str %ax`, which UMIP keeps from ring 3";
    reading_the_machine_status_word_is_caught:
        machine "read-machine-status", Fault, "`smsw %rax`, which UMIP keeps from ring 3";
    swapping_the_gs_bases_is_caught: everywhere "swap-gs", Fault, "privileged instruction `swapgs`";
    flushing_a_page_is_caught: everywhere "flush-page", Fault, "privileged instruction `invlpg (%";
    enabling_the_protection_key_register_is_caught:
        everywhere "set-extended-states", Fault, "privileged instruction `xsetbv`";
    writing_the_protection_keys_is_caught: machine "write-protection-keys", Fault, "`wrpkru`";
    reading_a_performance_counter_is_caught: machine "read-performance-counter", Fault, "`rdpmc`";
    a_far_return_to_ring_0_is_caught: everywhere "return-to-ring-0", Fault, "`lretq`";
    an_interrupt_return_to_ring_0_is_caught: everywhere "interrupt-return-to-ring-0", Fault, "`iretq`";
    a_stack_segment_of_ring_0_is_caught: everywhere "load-ring-0-stack", Fault, "`mov %ax,%ss`";
    a_system_call_of_32_bit_linux_is_caught: machine "interrupt-call", Fault, "software interrupt `int $0x80`";
    a_page_fault_raised_by_hand_is_caught: everywhere "page-fault-by-hand", Fault, "software interrupt `int $0xe`";
    a_breakpoint_is_caught: everywhere "breakpoint", Fault, "`int3`";
    an_undefined_instruction_is_caught: everywhere "abort", Fault, "abort (`ud2`)";
    a_division_by_zero_is_caught: everywhere "divide-by-zero", Fault, "division error in text page of app";
    a_single_step_is_caught: everywhere "single-step", Fault, "debug exception in text page of app";
    a_single_step_into_ring_0_traps_in_ring_3:
        everywhere "single-step-into-ring-0", ForeignSyscall, "`syscall` outside the gate";
    a_fault_without_a_stack_is_caught: everywhere "fault-without-stack", Fault, "rsp 0000800000000000";
    a_fault_under_the_alignment_check_is_caught:
        everywhere "fault-with-alignment-check", Fault, "null pointer read at 0x0";
    a_fault_with_a_stack_in_the_nucleus_is_caught:
        everywhere "fault-with-the-stack-of-the-nucleus", Fault, "rsp ffffffff80000000";

    // Stacks and the heap.
    an_overflow_of_the_main_stack_is_caught:
        everywhere "overflow-main-stack", StackOverflow, "stack overflow in thread main";
    a_frame_larger_than_the_stack_is_caught:
        everywhere "overflow-main-stack-at-once", StackOverflow, "stack overflow in thread main";
    an_overflow_of_a_threads_stack_is_caught:
        everywhere "overflow-thread-stack", StackOverflow, "stack overflow in thread worker-1";
    running_out_of_memory_is_caught: everywhere "out-of-memory", OutOfMemory, "no memory for 262144 bytes";
    an_allocation_larger_than_the_address_space_is_caught:
        everywhere "allocate-too-much", OutOfMemory, "no memory for 2199023255552 bytes";
    a_panic_is_caught: everywhere "panic", Panic, "the app gives up";
    a_panic_in_a_thread_is_caught: everywhere "panic-in-thread", Panic, "the worker gives up";

    // Calls of Linux, by the gate and beside it.
    opening_a_file_is_caught: process "linux-open", ForeignSyscall, "`open` (2), which a guest may not make";
    opening_a_file_beside_the_gate_is_caught:
        everywhere "linux-open-beside-gate", ForeignSyscall, "): Linux call `open` (2)";
    printing_beside_the_gate_is_caught:
        everywhere "linux-write-beside-gate", ForeignSyscall, "): Linux call `write` (1)";
    making_a_socket_is_caught:
        process "linux-socket", ForeignSyscall, "`socket` (41), which a guest may not make";
    forking_is_caught: process "linux-fork", ForeignSyscall, "`fork` (57), which a guest may not make";
    running_another_program_is_caught:
        process "linux-execute", ForeignSyscall, "`execve` (59), which a guest may not make";
    signalling_another_process_is_caught:
        process "linux-kill", ForeignSyscall, "`kill` (62), which a guest may not make";
    tracing_is_caught: process "linux-trace", ForeignSyscall, "`ptrace` (101), which a guest may not make";
    a_second_filter_is_caught:
        process "linux-replace-filter", ForeignSyscall, "`seccomp` (317), which a guest may not make";
    mapping_executable_memory_is_caught:
        process "linux-map-executable", ForeignSyscall, "`mmap` (9), with arguments that a guest may not pass";
    mapping_a_file_is_caught:
        process "linux-map-file", ForeignSyscall, "`mmap` (9), with arguments that a guest may not pass";
    making_data_executable_is_caught:
        process "linux-protect-executable", ForeignSyscall,
        "`mprotect` (10), with arguments that a guest may not pass";
    writing_to_a_descriptor_of_another_use_is_caught:
        process "linux-write-elsewhere", ForeignSyscall,
        "`write` (1), with arguments that a guest may not pass";
    a_call_of_x32_is_caught:
        process "linux-x32", ForeignSyscall, "x32 call `open` (0x40000002), which a guest may not make";

    // Upcalls.
    a_system_call_outside_the_gate_is_caught:
        everywhere "foreign-syscall", ForeignSyscall, "`syscall` outside the gate, in text page of app";
    a_return_from_an_upcall_to_the_nucleus_is_caught:
        everywhere "forge-return-to-nucleus", BadContext, "to an address or with flags that ring 3 may not have";
    a_return_from_an_upcall_to_an_address_no_cpu_has_is_caught:
        everywhere "forge-return-to-nowhere", BadContext, "to an address or with flags that ring 3 may not have";
    a_return_from_an_upcall_to_null_is_caught:
        everywhere "forge-return-to-null", BadContext, "to an address or with flags that ring 3 may not have";
    a_return_from_an_upcall_to_data_is_caught:
        everywhere "forge-return-to-data", Fault,
        "jump to page that is not executable: 0x640000100000, in the CPU blocks";
    a_return_from_an_upcall_with_port_privilege_is_caught:
        machine "forge-return-with-ports", BadContext, "to an address or with flags that ring 3 may not have";
    a_return_from_an_upcall_single_stepping_traps_in_ring_3:
        everywhere "forge-return-with-trap-flag", Fault, "debug exception in text page of app";
    a_return_from_an_upcall_to_a_stack_in_the_nucleus_is_caught:
        everywhere "forge-return-with-bad-stack", Fault, "of the nucleus at 0xffffffff80200000";
    a_return_from_an_upcall_that_never_was_is_caught:
        machine "return-without-upcall", BadContext, "a return from an upcall while none was active";
    a_return_from_a_claimed_upcall_to_the_nucleus_is_caught:
        machine "forge-return-outside-upcall", BadContext, "to an address or with flags that ring 3 may not have";
    a_fault_in_a_claimed_upcall_is_caught:
        everywhere "claim-upcall", FaultInUpcall, "null pointer read at 0x0, while an upcall was active";
    a_fault_in_an_upcall_is_caught:
        everywhere "fault-in-upcall", FaultInUpcall, "null pointer read at 0x0, while an upcall was active";
    a_system_call_in_an_upcall_is_caught:
        everywhere "syscall-in-upcall", FaultInUpcall, "`syscall` outside the gate in text page of app";
    an_overflow_of_the_upcall_stack_is_caught: everywhere "overflow-upcall-stack", FaultInUpcall, "stack overflow";
    a_panic_in_an_upcall_is_caught: everywhere "panic-in-upcall", Panic, "the handler gives up";
    a_fault_when_upcalls_have_no_stack_is_caught:
        machine "upcall-without-stack", FaultInUpcall, "while an upcall was active";
    a_fault_when_upcalls_end_in_nothing_is_caught:
        machine "upcall-into-the-void", FaultInUpcall, "while an upcall was active";

    // Reports.
    a_report_does_not_read_the_nucleus_aloud:
        machine "crash-with-bad-text", Panic, "(the text of the report lies at a bad address)";
    a_crash_for_an_unknown_reason_is_a_crash: machine "crash-of-unknown-kind", Panic, "for no reason";
}

held! {
    // Machine calls with bad arguments.
    writable_executable_memory_is_refused:
        machine "map-writable-executable", ["refused: a page may not be writable and executable"];
    memory_does_not_become_writable_and_executable:
        machine "protect-writable-executable", ["make data executable: refused", "make text writable: refused"];
    memory_over_the_nucleus_is_refused:
        machine "map-over-nucleus", ["map over the nucleus: refused: address outside the guest's part"];
    memory_of_bad_lengths_and_rights_is_refused:
        machine "map-bad-lengths",
        ["map nothing: refused: length is zero", "map more memory than there is: refused: out of memory"];
    rights_of_foreign_pages_stay_as_they_are: machine "protect-foreign-pages", ["make its text writable: refused"];
    foreign_pages_stay_mapped:
        machine "unmap-foreign-pages", ["unmap its text: refused", "unmap the whole lower half: refused"];
    memory_for_devices_of_bad_lengths_and_alignments_is_refused:
        machine "dma-bad-arguments", ["with an odd alignment: refused"];
    device_windows_that_do_not_exist_are_refused:
        machine "window-bad-arguments", ["refused: no such device", "refused: the device has no such window"];
    pages_of_devices_keep_their_rights:
        machine "protect-device-pages", ["make DMA memory executable: refused", "unmap a device window: refused"];
    bytes_that_it_may_not_read_are_not_printed:
        machine "write-bad-pointers",
        ["print the nucleus: refused", "print null: refused", "print everything: refused"];
    typed_bytes_are_not_put_where_it_may_not_write:
        machine "read-into-bad-pointers", ["read into its text: refused", "read into the information page: refused"];
    upcalls_do_not_enter_what_is_no_text:
        machine "upcall-bad-entries",
        ["enter upcalls in the nucleus: refused", "put the upcall stack at null: refused"];
    the_thread_pointer_stays_in_the_lower_half: machine "thread-pointer-to-nowhere", ["to the nucleus: refused"];
    calls_of_unknown_numbers_are_refused:
        machine "unknown-calls", ["refused: no such machine call", "refused: not supported by this machine"];

    // What ring 3 may do, and ring 0 must bear.
    new_memory_is_zeroed: everywhere "memory-is-zeroed", [];
    all_memory_can_be_taken_and_given_back: everywhere "exhaust-memory", ["refused: out of memory"];
    all_page_tables_can_be_taken_and_given_back: machine "exhaust-page-tables", ["refused: out of page tables"];
    flags_of_ring_3_do_not_reach_ring_0:
        machine "set-flags",
        ["printed with the flag of alignment", "printed with the direction", "printed with the flag of nested", "printed with all"];
    a_return_from_an_upcall_with_flags_set_returns: machine "return-with-flags", ["returned"];
    a_return_from_an_upcall_as_a_nested_task_is_none: everywhere "forge-return-nested", [];
    interrupts_stay_on_after_a_forged_return: everywhere "clear-interrupt-flag", ["interrupts are on"];
    reserved_bits_in_forged_floating_point_state_are_masked: everywhere "forge-floating-point", ["MXCSR is 0xffff"];
    a_pending_exception_does_not_stop_ring_0: everywhere "forge-pending-exception", ["ring 0 did not stumble"];
    ring_0_does_not_need_the_gs_of_ring_3: machine "move-gs-base", ["print the nucleus: refused"];
    registers_are_preserved_across_interrupts: everywhere "interrupt-storm", ["All after 100 ticks"];
    wide_registers_are_preserved_across_interrupts: everywhere "extended-registers", ["All after 50 ticks"];
    a_tick_preempts_a_program_and_resumes_it_as_it_was:
        machine "tick-preempts-program", ["All after ", " ticks in the program"];
}

/// The guest that shows what a crime without consequence looks like.
const INNOCENT: &str = "innocent";
/// The guests of `wakeups.rs`, which need somebody on the other side.
const RACES: [&str; 3] = ["race-idle-with-input", "race-idle-with-network", "race-wait-with-device"];

/// The guest of the benchmark `hosted`.
const MEASURE: &str = "measure-calls";

#[test]
fn a_guest_that_is_not_caught_fails_its_test() {
    let failure = is_caught(Place::Machine, INNOCENT, CrashKind::Fault, "").unwrap_err();
    assert!(failure.contains("NOT CAUGHT"), "{failure}");
    assert!(is_held(Place::Machine, INNOCENT, &[]).is_err());
    let failure = is_caught(Place::Process, INNOCENT, CrashKind::Fault, "").unwrap_err();
    assert!(failure.contains("NOT CAUGHT"), "{failure}");
}

#[test]
fn a_report_of_another_crime_fails_the_test() {
    assert!(is_caught(Place::Machine, "halt", CrashKind::Panic, "privileged instruction `hlt`").is_err());
    assert!(is_caught(Place::Machine, "halt", CrashKind::Fault, "privileged instruction `cli`").is_err());
}

#[test]
fn every_guest_has_a_test() {
    let tested: Vec<&str> =
        CAUGHT.iter().chain(HELD).copied().chain([INNOCENT, MEASURE]).chain(RACES).collect();
    let untested: Vec<&str> = guests::names(directory()).filter(|name| !tested.contains(name)).collect();
    assert_eq!(untested, Vec::<&str>::new());
}

/// A kernel without 32-bit programs does not know the instruction, which is a fault then.
#[test]
fn a_system_call_of_32_bit_linux_is_caught_in_a_process() {
    let words = "software interrupt `int $0x80`";
    let of_32_bits = is_caught(Place::Process, "interrupt-call", CrashKind::ForeignSyscall, words);
    let unknown = is_caught(Place::Process, "interrupt-call", CrashKind::Fault, words);
    assert!(of_32_bits.is_ok() || unknown.is_ok(), "{of_32_bits:?} {unknown:?}");
}

#[test]
fn the_backtrace_leads_from_the_crime_to_main() {
    leads_to_main(Place::Machine);
    leads_to_main(Place::Process);
}

fn leads_to_main(place: Place) {
    let report =
        run(place, "panic").unwrap_or_else(|error| panic!("{error}")).crash.expect("a panic is reported");
    let functions: Vec<&str> =
        report.backtrace.iter().filter_map(|frame| frame.function.as_deref()).collect();
    let position = |name: &str| functions.iter().position(|function| function.ends_with(name));
    assert!(position("give_up").is_some() && position("give_up") < position("main"), "{report}");
    let places: Vec<&str> = report
        .backtrace
        .iter()
        .filter_map(|frame| frame.location.as_ref())
        .map(|(file, _)| file.as_str())
        .collect();
    assert!(places.iter().any(|file| file.ends_with("guests/panic/main.rs")), "{report}");
}

/// Checks that a guest crashes with the report that names its crime.
fn is_caught(place: Place, guest: &str, kind: CrashKind, words: &str) -> Result<(), String> {
    let outcome = run(place, guest)?;
    let Some(crash) = &outcome.crash else {
        return Err(format!(
            "{guest} ended with status {} and no report:\n{}",
            outcome.status, outcome.console
        ));
    };
    let mistakes = [
        (outcome.status != STATUS_CRASHED, "the status is not that of a crash"),
        (crash.record.kind != Some(kind), "the crash is of another kind"),
        (!crash.to_string().contains(words), "the report does not say what happened"),
        (!is_announced(&outcome), "the guest did not say what it would do, or lived on"),
    ];
    match mistakes.into_iter().find(|(is_made, _)| *is_made) {
        Some((_, mistake)) => Err(describe(guest, mistake, &outcome, crash)),
        None => Ok(()),
    }
}

/// Checks that a guest lives on and says so.
fn is_held(place: Place, guest: &str, lines: &[&str]) -> Result<(), String> {
    let outcome = run(place, guest)?;
    if let Some(crash) = &outcome.crash {
        return Err(describe(guest, "the guest should live on", &outcome, crash));
    }
    let missing = lines.iter().find(|line| !outcome.console.contains(**line));
    if outcome.status == STATUS_HELD && is_announced(&outcome) && missing.is_none() {
        return Ok(());
    }
    Err(format!("{guest} ended with status {}; missing: {missing:?}\n{}", outcome.status, outcome.console))
}

fn is_announced(outcome: &Outcome) -> bool {
    outcome.console.contains("attempting to ") && !outcome.console.contains("NOT CAUGHT")
}

fn describe(guest: &str, mistake: &str, outcome: &Outcome, crash: &CrashReport) -> String {
    format!("{guest}: {mistake}\n{}\n{crash}", outcome.console)
}

fn run(place: Place, guest: &str) -> Result<Outcome, String> {
    guests::run(directory(), guest, place).map_err(|error| format!("{guest}: {error}"))
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
