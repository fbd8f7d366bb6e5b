use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use huddle_domain::{IdError, UserId};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    Identity, Minter, TOKEN_BYTES_MAX, TokenError, UserToken, Verifier, VerifierError, VerifierOptions, bearer_token,
};

const SECRET: &str = "a-signing-secret-of-more-than-32-bytes";
const OTHER_SECRET: &str = "another-signing-secret-of-more-than-32";
const SERVICE_TOKEN: &str = "a-service-token-of-more-than-32-bytes!";
/// The tests' present, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    at(NOW)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn options() -> VerifierOptions {
    VerifierOptions {
        secret: Some(SECRET.to_owned()),
        service_token: Some(SERVICE_TOKEN.to_owned()),
        ..VerifierOptions::default()
    }
}

fn verifier() -> Verifier {
    Verifier::new(options()).unwrap()
}

/// The claims of a good token with `changes` on top; `null` takes a claim away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({"sub": "7", "exp": NOW + 600});
    for (claim, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value.clone();
        }
    }
    claims
}

fn token(changes: &Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(changes), &EncodingKey::from_secret(SECRET.as_bytes()))
        .unwrap()
}

/// A token with any header at all, its signature made with the right secret.
fn token_with_header(header: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(&claims(&json!({}))));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn verdict(changes: &Value) -> Result<UserToken, TokenError> {
    verifier().verify_user(&token(changes), now())
}

#[test]
fn a_good_token_names_its_user_until_it_expires() {
    assert_eq!(
        verdict(&json!({"name": "Ada", "nbf": NOW - 5})),
        Ok(UserToken {
            user: UserId::parse("7").unwrap(),
            expires_at: at(NOW + 600),
            name: Some("Ada".to_owned()),
            jti: None
        })
    );
}

#[test]
fn times_are_judged_by_the_given_present_with_a_minute_of_leeway() {
    for (changes, outcome) in [
        (json!({"exp": NOW - 59}), None),
        (json!({"exp": NOW - 61}), Some(TokenError::Expired)),
        (json!({"exp": 0}), Some(TokenError::Expired)),
        (json!({"exp": NOW + 10, "nbf": NOW + 59}), None),
        (json!({"nbf": NOW + 61}), Some(TokenError::NotYetValid)),
        (json!({"exp": 1_800_000_600.5}), None),
        (json!({"exp": null}), Some(TokenError::NoExpiry)),
        (json!({"exp": "1800000600"}), Some(TokenError::Time)),
        (json!({"exp": -1}), Some(TokenError::Time)),
        (json!({"exp": u64::MAX}), Some(TokenError::Time)),
        (json!({"exp": 253_402_300_799_u64}), None),
        (json!({"exp": 253_402_300_800_u64}), Some(TokenError::Time)),
        (json!({"exp": 1e300}), Some(TokenError::Time)),
        (json!({"exp": true}), Some(TokenError::Time)),
        (json!({"nbf": []}), Some(TokenError::Time)),
        (json!({"exp": {"at": NOW}}), Some(TokenError::Time)),
    ] {
        assert_eq!(verdict(&changes).err(), outcome, "{changes}");
    }
    let token = token(&json!({}));
    assert_eq!(verifier().verify_user(&token, at(NOW + 700)), Err(TokenError::Expired));
}

#[test]
fn algorithms_other_than_the_keys_own_are_refused() {
    for algorithm in
        ["none", "None", "NONE", "", "RS256", "ES256", "EdDSA", "HS384", "HS512", "PS256", "hs256", "A128KW"]
    {
        let token = token_with_header(&json!({"alg": algorithm, "typ": "JWT"}));
        assert_eq!(verifier().verify_user(&token, now()), Err(TokenError::Algorithm), "{algorithm}");
    }
    let signed = token_with_header(&json!({"alg": "none"}));
    let (unsigned, _) = signed.rsplit_once('.').unwrap();
    assert_eq!(verifier().verify_user(&format!("{unsigned}."), now()), Err(TokenError::Algorithm));

    let signed_otherwise = jsonwebtoken::encode(
        &Header::new(Algorithm::HS512),
        &claims(&json!({})),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    );
    assert_eq!(verifier().verify_user(&signed_otherwise.unwrap(), now()), Err(TokenError::Algorithm));
}

#[test]
fn headers_never_bring_or_choose_a_key() {
    for header in [
        json!({"alg": "HS256", "jku": "https://attacker.example/keys.json"}),
        json!({"alg": "HS256", "x5u": "https://attacker.example/cert.pem"}),
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"alg": "HS256", "x5c": ["AAAA"]}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "kid": "../../../../dev/null"}),
        json!({"alg": "HS256", "kid": "..%2f..%2fdev%2fnull"}),
        json!({"alg": "HS256", "kid": "https://attacker.example/key"}),
        json!({"alg": "HS256", "kid": "x' UNION SELECT 'key"}),
        json!({"alg": "HS256", "kid": ""}),
        json!({"alg": "HS256", "kid": "k".repeat(129)}),
        json!({"alg": "HS256", "kid": 5}),
    ] {
        let token = token_with_header(&header);
        assert_eq!(verifier().verify_user(&token, now()), Err(TokenError::Header), "{header}");
    }
    let named = token_with_header(&json!({"alg": "HS256", "typ": "JWT", "kid": "2026-01_NzbLsXh8uDCcd.6MNwXF4="}));
    verifier().verify_user(&named, now()).unwrap();
}

