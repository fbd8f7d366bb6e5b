//! The protocol's reference page shows frames as they are, and its tables agree with the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use huddle_proto::gateway::v1::{ClientFrame, ErrorCode, ServerFrame};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of `text` whose info string is `info`.
fn blocks<'a>(text: &'a str, info: &str) -> Vec<&'a str> {
    let opening = format!("\n```{info}\n");
    let parts = text.split(opening.as_str()).skip(1);
    parts.map(|part| part.split("\n```").next().unwrap_or_default()).collect()
}

/// Decodes `text` as a frame and encodes that again: fields that are misspelt, and so ignored, show in the difference.
fn assert_is_frame<F: DeserializeOwned + Serialize>(text: &str) {
    let shown: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let frame: F = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    assert_eq!(serde_json::to_value(&frame).unwrap(), shown);
}

#[test]
fn every_json_example_is_a_frame() {
    let text = document("protocol.intro.md");
    let (client, server) = (blocks(&text, "json client"), blocks(&text, "json server"));
    for example in &client {
        assert_is_frame::<ClientFrame>(example);
    }
    for example in &server {
        assert_is_frame::<ServerFrame>(example);
    }
    assert!(!client.is_empty() && !server.is_empty());
    assert_eq!(client.len() + server.len(), text.matches("\n```json").count(), "an example is not marked as a frame");
}

fn error_codes() -> impl Iterator<Item = ErrorCode> {
    (1..=100).filter_map(|number| ErrorCode::try_from(number).ok())
}

/// The cells of the table row that begins with `name`.
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("| `{name}` |");
    let line = text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("there is no row {name}"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn the_comments_of_error_codes_agree_with_the_code_on_retries() {
    let text = document("protocol.md");
    for code in error_codes() {
        let retry = *row(&text, code.as_str_name()).last().unwrap();
        assert_eq!(retry.starts_with("yes"), code.is_retryable(), "{code:?}: {retry}");
    }
}

#[test]
fn the_page_of_errors_has_every_code_with_its_mapping() {
    let text = document("errors.md");
    for code in error_codes() {
        let expected = [
            format!("`{}`", code.as_str_name()),
            i32::from(code).to_string(),
            code.http_status().to_string(),
            format!("{:?}", code.grpc_code()),
            if code.is_retryable() { "yes" } else { "no" }.to_owned(),
        ];
        assert_eq!(row(&text, code.as_str_name()), expected);
    }
}
