//! Names as the compiler writes them, in both mangling schemes.

use super::*;

#[test]
fn a_plain_function_belongs_to_the_crate_of_its_path() {
    let names = [
        ("_ZN4http4main17h0123456789abcdefE", Room::App),
        ("_ZN12metaos_libos3net4link17h0123456789abcdefE", Room::Libos),
        ("_ZN15metaos_services6memory3map17h0123456789abcdefE", Room::Services),
        ("_ZN7smoltcp5iface4poll17h0123456789abcdefE", Room::Smoltcp),
        ("_ZN4core3fmt5write17h0123456789abcdefE", Room::Core),
        ("_ZN9hashbrown3raw4find17h0123456789abcdefE", Room::Libraries),
        ("_RNvNtCs1234_4core3fmt5write", Room::Core),
        ("_RNvCs1234_5hello4main", Room::App),
        ("_RNvCs1234_7___rustc17rust_begin_unwind", Room::Entry),
        ("_RNCNvCs1234_5hello4main0", Room::App),
        ("metaos_main", Room::App),
        ("memcpy", Room::Entry),
    ];
    for (name, room) in names {
        assert_eq!(room_of_symbol(name), room, "{name}");
    }
}

#[test]
fn an_implementation_belongs_to_the_crate_of_its_type() {
    let paths = [
        ("<http::Reply as core::fmt::Display>::fmt", "http"),
        ("<&mut metaos_libos::io::Stdout as core::fmt::Write>::write_str", "metaos_libos"),
        ("<alloc::vec::Vec<http::Reply> as core::ops::Drop>::drop", "alloc"),
        ("<<http::Reply as http::Body>::Item as core::fmt::Debug>::fmt", "http"),
        ("<dyn smoltcp::phy::Device as core::fmt::Debug>::fmt", "smoltcp"),
        ("<http::Reply>::new", "http"),
    ];
    for (path, name) in paths {
        assert_eq!(crate_of_path(path), Some(name), "{path}");
    }
}

#[test]
fn an_implementation_for_a_built_in_type_belongs_to_the_crate_of_the_trait() {
    assert_eq!(crate_of_path("<u32 as core::fmt::Display>::fmt"), Some("core"));
    assert_eq!(crate_of_path("<fn(u8) -> u8 as http::Handler>::call"), Some("http"));
    assert_eq!(crate_of_path("<(u8, u16) as http::Pair>::first"), Some("http"));
    assert_eq!(crate_of_path("<[http::Reply]>::sort"), Some("core"));
    assert_eq!(crate_of_path("<str>::parse"), Some("core"));
}

#[test]
fn a_name_that_rust_did_not_mangle_belongs_to_the_start_code() {
    for name in ["memcpy", "_start", "rust_eh_personality", "_ZN4http"] {
        assert_eq!(room_of_symbol(name), Room::Entry, "{name}");
    }
    assert_eq!(room_of_symbol(""), Room::Other);
}

#[test]
fn no_text_makes_the_look_up_fail_in_another_way() {
    for path in ["<", "<<<<", "& & &", "<u8 as ", "> as <", "<->", "<é as ü::x>::y", "::", "<a::b as c::d"]
    {
        let _ = crate_of_path(path);
        let _ = room_of_symbol(path);
    }
}
