//! What a process is given, and what it refuses.

use super::*;

#[test]
fn the_words_of_the_machine_stand_before_the_users() {
    let config = MachineConfig {
        memory_mib: 64,
        command_line: CommandLine::new().option("net.dns", "10.0.2.3").argument("app"),
        ..MachineConfig::new(Image::Kernel("app.img".into()))
    };
    let line = |control| {
        let line = config.command_line.clone().preceded_by(own_words(&config, control));
        line.split().unwrap().options
    };
    assert_eq!(line(Control::Read), "metaos.control=fd3 metaos.memory=67108864 net.dns=10.0.2.3");
    assert_eq!(line(Control::Absent), "metaos.memory=67108864 net.dns=10.0.2.3");
}
