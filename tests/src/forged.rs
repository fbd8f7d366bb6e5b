//! Owns tokens that no issuer would make: any header, any claims, any key.

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value;

/// A token of `header` and `claims`, signed with HMAC-SHA256 by `secret` whatever the header says.
pub fn token(header: &Value, claims: &Value, secret: &str) -> Result<String> {
    let signed = unsigned(header, claims);
    let signature = crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256)?;
    Ok(format!("{signed}.{signature}"))
}

/// A token's first two parts.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}
