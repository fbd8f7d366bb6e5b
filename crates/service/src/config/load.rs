//! Puts the sources on top of each other and gives the result its type.

use std::{
    env,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{
    error::{ConfigError, Origin, SecretFileProblem},
    tree::{KeyPath, Tree},
};

/// What the names of configuring environment variables begin with.
const PREFIX: &str = "HUDDLE_";
/// Separates the levels in the name of an environment variable.
const LEVEL_SEPARATOR: &str = "__";
/// What a secret's setting has at its end when it names a file.
const FILE_SUFFIX: &str = "_file";
/// A larger file is not a secret.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A setting given on the command line.
#[derive(Debug, Clone)]
pub struct Override {
    /// The flag as the user writes it, for error texts.
    pub flag: String,
    /// The setting, such as `log.url`.
    pub key: String,
    /// Its value, read as one from the environment would be.
    pub value: String,
}

/// Returns the process's environment variables that could be configuration, for [`load`].
pub fn process_environment() -> Result<Vec<(String, String)>, ConfigError> {
    env::vars_os()
        .filter(|(name, _)| name.to_string_lossy().starts_with(PREFIX))
        .map(|(name, value)| match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            (Ok(name), Err(_)) => Err(ConfigError::NotUnicode { variable: name }),
            (Err(name), _) => Err(ConfigError::NotUnicode { variable: name.to_string_lossy().into_owned() }),
        })
        .collect()
}

/// Loads a configuration: `file`, then `environment` on top of it, then `overrides`, of which later ones win.
///
/// `secret_keys` names the settings (such as `auth.secret`) that may also be given as a file, by the same key with `_file`
/// at its end. A relative path is relative to the configuration file's folder when it stands in that file, else to the
/// working directory. Values of secret settings are always taken as plain text, and errors do not show them.
///
/// `path_keys` names the settings that are paths. They are plain text too, and relative to the same folders.
pub fn load<T: DeserializeOwned>(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[Override],
    secret_keys: &[&str],
    path_keys: &[&str],
) -> Result<T, ConfigError> {
    let key_paths = |keys: &[&str]| keys.iter().map(|key| split(key)).collect();
    let (secrets, paths): (Vec<KeyPath>, Vec<KeyPath>) = (key_paths(secret_keys), key_paths(path_keys));
    let texts: Vec<KeyPath> =
        secrets.iter().flat_map(|key| [key.clone(), file_key(key)]).chain(paths.clone()).collect();
    let mut tree = file.map_or_else(|| Ok(Tree::default()), Tree::from_file)?;
    for (variable, value) in environment {
        let Some(key) = key_of_variable(&variable) else { continue };
        set(&mut tree, key, value, Origin::Environment { variable }, &texts)?;
    }
    for Override { flag, key, value } in overrides {
        set(&mut tree, split(key), value.clone(), Origin::Flag { flag: flag.clone() }, &texts)?;
    }
    for key in &secrets {
        read_secret_file(&mut tree, key)?;
    }
    for key in paths {
        resolve_path(&mut tree, key)?;
    }
    typed(tree, &secrets)
}

fn split(key: &str) -> KeyPath {
    key.split('.').map(str::to_owned).collect()
}

/// `HUDDLE_LOG__URL` is `log.url`; a variable without two underscores is not a setting.
fn key_of_variable(variable: &str) -> Option<KeyPath> {
    let levels = variable.strip_prefix(PREFIX)?;
    levels.contains(LEVEL_SEPARATOR).then(|| levels.split(LEVEL_SEPARATOR).map(str::to_ascii_lowercase).collect())
}

/// The variable that sets `key`, or the form of those that set what is in it when `key` is a section.
fn variable_of_key(key: &[String]) -> String {
    let levels = key.join(LEVEL_SEPARATOR).to_ascii_uppercase();
    if key.len() > 1 { format!("{PREFIX}{levels}") } else { format!("{PREFIX}{levels}{LEVEL_SEPARATOR}...") }
}

fn file_key(secret: &[String]) -> KeyPath {
    let mut key = secret.to_vec();
    if let Some(last) = key.last_mut() {
        last.push_str(FILE_SUFFIX);
    }
    key
}

fn set(tree: &mut Tree, key: KeyPath, value: String, origin: Origin, texts: &[KeyPath]) -> Result<(), ConfigError> {
    if key.iter().any(String::is_empty) {
        let message = "a level of the name is empty".to_owned();
        return Err(ConfigError::Setting { place: origin, key: key.join("."), message });
    }
    let as_text = texts.contains(&key);
    tree.set(key, value, origin, as_text)
}

