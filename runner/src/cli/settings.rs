//! What a guest is told at its start: address, environment, arguments. The same for a run and for a disc.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::{ArgGroup, Args};

use crate::command_line::CommandLine;
use crate::network::Address;

/// Settings that stand on the guest's command line.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("own_address").args(["address", "address_v6"]).multiple(true))]
pub(super) struct Settings {
    /// Address of the guest with its prefix; without it the guest asks by DHCP
    #[arg(long = "ip", value_name = "CIDR")]
    pub(super) address: Option<Address>,
    /// Gateway of the guest
    #[arg(long, value_name = "IP", requires = "address")]
    pub(super) gateway: Option<Ipv4Addr>,
    /// IPv6 address of the guest with its prefix, or off; without it the guest asks the routers
    #[arg(long = "ip6", value_name = "CIDR", value_parser = parse_address_v6)]
    address_v6: Option<String>,
    /// IPv6 gateway of the guest
    #[arg(long = "gateway6", value_name = "IP", requires = "address_v6")]
    gateway_v6: Option<Ipv6Addr>,
    /// Name server of the guest
    #[arg(long = "dns", value_name = "IP", requires = "own_address")]
    name_server: Option<IpAddr>,
    /// Offloads of the guest's network card: on, off, a list of those to leave out (-tso,-lro), or of the only ones
    /// (csum,event-idx)
    #[arg(long, value_name = "LIST", value_parser = parse_offloads, allow_hyphen_values = true)]
    offloads: Option<String>,
    /// Variable of the program's environment
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

impl Settings {
    /// Tells whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.address.is_none()
            && self.address_v6.is_none()
            && self.offloads.is_none()
            && self.environment.is_empty()
            && self.arguments.is_empty()
    }

    /// Returns the guest's command line; `program` is what it finds as its own name.
    pub(super) fn command_line(&self, program: &str) -> CommandLine {
        let mut line = CommandLine::new();
        if let Some(address) = self.address {
            line = line.option("net.ip", address);
        }
        if let Some(gateway) = self.gateway {
            line = line.option("net.gw", gateway);
        }
        if let Some(address) = &self.address_v6 {
            line = line.option("net.ip6", address);
        }
        if let Some(gateway) = self.gateway_v6 {
            line = line.option("net.gw6", gateway);
        }
        if let Some(server) = self.name_server {
            line = line.option("net.dns", server);
        }
        if let Some(offloads) = &self.offloads {
            line = line.option("net.offloads", offloads);
        }
        let line = self.environment.iter().fold(line, |line, (name, value)| line.environment(name, value));
        self.arguments.iter().fold(line.argument(program), |line, argument| line.argument(argument))
    }
}

/// Reads an address with the length of its prefix, or `off`, as the guest does.
fn parse_address_v6(text: &str) -> Result<String, String> {
    let is_address = text.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<Ipv6Addr>().is_ok()
            && prefix.parse::<u8>().is_ok_and(|prefix| (1..=128).contains(&prefix))
    });
    match is_address || text == "off" {
        true => Ok(text.to_owned()),
        false => Err("not an IPv6 address with its prefix; write for example fd00::2/64, or off".to_owned()),
    }
}

/// Checks a list of offloads; the guest reads it again.
fn parse_offloads(text: &str) -> Result<String, String> {
    let leaves_out = text.starts_with('-');
    let is_list = text.split(',').all(|item| {
        let name = item.strip_prefix('-');
        let is_known = ["csum", "tso", "lro", "event-idx"].contains(&name.unwrap_or(item));
        is_known && name.is_some() == leaves_out
    });
    if is_list || ["on", "off"].contains(&text) {
        return Ok(text.to_owned());
    }
    Err("write on, off, or a list of csum, tso, lro, event-idx, either each with - or none".to_owned())
}

/// Reads `NAME=VALUE`; `NAME` alone passes the variable of this process on.
fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            (text, std::env::var(text).map_err(|_| format!("{text} is not set here; write {text}=VALUE"))?)
        }
    };
    match name.is_empty() {
        true => Err("a variable needs a name; write NAME=VALUE".to_owned()),
        false => Ok((name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_given_or_passed_on() {
        assert_eq!(parse_variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_variable("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(parse_variable("PATH").unwrap().1, std::env::var("PATH").unwrap());
        assert!(parse_variable("=b").is_err());
        assert!(parse_variable("METAOS_NOT_SET_ANYWHERE").is_err());
    }

    #[test]
    fn addresses_of_ipv6_have_a_prefix() {
        assert!(parse_address_v6("off").is_ok());
        for text in ["", "fd00::1", "fd00::1/0", "fd00::1/129", "10.0.0.1/24"] {
            assert!(parse_address_v6(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_server_goes_with_an_address_of_either_version() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            settings: Settings,
        }
        let line = |words: &str| <Line as clap::Parser>::try_parse_from(words.split(' '));
        let server = |words| line(words).unwrap().settings.name_server.map(|server| server.to_string());
        assert_eq!(server("run --ip 10.0.2.9/24 --dns 10.0.2.3").as_deref(), Some("10.0.2.3"));
        assert_eq!(server("run --ip6 fd00::9/64 --dns fd00::3").as_deref(), Some("fd00::3"));
        assert_eq!(server("run --ip 10.0.2.9/24 --ip6 fd00::9/64 --dns fd00::3").as_deref(), Some("fd00::3"));
        assert!(line("run --dns 10.0.2.3").is_err());
    }

    #[test]
    fn offloads_are_left_out_or_named() {
        for text in ["on", "off", "tso", "-tso,-lro", "csum,event-idx"] {
            assert_eq!(parse_offloads(text), Ok(text.to_owned()));
        }
        for text in ["", "-", "tso,-lro", "-tso,lro", "gro", "on,tso"] {
            assert!(parse_offloads(text).is_err(), "{text}");
        }
    }

    #[test]
    fn settings_stand_on_the_line_in_the_form_of_the_contract() {
        let settings = Settings {
            address: "10.0.2.9/24".parse().ok(),
            gateway: "10.0.2.2".parse().ok(),
            address_v6: parse_address_v6("fd00::9/64").ok(),
            gateway_v6: "fe80::1".parse().ok(),
            name_server: "10.0.2.3".parse().ok(),
            offloads: Some("-tso".to_owned()),
            environment: vec![("LANG".to_owned(), "C".to_owned())],
            arguments: vec!["-v".to_owned()],
        };
        assert_eq!(
            settings.command_line("hello").render().unwrap(),
            "net.ip=10.0.2.9/24 net.gw=10.0.2.2 net.ip6=fd00::9/64 net.gw6=fe80::1 net.dns=10.0.2.3 \
             net.offloads=-tso env.LANG=C -- hello -v"
        );
    }
}
