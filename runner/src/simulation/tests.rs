//! The wire, without guests.

use super::member::{Member, Said};
use super::wire::{Cable, Wire};
use abi::hosted::network::HEADER;
use std::time::{Duration, Instant};

fn frame(byte: u8) -> Vec<u8> {
    vec![byte; HEADER + 60]
}

#[test]
fn a_frame_arrives_at_all_others_after_the_delay() {
    let mut cable = Cable::new(&Wire::default(), 1);
    cable.send(50, 1, 3, &frame(7));
    assert_eq!(cable.next_arrival(), Some(100_050));
    assert_eq!(cable.take(), Some((0, frame(7))));
    assert_eq!(cable.take(), Some((2, frame(7))));
    assert_eq!(cable.take(), None);
}

#[test]
fn what_is_lost_and_when_the_rest_arrives_follows_from_the_seed() {
    let wire = Wire { jitter: Duration::from_millis(1), loss: 0.3, duplicates: 0.3, ..Wire::default() };
    let arrivals = |seed| {
        let mut cable = Cable::new(&wire, seed);
        (0..100).for_each(|number| cable.send(u64::from(number), 0, 2, &frame(number)));
        let mut arrivals = Vec::new();
        while let Some(at) = cable.next_arrival() {
            arrivals.push((at, cable.take()));
        }
        (arrivals, cable.counts())
    };
    assert_eq!(arrivals(1), arrivals(1));
    assert_ne!(arrivals(1), arrivals(2));
    let (_, (sent, lost)) = arrivals(1);
    assert_eq!(sent, 100);
    assert!((10..60).contains(&lost), "{lost} of 100 were lost");
}

#[test]
fn a_guest_that_never_sleeps_is_not_waited_for_beyond_the_limit() {
    let (mut member, end) = Member::new().unwrap();
    let deadline = Instant::now() + Duration::from_millis(10);
    assert!(matches!(member.hear(deadline), Said::TooLate));
    assert!(member.is_there());
    drop(end);
    assert!(matches!(member.hear(Instant::now()), Said::Nothing));
}
