//! Inputs for the decoders: packets that are right, then changed at random. The same seed gives the same inputs.

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::SmallRng};

/// Bytes of an input, about.
const INPUT_BYTES_MAX: usize = 4_096;
/// Changes to one input.
const CHANGES_MAX: usize = 8;

/// What is right, and what nearly is.
const SAMPLES: &[&[u8]] = &[
    b"4hello\x1e2\x1e4world",
    b"4hello\x1ebAQIDBA==",
    b"6:4hello2:4\xe2\x82\xac",
    b"2:4\xe2\x82\xac10:b4AQIDBA==",
    b"3:4\xf0\x9f\x98\x806:4hello",
    &[0, 4, 255, 0x34, 0xe2, 0x82, 0xac, 1, 5, 255, 4, 1, 2, 3, 4],
    b"40{\"token\":\"123\"}",
    b"40/custom,{\"token\":\"abc\"}",
    b"40/custom?token=abc",
    b"41/admin,",
    b"42[\"message\",1,\"2\",{\"3\":[true]}]",
    b"42456[\"message-with-ack\",1,\"2\",{\"3\":[false]}]",
    b"42/admin,18446744073709551615[\"x\"]",
    b"452-789[\"message\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
    b"461-/admin,13[{\"_placeholder\":true,\"num\":0}]",
    b"44{\"message\":\"no\"}",
    b"42[\"__proto__\",{\"__proto__\":{\"a\":1}},\"\\ud83d\\ude00\",-1.5e300,null]",
    b"2probe",
    b"3probe",
    b"1\x1e5\x1e6",
    b"0123456789abcdef.0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"EIO=4&transport=polling&t=1&b64=1&token=a%20b+c&resume=%7B%225%22%3A1%7D",
];

/// Pieces that matter to some decoder.
const PIECES: &[&[u8]] = &[
    b"\x1e",
    b":",
    b",",
    b"-",
    b"/",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\\",
    b"?",
    b"&",
    b"=",
    b"%",
    b"b",
    b"b4",
    b"4",
    b"42",
    b"451-",
    b"0",
    b"9",
    b"99999999999999999999",
    b"\xff",
    b"\x00",
    b"\x01\x09\xff",
    b"\xf0\x9f\x98\x80",
    b"\xe2\x82\xac",
    b"[[[[[[[[",
    b"null",
    b"\"disconnect\"",
    b"\\ud800",
];

pub(crate) struct Mutator {
    random: SmallRng,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed) }
    }

    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        let mut input = if self.random.random_ratio(1, 10) { self.noise() } else { self.pick(SAMPLES).to_vec() };
        for _ in 0..self.random.random_range(0..=CHANGES_MAX) {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let start = self.random.random_range(0..=input.len());
        let end = self.random.random_range(start..=input.len().min(start + 16));
        match self.random.random_range(0..7) {
            0 => drop(input.drain(start..end)),
            1 => drop(input.splice(start..end, self.pick(PIECES).iter().copied())),
            2 => {
                let sample = self.pick(SAMPLES);
                drop(input.splice(start..start, sample.iter().copied()));
            }
            3 => {
                let copied = input[start..end].repeat(self.random.random_range(1..64));
                drop(input.splice(start..start, copied));
            }
            4 => {
                if let Some(byte) = input.get_mut(start) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            5 => {
                // In front of what is there: a length that may even be right.
                let length = format!("{}:", (input.len() + self.random.random_range(0..=4)).saturating_sub(2));
                drop(input.splice(0..0, length.bytes()));
            }
            _ => input.truncate(start),
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.random.random_range(0..256)];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    fn pick(&mut self, from: &'static [&'static [u8]]) -> &'static [u8] {
        from[self.random.random_range(0..from.len())]
    }
}
