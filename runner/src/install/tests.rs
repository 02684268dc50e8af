//! What would be typed on which system. Nothing is installed here.

use super::*;

const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n";
const STANZA: &str = "\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
";

fn lines(needs: &[Need], system: &System) -> Vec<String> {
    Plan::new(needs, system).to_string().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn debian_12_takes_qemu_from_the_backports_of_its_own_mirror() {
    let backports = backports(BOOKWORM, STANZA);
    assert_eq!(
        backports,
        Backports::Add(
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
                .to_owned()
        )
    );
    let install = "sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends";
    let steps = lines(&[Need::Qemu, Need::Tests], &System::Apt(backports));
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert!(steps[0].starts_with("printf '%s\\n' 'Types: deb'"), "{}", steps[0]);
    assert!(
        steps[0].ends_with("| sudo tee /etc/apt/sources.list.d/metaos-backports.sources"),
        "{}",
        steps[0]
    );
    assert_eq!(steps[1], "sudo apt-get update");
    assert_eq!(steps[2], format!("{install} -t bookworm-backports qemu-system-x86"));
    assert_eq!(steps[3], format!("{install} curl wrk iproute2 g++ ovmf"));
}

#[test]
fn sources_of_one_line_are_read_too() {
    let sources = "# deb http://old.example/debian bookworm main\n\
                   deb [arch=amd64 signed-by=/etc/apt/keys/a.gpg] https://mirror.example/debian bookworm main\n";
    let expected = ("https://mirror.example/debian".to_owned(), Some("/etc/apt/keys/a.gpg".to_owned()));
    assert_eq!(mirror(sources), Some(expected));
    assert_eq!(backports(BOOKWORM, ""), Backports::NotNeeded);
}

#[test]
fn backports_that_are_there_are_not_added_again() {
    let sources = format!("{STANZA}\n\ndeb http://mirror.example/debian bookworm-backports main\n");
    assert_eq!(backports(BOOKWORM, &sources), Backports::Present);
    let commented = format!("{STANZA}\n\n# deb http://mirror.example/debian bookworm-backports main\n");
    assert!(matches!(backports(BOOKWORM, &commented), Backports::Add(_)));
    assert_eq!(lines(&[Need::Qemu], &System::Apt(Backports::Present)).len(), 2);
}

#[test]
fn other_systems_install_plainly() {
    assert_eq!(backports("ID=debian\nVERSION_ID=\"13\"\n", STANZA), Backports::NotNeeded);
    assert_eq!(backports("ID=ubuntu\nVERSION_ID=\"24.04\"\n", ""), Backports::NotNeeded);
    let apt = lines(&[Need::Qemu], &System::Apt(Backports::NotNeeded));
    assert!(apt[1].ends_with("--no-install-recommends qemu-system-x86"), "{apt:?}");
    assert_eq!(lines(&[Need::Qemu], &System::Dnf), ["sudo dnf install -y qemu-system-x86-core"]);
    assert_eq!(lines(&[Need::Qemu], &System::Apk), ["sudo apk add qemu-system-x86_64"]);
    assert_eq!(
        lines(&[Need::Qemu], &System::Pacman),
        ["sudo pacman -S --needed --noconfirm qemu-system-x86"]
    );
}

#[test]
fn who_may_not_install_is_told_what_to_type() {
    let plan = Plan::new(&[Need::Qemu], &System::Dnf);
    let message = InstallError::NotAllowed { what: "qemu-system-x86_64".to_owned(), plan }.to_string();
    assert!(message.contains("sudo dnf install -y qemu-system-x86-core"), "{message}");
    assert!(message.contains("--install"), "{message}");
}
