//! Golden frames of version 1: what was written once is read for good, and written the same.
//!
//! `compat/v1` holds one pair of files per frame: its JSON and, as hexadecimal digits, its bytes. A pair is never
//! changed; a new kind of frame gets a pair of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use huddle_proto::{
    DESCRIPTORS, decode_new_event, encode_new_event,
    event::v1::Event,
    gateway::v1::{ClientFrame, ServerFrame},
};
use prost::Message;
use prost_types::FileDescriptorSet;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The golden pairs in a directory: name, JSON without its last line break, bytes.
fn golden(directory: &str) -> Vec<(String, String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/v1").join(directory);
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    paths.sort();
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, read(path).trim_end().to_owned(), from_hex(read(&path.with_extension("hex")).trim()))
        })
        .collect()
}

fn from_hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "an odd number of digits");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Checks every pair of `directory` in both directions, and returns the names that stand in their JSON.
fn assert_golden<F>(directory: &str) -> BTreeSet<String>
where
    F: Message + Default + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let mut names = BTreeSet::new();
    for (name, json, bytes) in golden(directory) {
        let from_json: F = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{directory}/{name}: {error}"));
        let from_bytes = F::decode(bytes.as_slice()).unwrap_or_else(|error| panic!("{directory}/{name}: {error}"));
        assert_eq!(from_json, from_bytes, "{directory}/{name}");
        assert_eq!(serde_json::to_string(&from_bytes).unwrap(), json, "{directory}/{name}");
        assert_eq!(to_hex(&from_json.encode_to_vec()), to_hex(&bytes), "{directory}/{name}");
        add_names(&serde_json::from_str(&json).unwrap(), &mut names);
    }
    names
}

fn add_names(value: &Value, names: &mut BTreeSet<String>) {
    if let Value::Object(fields) = value {
        for (name, value) in fields {
            names.insert(name.clone());
            add_names(value, names);
        }
    }
}

/// The fields of a message, and of the messages in them.
fn fields_of(message: &str) -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut fields = BTreeSet::new();
    let mut waiting = vec![message.to_owned()];
    while let Some(name) = waiting.pop() {
        let messages = files.file.iter().flat_map(|file| file.message_type.iter().map(move |one| (file, one)));
        let found = messages.into_iter().find(|(file, one)| format!(".{}.{}", file.package(), one.name()) == name);
        for field in found.into_iter().flat_map(|(_, one)| &one.field) {
            fields.insert(field.name().to_owned());
            waiting.extend(field.type_name.clone());
        }
    }
    fields
}

#[test]
fn client_frames_of_version_1_are_read_and_written_as_ever() {
    let covered = assert_golden::<ClientFrame>("client");
    assert_eq!(covered, fields_of(".huddle.gateway.v1.ClientFrame"), "every field needs a golden frame");
}

#[test]
fn server_frames_of_version_1_are_read_and_written_as_ever() {
    let covered = assert_golden::<ServerFrame>("server");
    assert_eq!(covered, fields_of(".huddle.gateway.v1.ServerFrame"), "every field needs a golden frame");
}

#[test]
fn what_stands_in_a_log_is_read_and_written_as_ever() {
    assert_golden::<Event>("log");
    let mut kinds = BTreeSet::new();
    for (name, json, bytes) in golden("log") {
        let event = decode_new_event(&bytes).unwrap_or_else(|error| panic!("log/{name}: {error}"));
        assert_eq!(to_hex(&encode_new_event(&event)), to_hex(&bytes), "log/{name}");
        add_names(&serde_json::from_str(&json).unwrap(), &mut kinds);
    }
    let set_by_the_log = ["seq", "prev_seq", "time_ms"].map(str::to_owned).into();
    let expected = &fields_of(".huddle.event.v1.Event") - &set_by_the_log;
    assert_eq!(kinds, expected, "every kind of event needs a golden payload");
}

#[test]
fn fields_of_a_newer_version_are_ignored() {
    let known: ClientFrame = serde_json::from_str(r#"{"id":"1","ping":{}}"#).unwrap();
    let newer = r#"{"id":"1","ping":{"echo":"x"},"trace":{"deep":[1,2]}}"#;
    assert_eq!(serde_json::from_str::<ClientFrame>(newer).unwrap(), known);

    // Field 99, of two bytes.
    let bytes = [known.encode_to_vec(), vec![0x9a, 0x06, 0x02, 0x68, 0x69]].concat();
    assert_eq!(ClientFrame::decode(bytes.as_slice()).unwrap(), known);
}
