//! Tokens as LabelLab makes them: flask_jwt_extended 3.24.1 (PyJWT 1.7.1), HS256, user id 42 in the claim `identity`.
//!
//! The two texts below came out of that library, with nothing set but the secret:
//! `create_access_token(42)` and `create_refresh_token(42)`. Their claims are beside them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use huddle_auth::{Revocations, TokenError, Verifier, VerifierOptions};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// LabelLab's `JWT_SECRET_KEY`.
const SECRET: &str = "a-signing-secret-of-more-than-32-bytes";
/// `iat` and `nbf` of both tokens, in seconds since 1970.
const MADE_AT: u64 = 1_795_381_078;
/// `exp` of the access token.
const EXPIRES_AT: u64 = 1_795_381_978;

/// `{"iat": 1795381078, "nbf": 1795381078, "jti": "a14bd7b4-2b74-496a-87de-47c4b5692a3b", "exp": 1795381978,
/// "identity": 42, "fresh": false, "type": "access"}`
const ACCESS_TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
    eyJpYXQiOjE3OTUzODEwNzgsIm5iZiI6MTc5NTM4MTA3OCwianRpIjoiYTE0YmQ3YjQtMmI3NC00OTZhLTg3ZGUtNDdjNGI1NjkyYTNiIiwiZXhwIjox\
    Nzk1MzgxOTc4LCJpZGVudGl0eSI6NDIsImZyZXNoIjpmYWxzZSwidHlwZSI6ImFjY2VzcyJ9.\
    g7Rv5Lq_w3jYvpc2JOYJ9DjzleNzHLd4PCN3pYqKyy4";
const ACCESS_JTI: &str = "a14bd7b4-2b74-496a-87de-47c4b5692a3b";

/// `{"iat": 1795381078, "nbf": 1795381078, "jti": "49e12dcd-2123-470f-a234-afe690758304", "exp": 1797973078,
/// "identity": 42, "type": "refresh"}`
const REFRESH_TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
    eyJpYXQiOjE3OTUzODEwNzgsIm5iZiI6MTc5NTM4MTA3OCwianRpIjoiNDllMTJkY2QtMjEyMy00NzBmLWEyMzQtYWZlNjkwNzU4MzA0IiwiZXhwIjox\
    Nzk3OTczMDc4LCJpZGVudGl0eSI6NDIsInR5cGUiOiJyZWZyZXNoIn0.\
    pORfAhMjrdlvQkScD8FiCJB6Xa8IZx6H-YXheGXg4sY";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn verifier(user_claim: &str) -> Verifier {
    let options = VerifierOptions {
        secret: Some(SECRET.to_owned()),
        user_claim: user_claim.to_owned(),
        ..VerifierOptions::default()
    };
    Verifier::new(options).unwrap()
}

#[test]
fn an_access_token_is_its_users_until_it_expires() {
    let verifier = verifier("identity");
    let token = verifier.verify_user(ACCESS_TOKEN, at(MADE_AT)).unwrap();
    assert_eq!(token.user.as_str(), "42");
    assert_eq!(token.expires_at, at(EXPIRES_AT));
    assert_eq!((token.name, token.jti.as_deref()), (None, Some(ACCESS_JTI)));
    assert_eq!(verifier.verify_user(ACCESS_TOKEN, at(EXPIRES_AT + 61)), Err(TokenError::Expired));
}

#[test]
fn an_access_token_names_nobody_while_the_claim_is_another() {
    assert_eq!(verifier("sub").verify_user(ACCESS_TOKEN, at(MADE_AT)), Err(TokenError::NoUser));
}

#[test]
fn a_refresh_token_opens_nothing() {
    assert_eq!(verifier("identity").verify_user(REFRESH_TOKEN, at(MADE_AT)), Err(TokenError::RefreshToken));
}

#[test]
fn a_revoked_token_is_refused_and_told_from_an_expired_one() {
    let revocations = Revocations::default();
    let verifier = verifier("identity").with_revocations(revocations.clone());
    verifier.verify_user(ACCESS_TOKEN, at(MADE_AT)).unwrap();
    revocations.replace(HashSet::from([ACCESS_JTI.into()]));
    assert_eq!(verifier.verify_user(ACCESS_TOKEN, at(MADE_AT)), Err(TokenError::Revoked));
    assert_eq!(verifier.verify_user(ACCESS_TOKEN, at(EXPIRES_AT + 61)), Err(TokenError::Expired));
}

/// LabelLab's documentation names claims that the library leaves out while they are empty.
#[test]
fn claims_that_say_nothing_of_the_user_are_of_no_matter() {
    let claims = |changes: &[(&str, Value)]| {
        let mut claims = json!({
            "identity": 42, "jti": "9f5c", "type": "access", "fresh": false, "iat": MADE_AT, "nbf": MADE_AT,
            "exp": EXPIRES_AT, "user_claims": {},
        });
        for (claim, value) in changes {
            claims[*claim] = value.clone();
        }
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
    };
    let user = |token: &str| verifier("identity").verify_user(token, at(MADE_AT)).map(|token| token.user.to_string());
    for changes in [
        vec![],
        vec![("fresh", json!(true))],
        vec![("fresh", json!(MADE_AT + 60))],
        vec![("user_claims", json!({"identity": 43, "sub": "43", "roles": ["admin"]}))],
        vec![("csrf", json!("5d2e"))],
        vec![("sub", json!("43"))],
    ] {
        assert_eq!(user(&claims(&changes)).as_deref(), Ok("42"), "{changes:?}");
    }
    assert_eq!(user(&claims(&[("identity", json!("42"))])).as_deref(), Ok("42"));
    assert_eq!(user(&claims(&[("identity", json!({"id": 42}))])), Err(TokenError::UserType));
}
