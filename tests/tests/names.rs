//! A guest finds a host by its name: the whole way from the program over DHCP and DNS to the host.
//!
//! The program is `netbench` as a client; the network with its servers is played by the test.

use std::path::Path;
use std::time::Duration;

use metaos_tests::names::{NAME, NAME_SERVER, Server, Visit, visit};
use metaos_tests::namespace::{GUEST, HOST};
use metaos_tests::program::{self, PLACES, Place};
use runner::{CommandLine, MachineConfig};

/// A silent name server is asked for 10 s; the rest takes a moment.
const PATIENCE: Duration = Duration::from_secs(40);
const ROUNDS: usize = 5;

#[test]
fn a_name_is_looked_up_at_the_server_that_dhcp_tells() {
    for place in PLACES {
        assert_is_found(&run(with_dhcp(place, NAME), Server::Answers));
    }
}

#[test]
fn a_name_is_looked_up_at_the_server_that_the_command_line_tells() {
    for place in PLACES {
        assert_is_found(&run(with_given_server(place, NAME), Server::Answers));
    }
}

#[test]
fn a_name_that_does_not_exist_is_told_as_such() {
    for place in PLACES {
        for config in [with_dhcp(place, "nobody.example.org"), with_given_server(place, "nobody.example.org")]
        {
            let visit = run(config, Server::Answers);
            assert_fails(&visit, "the name servers know no address for this name");
            assert_eq!(visit.questions, ["nobody.example.org"]);
        }
    }
}

#[test]
fn a_silent_name_server_is_given_up() {
    for place in PLACES {
        assert_is_given_up(with_given_server(place, NAME));
    }
}

#[test]
fn a_silent_name_server_that_dhcp_tells_is_given_up() {
    for place in PLACES {
        assert_is_given_up(with_dhcp(place, NAME));
    }
}

#[test]
fn without_a_name_server_the_program_learns_so_at_once() {
    for place in PLACES {
        let mut config = client(place, NAME);
        let line = std::mem::replace(&mut config.command_line, CommandLine::new());
        config.command_line = line.option("net.ip", GUEST).option("net.gw", HOST);
        let visit = run(config, Server::Answers);
        assert_fails(&visit, "no name server is known; give the guest net.dns=ADDRESS");
        assert_eq!(visit.questions, Vec::<String>::new());
    }
}

fn assert_is_found(visit: &Visit) {
    let console = &visit.outcome.console;
    assert_eq!(visit.outcome.status, 0, "{console}");
    assert!(console.contains(&format!("netbench: udp-rr operations={ROUNDS} lost=0 ")), "{console}");
    assert_eq!((visit.questions.as_slice(), visit.echoes), ([NAME.to_owned()].as_slice(), ROUNDS));
}

fn assert_is_given_up(config: MachineConfig) {
    let visit = run(config, Server::IsSilent);
    assert_fails(&visit, "the name servers");
    // A question that was lost is asked again.
    assert!(visit.questions.len() > 1, "{:?}", visit.questions);
}

fn assert_fails(visit: &Visit, text: &str) {
    let console = &visit.outcome.console;
    assert_eq!(visit.outcome.status, 1, "{console}");
    assert!(console.contains(text), "{console}");
    assert_eq!(visit.echoes, 0);
}

fn run(config: MachineConfig, server: Server) -> Visit {
    let visit = visit(config, server, PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    if let Some(crash) = &visit.outcome.crash {
        panic!("{crash}");
    }
    visit
}

fn with_dhcp(place: Place, name: &str) -> MachineConfig {
    client(place, name)
}

fn with_given_server(place: Place, name: &str) -> MachineConfig {
    let mut config = client(place, name);
    let line = std::mem::replace(&mut config.command_line, CommandLine::new());
    config.command_line = line.option("net.ip", GUEST).option("net.gw", HOST).option("net.dns", NAME_SERVER);
    config
}

fn client(place: Place, name: &str) -> MachineConfig {
    let rounds = ROUNDS.to_string();
    program::guest(directory(), place, "netbench", &["client", "udp-rr", name, "--count", &rounds])
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
