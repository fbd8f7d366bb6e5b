//! The default file and the types say the same.

use std::fs;

use huddle_service::config::{self, Override};
use toml::Table;

use super::*;

/// Settings that have no default: they stand in the file as comments.
const WITHOUT_DEFAULT: [&str; 4] = ["auth.secret", "auth.service_token", "auth.issuer", "auth.audience"];

fn parsed(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Everything of a configuration that can be compared; secrets are not shown, so they go beside it.
fn comparable(config: &Config) -> (Table, [Option<String>; 3]) {
    let secret = |secret: &huddle_service::config::Secret| secret.expose().to_owned();
    let AuthConfig { secret: user, service_token, .. } = &config.auth;
    let secrets = [Some(secret(&config.store.url)), user.as_ref().map(secret), service_token.as_ref().map(secret)];
    (Table::try_from(config).unwrap(), secrets)
}

/// `section.key` of every setting in `table`.
fn keys(table: &Table) -> Vec<String> {
    let section = |(section, value): (&String, &toml::Value)| {
        let keys: Vec<_> = value.as_table().unwrap().keys().map(|key| format!("{section}.{key}")).collect();
        keys
    };
    table.iter().flat_map(section).collect()
}

#[test]
fn the_default_file_says_what_the_types_do() {
    assert_eq!(comparable(&parsed(DEFAULT_TOML)), comparable(&Config::default()));
}

#[test]
fn every_line_of_the_default_file_can_be_left_out() {
    let lines: Vec<&str> = DEFAULT_TOML.lines().collect();
    let default = comparable(&Config::default());
    for (index, line) in lines.iter().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') {
            let without = [&lines[..index], &lines[index + 1..]].concat().join("\n");
            assert_eq!(comparable(&parsed(&without)), default, "{line}");
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
    let mut expected = keys(&comparable(&Config::default()).0);
    expected.extend(WITHOUT_DEFAULT.map(str::to_owned));
    expected.sort();
    let mut named = keys(&toml::from_str(&uncommented).unwrap());
    named.sort();
    assert_eq!(named, expected);
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
    let config: Config = config::load(Some(&file), Vec::new(), &[], &SECRETS).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(config.auth.secret.unwrap().expose(), "a secret of more than thirty-two bytes");
}

#[test]
fn a_value_out_of_bounds_names_its_section_and_key() {
    let check = |key: &str, value: &str| {
        let setting = |key: &str, value: &str| Override { flag: "--set".into(), key: key.into(), value: value.into() };
        let secret = setting("auth.secret", "a secret of more than thirty-two bytes");
        let config: Config = config::load(None, Vec::new(), &[secret, setting(key, value)], &SECRETS).unwrap();
        config.check().map_err(|error| format!("{error:#}"))
    };
    assert_eq!(check("log.replicas", "3"), Ok(()));
    let error = check("log.replicas", "2").unwrap_err();
    assert!(error.contains("section `log`") && error.contains("`replicas`"), "{error}");
    let error = check("auth.service_token", "short").unwrap_err();
    assert!(error.contains("`auth.service_token`") && !error.contains("short "), "{error}");
    assert!(check("store.max_connections", "0").unwrap_err().contains("store.max_connections"));
}