#[test]
fn a_wrong_signature_is_refused() {
    let good = token(&json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let foreign = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims(&json!({})),
        &EncodingKey::from_secret(OTHER_SECRET.as_bytes()),
    );
    let (_, foreign_claims_signature) =
        token(&json!({"sub": "8"})).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    for forged in [
        foreign.unwrap(),
        format!("{message}."),
        format!("{message}.{foreign_claims_signature}"),
        format!("{message}.{}", &signature[..40]),
    ] {
        assert_eq!(verifier().verify_user(&forged, now()), Err(TokenError::Signature));
    }
}

#[test]
fn what_is_not_a_token_is_refused() {
    let good = token(&json!({}));
    let array_header = token_with_header(&json!(["alg", "HS256"]));
    let no_algorithm = token_with_header(&json!({"typ": "JWT"}));
    let deep = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode("[".repeat(2_000)));
    for text in [
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        " ",
        "Bearer",
        "null",
        "\0\0.\0.\0",
        "ä.ö.ü",
        &good[1..],
        &format!("{good}.{good}"),
        &format!(" {good}"),
        &format!("{good}\n"),
        &array_header,
        &no_algorithm,
        &deep,
    ] {
        assert_eq!(verifier().verify_user(text, now()), Err(TokenError::Malformed), "{text:?}");
    }
}

#[test]
fn claims_that_are_no_object_are_refused() {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for claims in [json!([]), json!("sub"), json!(7), json!(null)] {
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        assert_eq!(verifier().verify_user(&token, now()), Err(TokenError::Malformed), "{claims}");
    }
}

#[test]
fn a_token_of_8_kilobytes_is_refused_before_it_is_read() {
    let fits = token(&json!({"name": "x".repeat(5_000)}));
    assert!(fits.len() < TOKEN_BYTES_MAX);
    verifier().verify_user(&fits, now()).unwrap();

    let large = token(&json!({"name": "x".repeat(6_200)}));
    assert!(large.len() > TOKEN_BYTES_MAX);
    assert_eq!(verifier().verify_user(&large, now()), Err(TokenError::TooLong));
    assert_eq!(verifier().verify_bearer(&"x".repeat(8 * 1024), now()), Err(TokenError::TooLong));
}

#[test]
fn issuer_and_audience_must_be_the_configured_ones() {
    let strict = VerifierOptions {
        issuer: Some("https://labellab.example".to_owned()),
        audience: Some("huddle".to_owned()),
        ..options()
    };
    let strict = Verifier::new(strict).unwrap();
    let iss = "https://labellab.example";
    for (changes, outcome) in [
        (json!({"iss": iss, "aud": "huddle"}), None),
        (json!({"iss": iss, "aud": ["mail", "huddle"]}), None),
        (json!({"aud": "huddle"}), Some(TokenError::Issuer)),
        (json!({"iss": "https://labellab.example.evil", "aud": "huddle"}), Some(TokenError::Issuer)),
        (json!({"iss": [iss], "aud": "huddle"}), Some(TokenError::Issuer)),
        (json!({"iss": iss}), Some(TokenError::Audience)),
        (json!({"iss": iss, "aud": "mail"}), Some(TokenError::Audience)),
        (json!({"iss": iss, "aud": []}), Some(TokenError::Audience)),
        (json!({"iss": iss, "aud": {"huddle": true}}), Some(TokenError::Audience)),
    ] {
        assert_eq!(strict.verify_user(&token(&changes), now()).err(), outcome, "{changes}");
    }
    assert_eq!(verdict(&json!({"aud": "mail"})), Err(TokenError::Audience));
    verdict(&json!({"iss": "anyone"})).unwrap();
}

#[test]
fn the_user_id_must_be_an_id() {
    for (changes, outcome) in [
        (json!({"sub": null}), TokenError::NoUser),
        (json!({"sub": ""}), TokenError::UserId(IdError::Empty)),
        (json!({"sub": "a.b"}), TokenError::UserId(IdError::BadCharacter)),
        (json!({"sub": "*"}), TokenError::UserId(IdError::BadCharacter)),
        (json!({"sub": "7\r\nNats-Rollup: all"}), TokenError::UserId(IdError::BadCharacter)),
        (json!({"sub": "x".repeat(65)}), TokenError::UserId(IdError::TooLong)),
        (json!({"sub": "service"}), TokenError::ReservedUser),
        (json!({"sub": 7.5}), TokenError::UserType),
        (json!({"sub": true}), TokenError::UserType),
        (json!({"sub": ["7"]}), TokenError::UserType),
        (json!({"sub": {"id": 7}}), TokenError::UserType),
    ] {
        assert_eq!(verdict(&changes), Err(outcome), "{changes}");
    }
}

