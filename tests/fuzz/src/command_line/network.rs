//! The library OS's network settings.

#[path = "../../../../libos/src/net/config.rs"]
#[rustfmt::skip]
mod config;

use crate::words;
use config::{Settings, Source, is_host};

/// Reads the settings that a line gives, and checks that a host can have them.
pub(crate) fn check(line: &[u8]) {
    let texts: Vec<String> =
        words::options(line).filter_map(|word| String::from_utf8(word.bytes().collect()).ok()).collect();
    let pairs = texts.iter().filter_map(|text| text.split_once('='));
    let is_given = |name: &str| pairs.clone().any(|(given, _)| given == name);
    match Source::from_words(pairs.clone()) {
        Ok(Source::Given(settings)) => check_settings(&settings),
        Ok(Source::Dhcp) => assert!(!["net.ip", "net.gw", "net.dns"].into_iter().any(is_given)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_settings(settings: &Settings) {
    assert!(is_host(settings.address.address()));
    assert!((1..=32).contains(&settings.address.prefix_len()));
    assert!(settings.gateway.iter().chain(&settings.servers).all(|address| is_host(*address)));
    assert_eq!(settings.clone().checked().as_ref(), Some(settings), "what was given needs no second check");
}
