//! The default file and the types say the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use huddle_service::config::{self, Override};
use toml::Table;

use super::*;

/// Settings that have no default: they stand in the file as comments.
const WITHOUT_DEFAULT: [&str; 5] =
    ["auth.secret", "auth.service_token", "auth.issuer", "auth.audience", "auth.revoked_file"];

fn parsed(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `section.key` and value of everything in a configuration, with the secrets that serialisation hides.
fn settings(config: &Config) -> BTreeMap<String, String> {
    let table = Table::try_from(config).unwrap();
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for (section, value) in &table {
        for (key, value) in value.as_table().unwrap() {
            settings.insert(format!("{section}.{key}"), value.to_string());
        }
    }
    let secrets = [("store.url", Some(&config.store.url)), ("auth.secret", config.auth.secret.as_ref())];
    for (key, secret) in secrets.into_iter().chain([("auth.service_token", config.auth.service_token.as_ref())]) {
        settings.extend(secret.map(|secret| (key.to_owned(), secret.expose().to_owned())));
    }
    settings
}

fn assert_is_default(text: &str, context: &str) {
    let (found, expected) = (settings(&parsed(text)), settings(&Config::default()));
    for (key, value) in &expected {
        assert_eq!(found.get(key), Some(value), "{key} {context}");
    }
    assert_eq!(found.len(), expected.len(), "{context}");
}

#[test]
fn the_default_file_says_what_the_types_do() {
    assert_is_default(DEFAULT_TOML, "");
}

#[test]
fn every_line_of_the_default_file_can_be_left_out() {
    let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') {
            let without = [&lines[..index], &lines[index + 1..]].concat().join("\n");
            assert_is_default(&without, line);
        }
    }
}

#[test]
fn the_default_file_names_every_setting_and_no_other() {
    let uncommented: Vec<&str> = DEFAULT_TOML
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())).unwrap_or(line)
        })
        .collect();
    let uncommented = uncommented.join("\n");
    // Unknown keys are refused.
    parsed(&uncommented);
    let mut expected: BTreeSet<String> = settings(&Config::default()).into_keys().collect();
    expected.extend(WITHOUT_DEFAULT.map(str::to_owned));
    let named: Table = toml::from_str(&uncommented).unwrap();
    let keys = |(section, value): (&String, &toml::Value)| {
        let keys: Vec<_> = value.as_table().unwrap().keys().map(|key| format!("{section}.{key}")).collect();
        keys
    };
    assert_eq!(named.iter().flat_map(keys).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_setting_of_the_default_file_is_explained() {
    let mut explained = false;
    for line in DEFAULT_TOML.lines() {
        match line {
            line if line.starts_with("# ") => explained = true,
            line if line.contains(" = ") => assert!(explained, "{line}"),
            // The addresses of one section share their explanation.
            line if line.starts_with('[') || line.is_empty() => explained = false,
            _ => {}
        }
    }
}

#[test]
fn secrets_may_be_given_as_files() {
    let folder = std::env::temp_dir().join(format!("huddle-config-test-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("secret"), "a secret of more than thirty-two bytes\n").unwrap();
    let file = folder.join("huddle.toml");
    fs::write(&file, "[auth]\nsecret_file = \"secret\"\n").unwrap();
    let config: Config = config::load(Some(&file), Vec::new(), &[], &SECRETS, &PATHS).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(config.auth.secret.unwrap().expose(), "a secret of more than thirty-two bytes");
}

#[test]
fn a_value_out_of_bounds_names_its_section_and_key() {
    let check = |key: &str, value: &str| {
        let setting = |key: &str, value: &str| Override { flag: "--set".into(), key: key.into(), value: value.into() };
        let secret = setting("auth.secret", "a secret of more than thirty-two bytes");
        let config: Config = config::load(None, Vec::new(), &[secret, setting(key, value)], &SECRETS, &PATHS).unwrap();
        config.check().and_then(|()| config.check_auth()).map_err(|mistake| mistake.to_string())
    };
    assert_eq!(check("log.replicas", "3"), Ok(()));
    let error = check("log.replicas", "2").unwrap_err();
    assert!(error.starts_with("`log.replicas`: "), "{error}");
    let error = check("auth.service_token", "short").unwrap_err();
    assert!(error.contains("`auth.service_token`") && !error.contains("short "), "{error}");
    assert!(check("store.max_connections", "0").unwrap_err().contains("store.max_connections"));
}

#[test]
fn a_list_of_revoked_tokens_is_looked_for_beside_the_configuration_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, list) = (folder.path().join("huddle.toml"), folder.path().join("revoked.txt"));
    fs::write(&file, "[auth]\nrevoked_file = \"revoked.txt\"\n").unwrap();
    let config: Config = config::load(Some(&file), Vec::new(), &[], &SECRETS, &PATHS).unwrap();
    let check = || config.check_revoked_file().map_err(|mistake| mistake.to_string());
    let error = check().unwrap_err();
    assert!(error.starts_with("`auth.revoked_file`: cannot read ") && error.contains("remove the setting"), "{error}");
    fs::write(&list, "9f5c 2026-07-03\n").unwrap();
    let error = check().unwrap_err();
    assert!(error.contains("revoked.txt: line 1 is not one id") && !error.contains("9f5c"), "{error}");
    fs::write(&list, "# signed out\n9f5c\n").unwrap();
    assert_eq!(check(), Ok(()));
    assert!(Config::default().check_revoked_file().is_ok());
}