#[test]
fn the_service_token_is_a_service_and_no_part_of_it_is() {
    let verifier = verifier();
    assert_eq!(verifier.verify_bearer(SERVICE_TOKEN, now()), Ok(Identity::Service));
    for wrong in [
        &SERVICE_TOKEN[..SERVICE_TOKEN.len() - 1],
        &format!("{SERVICE_TOKEN}x"),
        &SERVICE_TOKEN.to_uppercase(),
        &format!("x{}", &SERVICE_TOKEN[1..]),
    ] {
        assert_eq!(verifier.verify_bearer(wrong, now()), Err(TokenError::Malformed), "{wrong:?}");
    }
    let Ok(Identity::User(user)) = verifier.verify_bearer(&token(&json!({})), now()) else { panic!("not a user") };
    assert_eq!(user.user.as_str(), "7");
    assert_eq!(verifier.verify_user(SERVICE_TOKEN, now()), Err(TokenError::Malformed));
}

#[test]
fn what_is_not_configured_is_not_accepted() {
    let services_only = Verifier::new(VerifierOptions { secret: None, ..options() }).unwrap();
    assert_eq!(services_only.verify_bearer(&token(&json!({})), now()), Err(TokenError::NotAccepted));
    let users_only = Verifier::new(VerifierOptions { service_token: None, ..options() }).unwrap();
    assert_eq!(users_only.verify_bearer("", now()), Err(TokenError::Missing));
    assert_eq!(users_only.verify_bearer(SERVICE_TOKEN, now()), Err(TokenError::Malformed));
}

#[test]
fn weak_options_are_refused_with_a_way_out() {
    let short = "x".repeat(31);
    for (options, error) in [
        (
            VerifierOptions { secret: Some(short.clone()), ..options() },
            VerifierError::TooShort { setting: "secret", bytes: 31 },
        ),
        (
            VerifierOptions { service_token: Some(short.clone()), ..options() },
            VerifierError::TooShort { setting: "service_token", bytes: 31 },
        ),
        (VerifierOptions::default(), VerifierError::NothingAccepted),
        (VerifierOptions { service_token: Some(SECRET.to_owned()), ..options() }, VerifierError::SameSecret),
        (VerifierOptions { user_claim: String::new(), ..options() }, VerifierError::NoUserClaim),
        (
            VerifierOptions { leeway: Duration::from_secs(61), ..options() },
            VerifierError::Leeway { leeway: Duration::from_secs(61) },
        ),
    ] {
        assert_eq!(Verifier::new(options).unwrap_err(), error);
    }
    let text = VerifierError::TooShort { setting: "secret", bytes: 31 }.to_string();
    assert!(text.contains("`auth.secret`") && text.contains("openssl rand"), "{text}");
}

#[test]
fn minted_tokens_are_accepted_by_a_verifier_with_the_same_options() {
    let options = VerifierOptions {
        user_claim: "identity".to_owned(),
        issuer: Some("huddle".to_owned()),
        audience: Some("chat".to_owned()),
        ..options()
    };
    let user = UserId::parse("ada").unwrap();
    let minter = Minter::new(options.clone()).unwrap();
    let token = minter.mint(&user, Some("Ada"), Duration::from_mins(1), now()).unwrap();
    let verified = Verifier::new(options).unwrap().verify_user(&token, now()).unwrap();
    assert_eq!(
        verified,
        UserToken { user: user.clone(), expires_at: at(NOW + 60), name: Some("Ada".to_owned()), jti: None }
    );

    assert!(minter.mint(&user, None, Duration::MAX, now()).is_err());
    let error = Minter::new(VerifierOptions { secret: None, ..self::options() }).unwrap_err();
    assert_eq!(error, VerifierError::NoSecret);
}

#[test]
fn nothing_prints_a_secret_or_a_token() {
    let minter = Minter::new(options()).unwrap();
    let short = Verifier::new(VerifierOptions { secret: Some("hunter2".to_owned()), ..options() }).unwrap_err();
    for shown in
        [format!("{:?}", options()), format!("{:?}", verifier()), format!("{minter:?}"), format!("{short} {short:?}")]
    {
        for secret in [SECRET, SERVICE_TOKEN, "hunter2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let error = verdict(&json!({"sub": "canary.value"})).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn the_bearer_scheme_is_read_in_any_case() {
    for (header, token) in [
        ("Bearer abc", Some("abc")),
        ("bearer abc", Some("abc")),
        ("BEARER   abc ", Some("abc")),
        ("Bearer ", None),
        ("Bearer", None),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
    ] {
        assert_eq!(bearer_token(header), token, "{header:?}");
    }
}
