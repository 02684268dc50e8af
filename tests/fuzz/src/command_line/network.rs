//! The library OS's network settings.

#[path = "../../../../libos/src/net/config.rs"]
#[rustfmt::skip]
mod config;

use crate::words;
use config::{Settings, SettingsV6, Source, SourceV6, Sources, is_host};

/// Reads the settings that a line gives, and checks that a host can have them.
pub(crate) fn check(line: &[u8]) {
    let texts: Vec<String> =
        words::options(line).filter_map(|word| String::from_utf8(word.bytes().collect()).ok()).collect();
    let pairs = texts.iter().filter_map(|text| text.split_once('='));
    let is_given = |name: &str| pairs.clone().any(|(given, _)| given == name);
    let sources = match Sources::from_words(pairs.clone()) {
        Ok(sources) => sources,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    match sources.v4 {
        Source::Given(settings) => check_settings(&settings),
        Source::Dhcp => assert!(!["net.ip", "net.gw"].into_iter().any(is_given)),
    }
    match sources.v6 {
        SourceV6::Given(settings) => check_settings_v6(&settings),
        SourceV6::Automatic => assert!(!["net.ip6", "net.gw6"].into_iter().any(is_given)),
        SourceV6::Off => assert!(is_given("net.ip6")),
    }
}

fn check_settings_v6(settings: &SettingsV6) {
    assert!(is_host(settings.address.address()));
    assert!((1..=128).contains(&settings.address.prefix_len()));
    assert!(settings.gateway.iter().all(|address| is_host(*address)));
    assert!(settings.servers.iter().all(|address| is_host(*address)));
}

fn check_settings(settings: &Settings) {
    assert!(is_host(settings.address.address()));
    assert!((1..=32).contains(&settings.address.prefix_len()));
    assert!(settings.gateway.iter().all(|address| is_host(*address)));
    assert!(settings.servers.iter().all(|address| is_host(*address)));
    assert_eq!(settings.clone().checked().as_ref(), Some(settings), "what was given needs no second check");
}
