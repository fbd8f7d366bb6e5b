//! The checker finds honest runs clean, and each kind of fault in a doctored one.

#![expect(clippy::unwrap_used, reason = "a test that finds its own run other than it was made has failed")]

mod doctored;
mod honest;
mod model;
mod random;
