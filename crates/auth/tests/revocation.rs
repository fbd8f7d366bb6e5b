//! Tokens that are revoked before they expire.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use huddle_auth::{Identity, JTI_BYTES_MAX, MintError, Minter, Revocations, TokenError, Verifier, VerifierOptions};
use huddle_domain::UserId;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const SECRET: &str = "a-signing-secret-of-more-than-32-bytes";
const SERVICE_TOKEN: &str = "a-service-token-of-more-than-32-bytes!";
/// The tests' present, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn options() -> VerifierOptions {
    VerifierOptions {
        secret: Some(SECRET.to_owned()),
        service_token: Some(SERVICE_TOKEN.to_owned()),
        ..VerifierOptions::default()
    }
}

fn with_list(revocations: &Revocations) -> Verifier {
    Verifier::new(options()).unwrap().with_revocations(revocations.clone())
}

fn ids<const N: usize>(ids: [&str; N]) -> HashSet<Box<str>> {
    ids.into_iter().map(Box::from).collect()
}

fn token(jti: &Value) -> String {
    let claims = match jti {
        Value::Null => json!({"sub": "7", "exp": NOW + 600}),
        jti => json!({"sub": "7", "exp": NOW + 600, "jti": jti}),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

#[test]
fn a_token_is_refused_from_the_moment_that_its_id_is_listed() {
    let revocations = Revocations::default();
    let verifier = with_list(&revocations);
    let token = token(&json!("id-1"));
    let good = verifier.verify_user(&token, now()).unwrap();
    assert!(!verifier.is_revoked(&good));

    revocations.replace(ids(["id-0", "id-1"]));
    assert_eq!(verifier.verify_user(&token, now()), Err(TokenError::Revoked));
    assert_eq!(verifier.verify_bearer(&token, now()), Err(TokenError::Revoked));
    assert!(verifier.is_revoked(&good), "a live connection learns of it");

    revocations.replace(ids(["id-0"]));
    assert_eq!(verifier.verify_user(&token, now()), Ok(good.clone()));
    assert!(!verifier.is_revoked(&good));
}

#[test]
fn only_the_whole_id_counts() {
    let revocations = Revocations::default();
    revocations.replace(ids(["id-12", "ID-1", "id-", " id-1"]));
    with_list(&revocations).verify_user(&token(&json!("id-1")), now()).unwrap();
}

#[test]
fn the_service_token_cannot_be_revoked() {
    let revocations = Revocations::default();
    revocations.replace(ids([SERVICE_TOKEN]));
    assert_eq!(with_list(&revocations).verify_bearer(SERVICE_TOKEN, now()), Ok(Identity::Service));
}

#[test]
fn an_id_that_no_list_could_hold_is_refused_where_tokens_can_be_revoked() {
    let (plain, listing) = (Verifier::new(options()).unwrap(), with_list(&Revocations::default()));
    let longest = "x".repeat(JTI_BYTES_MAX);
    for (jti, known, verdict) in [
        (json!("9f5c"), Some("9f5c"), None),
        (json!(longest), Some(longest.as_str()), None),
        (json!(null), None, None),
        (json!(""), None, Some(TokenError::Jti)),
        (json!("x".repeat(JTI_BYTES_MAX + 1)), None, Some(TokenError::Jti)),
        (json!("ä".repeat(JTI_BYTES_MAX / 2 + 1)), None, Some(TokenError::Jti)),
        (json!(5), None, Some(TokenError::Jti)),
        (json!(["9f5c"]), None, Some(TokenError::Jti)),
        (json!({"id": "9f5c"}), None, Some(TokenError::Jti)),
        (json!(false), None, Some(TokenError::Jti)),
    ] {
        let token = token(&jti);
        assert_eq!(plain.verify_user(&token, now()).unwrap().jti.as_deref(), known, "without a list: {jti}");
        let listed = listing.verify_user(&token, now());
        assert_eq!(listed.as_ref().err().copied(), verdict, "with a list: {jti}");
        assert_eq!(listed.ok().and_then(|token| token.jti).as_deref(), known, "with a list: {jti}");
    }
}

#[test]
fn an_id_of_null_is_not_the_absence_of_one() {
    let claims = json!({"sub": "7", "exp": NOW + 600, "jti": null});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
    assert_eq!(with_list(&Revocations::default()).verify_user(&token, now()), Err(TokenError::Jti));
}

#[test]
fn what_is_wrong_with_a_token_can_be_told_apart() {
    let revocations = Revocations::default();
    revocations.replace(ids(["gone"]));
    let verifier = with_list(&revocations);
    let expired = verifier.verify_user(&token(&json!("gone")), now() + Duration::from_hours(1));
    assert_eq!(verifier.verify_user("", now()), Err(TokenError::Missing));
    assert_eq!(verifier.verify_bearer("", now()), Err(TokenError::Missing));
    assert_eq!(verifier.verify_user("a.b", now()), Err(TokenError::Malformed));
    assert_eq!(expired, Err(TokenError::Expired));
    assert_eq!(verifier.verify_user(&token(&json!("gone")), now()), Err(TokenError::Revoked));
}

#[test]
fn a_forged_token_does_not_tell_what_is_revoked() {
    let revocations = Revocations::default();
    revocations.replace(ids(["id-1"]));
    let signed = token(&json!("id-1"));
    let (message, _) = signed.rsplit_once('.').unwrap();
    let other = token(&json!("id-2"));
    let (_, signature) = other.rsplit_once('.').unwrap();
    let forged = format!("{message}.{signature}");
    assert_eq!(with_list(&revocations).verify_user(&forged, now()), Err(TokenError::Signature));
}

#[test]
fn a_minted_token_with_an_id_can_be_revoked() {
    let (minter, user) = (Minter::new(options()).unwrap(), UserId::parse("ada").unwrap());
    let mint = |jti: &str| minter.mint_revocable(jti, &user, Some("Ada"), Duration::from_mins(1), now());
    let revocations = Revocations::default();
    let verifier = with_list(&revocations);
    let token = mint("id-1").unwrap();
    assert_eq!(verifier.verify_user(&token, now()).unwrap().jti.as_deref(), Some("id-1"));
    revocations.replace(ids(["id-1"]));
    assert_eq!(verifier.verify_user(&token, now()), Err(TokenError::Revoked));
    for unfit in ["", &"x".repeat(JTI_BYTES_MAX + 1)] {
        assert!(matches!(mint(unfit), Err(MintError::Jti)));
    }
}

#[test]
fn clones_share_the_list_and_nothing_prints_it() {
    let revocations = Revocations::default();
    let clone = revocations.clone();
    assert!(clone.is_empty() && !clone.contains("id-1"));
    revocations.replace(ids(["id-1", "id-2"]));
    assert!(clone.contains("id-1"));
    assert_eq!(clone.len(), 2);
    let shown = format!("{clone:?} {:?}", with_list(&revocations));
    assert!(!shown.contains("id-1") && shown.contains('2'), "{shown}");
}
