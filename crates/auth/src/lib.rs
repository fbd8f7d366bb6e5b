//! Token → identity: checks user tokens (JWT) and the shared service token, and mints user tokens.
//!
//! It reads no clock, no file and no network: time is a parameter, keys are given when a [`Verifier`] is made, and whoever
//! knows which tokens are revoked puts their ids into the [`Revocations`] that it shares with the verifier. No error
//! and no `Debug` text of this crate holds a token, a secret or anything that a token said about itself.
#![deny(missing_docs)]

mod claims;
mod error;
mod header;
mod mint;
mod options;
mod revocations;
mod verify;

pub use error::TokenError;
pub use mint::{MintError, Minter};
pub use options::{LEEWAY_MAX, SECRET_BYTES_MIN, VerifierError, VerifierOptions};
pub use revocations::Revocations;
pub use verify::{Identity, JTI_BYTES_MAX, TOKEN_BYTES_MAX, UserToken, Verifier, bearer_token};
