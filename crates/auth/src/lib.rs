//! Token → identity: checks user tokens (JWT) and the shared service token, and mints user tokens.
//!
//! It reads no clock, no file and no network: time is a parameter, and keys are given when a [`Verifier`] is made. No error
//! and no `Debug` text of this crate holds a token, a secret or anything that a token said about itself.
#![deny(missing_docs)]

mod claims;
mod error;
mod header;
mod mint;
mod options;
mod verify;

pub use error::TokenError;
pub use mint::{MintError, Minter};
pub use options::{LEEWAY_MAX, SECRET_BYTES_MIN, VerifierError, VerifierOptions};
pub use verify::{Identity, TOKEN_BYTES_MAX, UserToken, Verifier, bearer_token};
