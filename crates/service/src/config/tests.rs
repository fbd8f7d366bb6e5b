use std::{fs, path::PathBuf, time::Duration};

use serde::Deserialize;
use tempfile::TempDir;

use super::{ByteCount, ConfigError, Override, Secret, load};

const SECRETS: &[&str] = &["auth.secret", "store.url"];
const PATHS: &[&str] = &["auth.revoked_file"];

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    log: Log,
    auth: Auth,
    store: Store,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    url: String,
    partitions: u16,
    servers: Vec<String>,
    #[serde(with = "super::duration")]
    ping: Duration,
    bytes_max: ByteCount,
    replicated: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            partitions: 1,
            servers: Vec::new(),
            ping: Duration::from_secs(2),
            bytes_max: ByteCount::mebibytes(1),
            replicated: false,
        }
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Auth {
    secret: Option<Secret>,
    issuer: Option<String>,
    revoked_file: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Store {
    url: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Required {
    #[expect(dead_code, reason = "read by nobody: loading fails before")]
    log: RequiredLog,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequiredLog {
    #[expect(dead_code, reason = "read by nobody: loading fails before")]
    url: String,
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flag(key: &str, value: &str) -> Override {
    Override { flag: format!("--{}", key.replace('.', "-")), key: key.to_owned(), value: value.to_owned() }
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load(None, variables(pairs), &[], SECRETS, PATHS)
}

fn from_text(text: &str) -> Result<Config, ConfigError> {
    let files = Files::new();
    let file = files.write("huddle.toml", text);
    load(Some(&file), [], &[], SECRETS, PATHS)
}

/// The error's text with the temporary folder cut off.
fn refusal_of_text(text: &str) -> String {
    let error = from_text(text).unwrap_err().to_string();
    match error.split_once("/huddle.toml") {
        Some((_, rest)) => format!("huddle.toml{rest}"),
        None => error,
    }
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(from_environment(&[]).unwrap(), Config::default());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let files = Files::new();
    let file = files.write("huddle.toml", "[log]\nurl = \"file\"\npartitions = 2\nping = \"5s\"\nreplicated = true\n");
    let environment = variables(&[("HUDDLE_LOG__URL", "environment"), ("HUDDLE_LOG__PARTITIONS", "4")]);
    let config: Config =
        load(Some(&file), environment, &[flag("log.url", "first"), flag("log.url", "flag")], SECRETS, PATHS).unwrap();
    assert_eq!(config.log.url, "flag");
    assert_eq!(config.log.partitions, 4);
    assert_eq!(config.log.ping, Duration::from_secs(5));
    assert!(config.log.replicated);
}

#[test]
fn environment_values_take_the_type_of_their_setting() {
    let log = from_environment(&[
        ("HUDDLE_LOG__URL", "8080"),
        ("HUDDLE_LOG__PARTITIONS", "16"),
        ("HUDDLE_LOG__SERVERS", r#"["a:1", "b:2"]"#),
        ("HUDDLE_LOG__PING", "250ms"),
        ("HUDDLE_LOG__BYTES_MAX", "64KiB"),
        ("HUDDLE_LOG__REPLICATED", "true"),
        ("HUDDLE_AUTH__ISSUER", "2024-01-01"),
    ])
    .unwrap()
    .log;
    assert_eq!(log.url, "8080");
    assert_eq!(log.partitions, 16);
    assert_eq!(log.servers, ["a:1", "b:2"]);
    assert_eq!(log.ping, Duration::from_millis(250));
    assert_eq!(log.bytes_max, ByteCount::kibibytes(64));
    assert!(log.replicated);
}

#[test]
fn texts_that_look_like_toml_stay_texts_where_a_text_is_wanted() {
    for text in ["inf", "true", "0x10", "1.5", "a\nb = 1", "{a = 1}", "", "[not, toml", "nats://u:p@h/?x=\"y\""] {
        assert_eq!(from_environment(&[("HUDDLE_LOG__URL", text)]).unwrap().log.url, text);
    }
    assert_eq!(from_environment(&[("HUDDLE_LOG__URL", "\"quoted\"")]).unwrap().log.url, "quoted");
}

#[test]
fn other_variables_are_not_configuration() {
    let pairs = [
        ("HUDDLE_CONFIG", "x"),
        ("HUDDLE_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
        ("OTHER_LOG__URL", "x"),
    ];
    assert_eq!(from_environment(&pairs).unwrap(), Config::default());
}

#[test]
fn errors_in_the_file_name_line_column_and_key() {
    for (text, refusal) in [
        (
            "[log]\nurl = \"x\"\npartitions = \"many\"\n",
            "huddle.toml:3:1: `log.partitions`: invalid type: string \"many\", expected u16",
        ),
        (
            "[log]\n  partitions = 70000\n",
            "huddle.toml:2:3: `log.partitions`: invalid value: integer `70000`, expected u16",
        ),
        (
            "[log]\nservers = [\n  \"a\",\n  7,\n]\n",
            "huddle.toml:4:3: `log.servers.[1]`: invalid type: integer `7`, expected a string",
        ),
        (
            "[log]\nping = \"5 parsecs\"\n",
            "huddle.toml:2:1: `log.ping`: \"5 parsecs\" is not a duration: \
             write a whole number and a unit (ms, s, m, h, d), such as \"5s\"",
        ),
        (
            "[auth]\nissuer = \"x\"\nsecert = \"x\"\n",
            "huddle.toml:3:1: `auth.secert`: unknown field `secert`, expected one of `secret`, `issuer`, `revoked_file`",
        ),
        ("[logs]\n", "huddle.toml:1:2: `logs`: unknown field `logs`, expected one of `log`, `auth`, `store`"),
        ("log = 5\n", "huddle.toml:1:1: `log`: invalid type: integer `5`, expected struct Log"),
    ] {
        assert_eq!(refusal_of_text(text), refusal);
    }
}

#[test]
fn syntax_errors_name_line_column_and_the_last_key() {
    for (text, place, near) in [
        ("[log]\nurl = \"x\"\npartitions = \n", "huddle.toml:3:", "log.partitions"),
        ("[log]\nurl = \"x\n", "huddle.toml:2:", "log.url"),
        ("[log\nurl = \"x\"\n", "huddle.toml:1:", ""),
        ("[log]\nurl = \"x\"\nurl = \"y\"\n", "huddle.toml:3:", "log.url"),
        ("[log]\nurl = nats://x\n", "huddle.toml:2:", "log.url"),
    ] {
        let refusal = refusal_of_text(text);
        assert!(refusal.starts_with(place) && refusal.contains(near), "{text:?}: {refusal}");
    }
}

#[test]
fn a_wrong_value_outside_the_file_names_its_variable_or_flag() {
    let error = from_environment(&[("HUDDLE_LOG__PARTITIONS", "1.5")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "environment variable HUDDLE_LOG__PARTITIONS: `log.partitions`: invalid type: floating point `1.5`, expected u16"
    );
    let error = from_environment(&[("HUDDLE_LOG__PARTITION", "1")]).unwrap_err().to_string();
    assert!(error.starts_with("environment variable HUDDLE_LOG__PARTITION: `log.partition`: unknown field"), "{error}");
    let error = from_environment(&[("HUDDLE_GATWAY__LISTEN", "x")]).unwrap_err().to_string();
    assert!(error.starts_with("environment variable HUDDLE_GATWAY__LISTEN: `gatway`: unknown field"), "{error}");
    let error = from_environment(&[("HUDDLE_LOG__", "1")]).unwrap_err().to_string();
    assert!(error.contains("HUDDLE_LOG__") && error.contains("empty"), "{error}");

    let error = load::<Config>(None, [], &[flag("log.partitions", "many")], SECRETS, PATHS).unwrap_err().to_string();
    assert!(error.starts_with("flag --log-partitions: `log.partitions`: invalid type: string \"many\""), "{error}");
}

#[test]
fn a_value_where_a_section_belongs_is_refused() {
    let files = Files::new();
    let file = files.write("huddle.toml", "\nlog = 5\n");
    let error = load::<Config>(Some(&file), variables(&[("HUDDLE_LOG__URL", "x")]), &[], SECRETS, PATHS)
        .unwrap_err()
        .to_string();
    assert!(error.contains("huddle.toml:2:1: `log`: is a section") && error.contains("HUDDLE_LOG__URL"), "{error}");
}

#[test]
fn a_missing_setting_is_named_with_its_variable() {
    for (text, setting) in [("", "the setting `log` is missing"), ("[log]\n", "the setting `log.url` is missing")] {
        let files = Files::new();
        let file = files.write("huddle.toml", text);
        let error = load::<Required>(Some(&file), [], &[], &[], &[]).unwrap_err().to_string();
        assert!(error.starts_with(setting) && error.contains("HUDDLE_LOG__"), "{error}");
    }
}

#[test]
fn a_missing_or_oversized_file_is_named() {
    let files = Files::new();
    let missing = files.0.path().join("none.toml");
    let error = load::<Config>(Some(&missing), [], &[], SECRETS, PATHS).unwrap_err().to_string();
    assert!(error.contains("none.toml") && error.contains("No such file"), "{error}");

    let large = files.write("large.toml", "# filler\n".repeat(200_000));
    let error = load::<Config>(Some(&large), [], &[], SECRETS, PATHS).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}

#[test]
fn a_secret_may_come_from_a_file() {
    let files = Files::new();
    files.write("key", "  hunter2\n\n");
    let url = files.write("url", "postgres://u:p@h/d\n");
    // Relative to the configuration file, not to the working directory.
    let file = files.write("huddle.toml", "[auth]\nsecret_file = \"key\"\n");
    let environment = variables(&[("HUDDLE_STORE__URL_FILE", url.to_str().unwrap())]);
    let config: Config = load(Some(&file), environment, &[], SECRETS, PATHS).unwrap();
    assert_eq!(config.auth.secret.unwrap().expose(), "hunter2");
    assert_eq!(config.store.url.unwrap().expose(), "postgres://u:p@h/d");
}

#[test]
fn a_path_in_the_configuration_file_is_relative_to_it() {
    let files = Files::new();
    let folder = files.0.path();
    let path = |text: &str, pairs: &[(&str, &str)], overrides: &[Override]| {
        let file = files.write("huddle.toml", text);
        let config: Config = load(Some(&file), variables(pairs), overrides, SECRETS, PATHS).unwrap();
        config.auth.revoked_file
    };
    let in_file = "[auth]\nrevoked_file = \"lists/revoked.txt\"\n";
    assert_eq!(path("", &[], &[]), None);
    assert_eq!(path(in_file, &[], &[]), Some(folder.join("lists/revoked.txt")));
    assert_eq!(path("[auth]\nrevoked_file = \"/a/b\"\n", &[], &[]), Some(PathBuf::from("/a/b")));
    let variable = ("HUDDLE_AUTH__REVOKED_FILE", "2026");
    assert_eq!(path(in_file, &[variable], &[]), Some(PathBuf::from("2026")));
    assert_eq!(path(in_file, &[variable], &[flag("auth.revoked_file", "a/b")]), Some(PathBuf::from("a/b")));
}

#[test]
fn a_path_of_the_wrong_type_is_refused_where_it_stands() {
    assert!(refusal_of_text("[auth]\nrevoked_file = 5\n").starts_with("huddle.toml:2:1: `auth.revoked_file`: "));
}

#[test]
fn a_secret_from_the_environment_is_taken_as_it_is() {
    for secret in ["12345", "true", "\"quoted\"", "[1]"] {
        let config = from_environment(&[("HUDDLE_AUTH__SECRET", secret)]).unwrap();
        assert_eq!(config.auth.secret.unwrap().expose(), secret);
    }
}

#[test]
fn a_secret_given_twice_is_refused_without_showing_it() {
    let files = Files::new();
    files.write("key", "hunter2");
    let file = files.write("huddle.toml", "[auth]\nsecret_file = \"key\"\n");
    let error =
        load::<Config>(Some(&file), variables(&[("HUDDLE_AUTH__SECRET", "hunter3")]), &[], SECRETS, PATHS).unwrap_err();
    assert!(matches!(&error, ConfigError::SecretTwice { key, .. } if key == "auth.secret"), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("HUDDLE_AUTH__SECRET") && error.contains("huddle.toml:2:1") && !error.contains("hunter"),
        "{error}"
    );
}

#[test]
fn a_useless_secret_file_names_key_and_path_but_no_content() {
    let files = Files::new();
    for (name, content, problem) in [
        ("empty", b" \n".to_vec(), "it is empty"),
        ("binary", vec![b'h', b'u', b'n', 0xff], "not UTF-8"),
        ("large", vec![b'x'; 70_000], "larger than 65536 bytes"),
    ] {
        let path = files.write(name, content);
        let error = from_environment(&[("HUDDLE_AUTH__SECRET_FILE", path.to_str().unwrap())]).unwrap_err().to_string();
        assert!(error.contains("HUDDLE_AUTH__SECRET_FILE: `auth.secret_file`"), "{error}");
        assert!(error.contains(path.to_str().unwrap()) && error.contains(problem), "{error}");
    }
    let refusal = refusal_of_text("[auth]\nsecret_file = \"none\"\n");
    assert!(
        refusal.starts_with("huddle.toml:2:1: `auth.secret_file`") && refusal.contains("/none: No such file"),
        "{refusal}"
    );
    let refusal = refusal_of_text("[auth]\nsecret_file = 5\n");
    assert_eq!(refusal, "huddle.toml:2:1: `auth.secret_file`: a path in quotes is expected");
}

#[test]
fn no_error_shows_a_secret() {
    for text in [
        "[auth]\nsecret = 8675309\n",
        "[auth]\nsecret = [\"8675309\"]\n",
        "auth = \"8675309\"\n",
        "auth = [8675309]\n",
        "auth = [[\"8675309\"]]\n",
        "[auth.secret]\nx = \"8675309\"\n",
        "[auth]\nsecret = \"8675309\nissuer = 5\n",
        "[auth]\nsecret = 8675309x\n",
    ] {
        let refusal = refusal_of_text(text);
        assert!(!refusal.contains("8675309") && refusal.contains("auth"), "{refusal}");
    }
    let shown = format!("{:?}", from_text("[auth]\nsecret = \"8675309\"\n").unwrap());
    assert!(!shown.contains("8675309"), "{shown}");
}
