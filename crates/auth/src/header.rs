//! The header of a JWT, judged before anything is computed from it. Nothing in it ever chooses a key.

use serde_json::Value;

use crate::{TokenError, verify::part};

/// The algorithm's name (RFC 7518, section 3.1).
const ALGORITHM: &str = "HS256";
/// Parameters that bring a key, or demand what is not implemented.
const FORBIDDEN: [&str; 6] = ["jku", "x5u", "jwk", "x5c", "crit", "zip"];
/// Longest name of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 128;

/// Checks a token's first part.
pub(crate) fn check(encoded: &str) -> Result<(), TokenError> {
    let header = part(encoded)?;
    match header.get("alg") {
        Some(Value::String(algorithm)) if algorithm == ALGORITHM => {}
        Some(Value::String(_)) => return Err(TokenError::Algorithm),
        _ => return Err(TokenError::Malformed),
    }
    if FORBIDDEN.iter().any(|parameter| header.contains_key(*parameter)) {
        return Err(TokenError::Header);
    }
    match header.get("kid") {
        None => Ok(()),
        Some(Value::String(name)) if is_plain(name) => Ok(()),
        Some(_) => Err(TokenError::Header),
    }
}

/// Names as key sets have them: thumbprints, dates, words; no paths, addresses or statements.
fn is_plain(name: &str) -> bool {
    (1..=KEY_ID_BYTES_MAX).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+".contains(&byte))
}
