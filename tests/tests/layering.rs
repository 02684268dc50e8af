//! Holds the arrows between the rooms: which crate of the workspace may lean on which.
//!
//! Data flows one way because a crate cannot name what it does not depend on; so the table below is the architecture.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::BTreeSet;

/// Each crate, and the crates of the workspace that it may depend on.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("metaos-abi", &[]),
    ("metaos-nucleus", &["metaos-abi"]),
    ("metaos-services", &["metaos-abi"]),
    ("metaos-hosted", &["metaos-abi"]),
    ("metaos-entry", &["metaos-abi", "metaos-hosted", "metaos-services"]),
    ("metaos-smoltcp", &[]),
    ("metaos-libos", &["metaos-abi", "metaos-services", "metaos-smoltcp"]),
    ("metaos-linker", &["metaos-abi"]),
    ("metaos-runner", &["metaos-abi", "metaos-linker"]),
    ("metaos-tests", &["metaos-abi", "metaos-linker", "metaos-runner"]),
    ("metaos-test-guests", &GUEST),
    ("cat", &APP),
    ("hello", &APP),
    ("http", &APP),
    ("linux-door", &APP),
    ("echo", &APP),
    ("netbench", &APP),
];

const APP: [&str; 2] = ["metaos-entry", "metaos-libos"];
/// Attack guests reach below the library OS on purpose.
const GUEST: [&str; 4] = ["metaos-abi", "metaos-entry", "metaos-libos", "metaos-services"];

/// Crates that only the nucleus may use: they hold privileged instructions.
const PRIVILEGED: [&str; 1] = ["x86_64"];

/// Crates that end up in a guest or the nucleus, so that nothing they need may have its `std` feature on.
const GUEST_SIDE: [&str; 13] = [
    "metaos-abi",
    "metaos-nucleus",
    "metaos-hosted",
    "metaos-services",
    "metaos-entry",
    "metaos-libos",
    "metaos-smoltcp",
    "cat",
    "hello",
    "http",
    "linux-door",
    "echo",
    "netbench",
];

/// A dependency: who leans on whom.
type Edge = (String, String);

#[test]
fn crates_lean_only_on_the_rooms_below() {
    assert_eq!(violations(&edges(&metadata())), Vec::<String>::new());
}

#[test]
fn a_forbidden_arrow_is_found() {
    let mut edges = edges(&metadata());
    edges.insert(("metaos-services".into(), "metaos-libos".into()));
    edges.insert(("hello".into(), "x86_64".into()));
    edges.insert(("metaos-newcomer".into(), "metaos-abi".into()));
    assert_eq!(
        violations(&edges),
        [
            "hello may not use x86_64, which holds privileged instructions",
            "metaos-newcomer stands in no room: add it to the table in tests/tests/layering.rs",
            "metaos-services may not lean on metaos-libos",
        ]
    );
}

#[test]
fn every_crate_of_the_table_exists() {
    let metadata = metadata();
    let names: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    for (name, _) in ALLOWED {
        assert!(names.contains(name), "{name} is in the table but not in the workspace");
    }
}

#[test]
fn no_guest_crate_asks_for_std() {
    for package in metadata().workspace_packages() {
        if !GUEST_SIDE.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal)
        {
            let asks = dependency.features.iter().any(|feature| feature == "std");
            assert!(!asks, "{} turns on the std feature of {}", package.name, dependency.name);
        }
    }
}

fn violations(edges: &BTreeSet<Edge>) -> Vec<String> {
    edges.iter().filter_map(|(from, to)| violation(from, to)).collect()
}

fn violation(from: &str, to: &str) -> Option<String> {
    if PRIVILEGED.contains(&to) {
        let allowed = from == "metaos-nucleus";
        return (!allowed).then(|| format!("{from} may not use {to}, which holds privileged instructions"));
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from) else {
        return Some(format!("{from} stands in no room: add it to the table in tests/tests/layering.rs"));
    };
    let is_ours = to.starts_with("metaos-") || ALLOWED.iter().any(|(name, _)| *name == to);
    (is_ours && !allowed.contains(&to)).then(|| format!("{from} may not lean on {to}"))
}

/// Returns the normal and build dependencies of the workspace's crates; what only their unit tests use does not ship.
fn edges(metadata: &Metadata) -> BTreeSet<Edge> {
    let packages = metadata.workspace_packages();
    let dependencies = packages.iter().flat_map(|package| {
        let shipped =
            package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        shipped.map(|dependency| (package.name.to_string(), dependency.name.clone()))
    });
    dependencies.collect()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo reads the workspace that this test is part of")
}