fn read_secret_file(tree: &mut Tree, secret: &KeyPath) -> Result<(), ConfigError> {
    let key = file_key(secret);
    let Some(origin) = tree.contains(&key).then(|| tree.origin(&key).cloned()).flatten() else { return Ok(()) };
    if tree.contains(secret)
        && let Some(direct) = tree.origin(secret).cloned()
    {
        return Err(ConfigError::SecretTwice { key: secret.join("."), direct, file: origin });
    }
    let Some(toml::Value::String(path)) = tree.remove(&key) else {
        let message = "a path in quotes is expected".to_owned();
        return Err(ConfigError::Setting { place: origin, key: key.join("."), message });
    };
    let path = resolved(PathBuf::from(path), &origin);
    match secret_in(&path) {
        Ok(content) => tree.put(secret.clone(), content, origin),
        Err(problem) => Err(ConfigError::SecretFile { place: origin, key: key.join("."), path, problem }),
    }
}

/// Makes the path at `key` one that holds from the working directory. What is not even a text is left for the type to refuse.
fn resolve_path(tree: &mut Tree, key: KeyPath) -> Result<(), ConfigError> {
    let Some(toml::Value::String(path)) = tree.get(&key) else { return Ok(()) };
    let Some(origin) = tree.origin(&key).cloned() else { return Ok(()) };
    match resolved(PathBuf::from(path), &origin).into_os_string().into_string() {
        Ok(path) => tree.put(key, path, origin),
        Err(_) => {
            let message = "the configuration file's folder must have a name in Unicode, or this path be absolute";
            Err(ConfigError::Setting { place: origin, key: key.join("."), message: message.to_owned() })
        }
    }
}

fn resolved(path: PathBuf, origin: &Origin) -> PathBuf {
    match origin {
        Origin::File { path: file, .. } => file.parent().map_or_else(|| path.clone(), |folder| folder.join(&path)),
        Origin::Environment { .. } | Origin::Flag { .. } => path,
    }
}

fn secret_in(path: &Path) -> Result<String, SecretFileProblem> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SECRET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(SecretFileProblem::TooLarge { bytes_max: SECRET_FILE_BYTES_MAX });
    }
    let text = str::from_utf8(&bytes).map_err(|_| SecretFileProblem::NotText)?.trim();
    if text.is_empty() { Err(SecretFileProblem::Empty) } else { Ok(text.to_owned()) }
}

/// Deserializes the tree. A number or boolean from the environment or a flag that does not fit is tried again as the text
/// that it was: `HUDDLE_DEMO__TEAM=42` may set a text. Each value gets that second chance once, so this ends.
fn typed<T: DeserializeOwned>(mut tree: Tree, secrets: &[KeyPath]) -> Result<T, ConfigError> {
    let mut retried: Option<(KeyPath, ConfigError)> = None;
    loop {
        let failure = match serde_path_to_error::deserialize(toml::Value::Table(tree.root.clone())) {
            Ok(config) => return Ok(config),
            Err(failure) => failure,
        };
        let key = key_path(failure.path());
        if let Some((first_key, first_error)) = retried.take()
            && first_key == key
        {
            return Err(first_error);
        }
        let error = explained(&tree, &key, failure.inner().message(), secrets);
        if !tree.take_as_text(&key) {
            return Err(error);
        }
        retried = Some((key, error));
    }
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { index } => Some(format!("[{index}]")),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn explained(tree: &Tree, key: &[String], message: &str, secrets: &[KeyPath]) -> ConfigError {
    // The wording is serde's own, the same for every format.
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let key = [key, &[field.to_owned()]].concat();
        return ConfigError::Missing { variable: variable_of_key(&key), key: key.join(".") };
    }
    let message = if secrets.iter().any(|secret| may_show(key, secret)) {
        "has a value of the wrong type (it is, or holds, a secret, and is not shown)".to_owned()
    } else {
        message.to_owned()
    };
    match tree.origin(key).cloned() {
        Some(place) => ConfigError::Setting { place, key: key.join("."), message },
        None => ConfigError::Unplaced { key: key.join("."), message },
    }
}

/// Whether the value at `key` is the secret, holds it, is part of it, or stands in its section without a name.
fn may_show(key: &[String], secret: &[String]) -> bool {
    let named = key.iter().position(|level| level.starts_with('[')).map_or(key, |element| &key[..element]);
    secret.starts_with(named) || named.starts_with(secret)
}
