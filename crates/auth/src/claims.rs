//! What a token whose signature is right says, and whether that holds here and now.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use huddle_domain::UserId;
use serde_json::{Map, Value};

use crate::{JTI_BYTES_MAX, TokenError, UserToken, VerifierOptions};

/// The last second of the year 9999. Later times are mistakes, and could overflow what is computed from them.
const TIME_MAX: Duration = Duration::from_secs(253_402_300_799);

/// The claims as they were signed.
pub(crate) type Claims = Map<String, Value>;

/// Judges `claims` at the time `now`.
pub(crate) fn check(claims: &Claims, options: &VerifierOptions, now: SystemTime) -> Result<UserToken, TokenError> {
    let expires_at = time(claims, "exp")?.ok_or(TokenError::NoExpiry)?;
    if is_after(now, expires_at, options.leeway) {
        return Err(TokenError::Expired);
    }
    if let Some(starts_at) = time(claims, "nbf")?
        && is_after(starts_at, now, options.leeway)
    {
        return Err(TokenError::NotYetValid);
    }
    if let Some(issuer) = &options.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(TokenError::Issuer);
    }
    if !is_for(claims.get("aud"), options.audience.as_deref()) {
        return Err(TokenError::Audience);
    }
    if claims.get("type").and_then(Value::as_str) == Some("refresh") {
        return Err(TokenError::RefreshToken);
    }
    Ok(UserToken {
        user: user(claims, &options.user_claim)?,
        expires_at,
        name: claims.get("name").and_then(Value::as_str).map(str::to_owned),
        jti: jti(claims.get("jti")),
    })
}

/// Whether `late` is after `early` by more than `leeway`.
fn is_after(late: SystemTime, early: SystemTime, leeway: Duration) -> bool {
    late.duration_since(early).is_ok_and(|difference| difference > leeway)
}

/// A claim in seconds since 1970, whole or not.
fn time(claims: &Claims, claim: &str) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let since_epoch = match value.as_u64() {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    };
    let since_epoch = since_epoch.filter(|since_epoch| *since_epoch <= TIME_MAX).ok_or(TokenError::Time)?;
    Ok(Some(SystemTime::UNIX_EPOCH + since_epoch))
}

fn is_for(claim: Option<&Value>, audience: Option<&str>) -> bool {
    match (claim, audience) {
        (None, None) => true,
        (Some(Value::String(named)), Some(audience)) => named == audience,
        (Some(Value::Array(named)), Some(audience)) => named.iter().any(|name| name.as_str() == Some(audience)),
        (Some(_), None | Some(_)) | (None, Some(_)) => false,
    }
}

/// Whether a `jti` is there and is none that a list could hold.
pub(crate) fn has_unfit_jti(claims: &Claims) -> bool {
    let claim = claims.get("jti");
    claim.is_some() && jti(claim).is_none()
}

fn jti(claim: Option<&Value>) -> Option<Arc<str>> {
    let id = claim?.as_str()?;
    (1..=JTI_BYTES_MAX).contains(&id.len()).then(|| Arc::from(id))
}

/// The user's id. LabelLab's ids are integers, which become their decimal text.
fn user(claims: &Claims, claim: &str) -> Result<UserId, TokenError> {
    let id = match claims.get(claim) {
        None => return Err(TokenError::NoUser),
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => id.to_string(),
        Some(_) => return Err(TokenError::UserType),
    };
    if id == UserId::SERVICE {
        return Err(TokenError::ReservedUser);
    }
    UserId::parse(&id).map_err(TokenError::UserId)
}
