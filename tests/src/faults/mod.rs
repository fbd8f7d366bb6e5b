//! Owns what the tests of faults share.

pub mod disk;
pub mod wire;
