//! Mutations of valid inputs: they get further into a decoder than random bytes.

use crate::random::Random;

/// Mutations of one input at most.
const STEPS_MAX: usize = 6;

/// Extreme lengths and numbers in the encoding of protobuf, and texts that parsers get wrong.
const ODD: &[&[u8]] = &[
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x7f],
    &[0x00],
    &[0xff; 16],
    &[0xc3, 0x28],
    "🦀é\u{202e}\u{0}".as_bytes(),
    b"18446744073709551616",
    b"-9223372036854775808",
    b"9999-12-31T23:59:60Z",
    b"0001-01-01T00:00:00-99:99",
    b"1e999",
    b"00000000-0000-0000-0000-000000000000",
    b"=",
    b"-",
    b".",
    b"\n",
];

/// Returns `base` with some mutations.
pub(crate) fn mutate(base: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = base.to_vec();
    for _ in 0..=random.below(STEPS_MAX) {
        step(&mut out, other, random);
    }
    out
}

fn step(out: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(out.len());
    match random.below(9) {
        0 if !out.is_empty() => out[at] ^= 1 << random.below(8),
        1 if !out.is_empty() => out[at] = random.byte(),
        2 if !out.is_empty() => out[at] = out[at].wrapping_add([1, 0xff][random.below(2)]),
        3 => out.insert(at, random.byte()),
        4 => out.truncate(at),
        5 => drop(out.drain(at..random.below(out.len() - at) + at)),
        6 => {
            let part = out[at..].to_vec();
            let part = &part[..random.below(part.len())];
            for _ in 0..=random.below(4) {
                splice(out, at, part);
            }
        }
        7 => {
            let from = random.below(other.len());
            let part = &other[from..];
            splice(out, at, &part[..random.below(part.len() + 1)]);
        }
        _ => splice(out, at, ODD[random.below(ODD.len())]),
    }
}

fn splice(out: &mut Vec<u8>, at: usize, part: &[u8]) {
    let at = at.min(out.len());
    out.splice(at..at, part.iter().copied());
}
