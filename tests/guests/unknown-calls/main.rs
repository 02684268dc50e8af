//! Makes Machine calls that there are not.
#![no_std]
#![no_main]

use abi::{Call, Error};
use metaos_test_guests::{
    ExitCode,
    call::{expect_refusal, judge, raw},
    conclude,
};

entry::main!(main);

fn main() -> ExitCode {
    let unknown = [16, 17, 255, 1 << 32, 1 << 63, u64::MAX, u64::MAX - 12]
        .map(|number| judge("make a call of an unknown number", raw(number, [0; 3]), Error::UnknownCall));
    let unsupported = [("wake another CPU", Call::Notify), ("start another CPU", Call::StartCpu)]
        .map(|(what, call)| expect_refusal(what, call, [1, 0, 0], Error::Unsupported));
    conclude(unknown.into_iter().chain(unsupported).collect())
}
