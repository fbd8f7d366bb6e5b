//! Checks what a client shows and says who it is.

#[cfg(test)]
mod tests;
mod verifier;

pub(crate) use verifier::part;
pub use verifier::{Identity, JTI_BYTES_MAX, TOKEN_BYTES_MAX, UserToken, Verifier, bearer_token};
