//! The settings before they have types: values from all sources, each with the place that it came from.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::Deserialize;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

use super::error::{ConfigError, Origin};

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The names from the root to a setting; elements of arrays appear as `[0]`.
pub(super) type KeyPath = Vec<String>;

/// Untyped settings.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) root: toml::Table,
    origins: HashMap<KeyPath, Origin>,
    // The text of each value that did not come from the file, by setting.
    texts: HashMap<KeyPath, String>,
}

impl Tree {
    /// Reads and parses the configuration file.
    pub(super) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let syntax_error = |error: &toml::de::Error, near: &DeTable<'_>| {
            let offset = error.span().map_or(0, |span| span.start);
            ConfigError::Syntax {
                place: place(path, &text, offset),
                near: last_key_before(near, offset).map(|key| key.join(".")),
                message: error.message().to_owned(),
            }
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        if let Some(error) = errors.first() {
            return Err(syntax_error(error, table.get_ref()));
        }
        let mut origins = HashMap::new();
        each_key(table.get_ref(), &mut Vec::new(), &mut |key, offset| {
            origins.insert(key.clone(), place(path, &text, offset));
        });
        let root = toml::Table::deserialize(toml::de::Deserializer::from(table.clone()))
            .map_err(|error| syntax_error(&error, table.get_ref()))?;
        Ok(Self { root, origins, texts: HashMap::new() })
    }

    /// Sets one value from its text, over what earlier sources gave. `as_text` takes it as it is; otherwise TOML numbers,
    /// booleans, quoted strings and arrays are taken as such.
    pub(super) fn set(&mut self, key: KeyPath, text: String, origin: Origin, as_text: bool) -> Result<(), ConfigError> {
        let value = Some(&text).filter(|_| !as_text).and_then(|text| scalar_or_array(text));
        let value = value.unwrap_or_else(|| toml::Value::String(text.clone()));
        self.insert(&key, value, &origin)?;
        self.texts.insert(key.clone(), text);
        self.origins.insert(key, origin);
        Ok(())
    }

    /// Puts a text in the place of a setting that was found out from what was given at `origin`.
    pub(super) fn put(&mut self, key: KeyPath, text: String, origin: Origin) -> Result<(), ConfigError> {
        self.insert(&key, toml::Value::String(text), &origin)?;
        self.origins.insert(key, origin);
        Ok(())
    }

    /// Takes the value out, if there is one.
    pub(super) fn remove(&mut self, key: &[String]) -> Option<toml::Value> {
        let (last, sections) = key.split_last()?;
        let mut table = &mut self.root;
        for section in sections {
            table = table.get_mut(section)?.as_table_mut()?;
        }
        table.remove(last)
    }

    /// Whether the setting is given.
    pub(super) fn contains(&self, key: &[String]) -> bool {
        self.get(key).is_some()
    }

    /// The setting's value, if it is given.
    pub(super) fn get(&self, key: &[String]) -> Option<&toml::Value> {
        let (last, sections) = key.split_last()?;
        let mut table = &self.root;
        for section in sections {
            table = table.get(section)?.as_table()?;
        }
        table.get(last)
    }

    /// Where the setting was given, or the innermost section around it, or the first setting within it.
    pub(super) fn origin(&self, key: &[String]) -> Option<&Origin> {
        let around = (1..=key.len()).rev().find_map(|length| self.origins.get(&key[..length]));
        around.or_else(|| {
            let within = self.origins.iter().filter(|(setting, _)| !key.is_empty() && setting.starts_with(key));
            within.min_by_key(|(setting, _)| *setting).map(|(_, origin)| origin)
        })
    }

    /// Replaces a value that was taken as a TOML value by its text. Returns whether there was one to replace.
    pub(super) fn take_as_text(&mut self, key: &[String]) -> bool {
        let Some(length) = (1..=key.len()).rev().find(|length| self.texts.contains_key(&key[..*length])) else {
            return false;
        };
        let key = &key[..length];
        let Some(text) = self.texts.remove(key) else { return false };
        match self.remove(key) {
            Some(toml::Value::String(_)) | None => false,
            Some(_) => match self.origins.get(key).cloned() {
                Some(origin) => self.insert(key, toml::Value::String(text), &origin).is_ok(),
                None => false,
            },
        }
    }

    fn insert(&mut self, key: &[String], value: toml::Value, origin: &Origin) -> Result<(), ConfigError> {
        let Some((last, sections)) = key.split_last() else { return Ok(()) };
        let mut table = &mut self.root;
        for (depth, section) in sections.iter().enumerate() {
            let inner = table.entry(section.clone()).or_insert_with(|| toml::Table::new().into());
            let Some(inner) = inner.as_table_mut() else {
                let place = self.origins.get(&key[..=depth]).unwrap_or(origin).clone();
                let message = format!("is a section, not a value: {origin} sets `{}`", key.join("."));
                return Err(ConfigError::Setting { place, key: key[..=depth].join("."), message });
            };
            table = inner;
        }
        table.insert(last.clone(), value);
        Ok(())
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn scalar_or_array(text: &str) -> Option<toml::Value> {
    let value = toml::Value::deserialize(ValueDeserializer::parse(text).ok()?).ok()?;
    (!value.is_table()).then_some(value)
}

fn place(path: &Path, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin::File {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

fn last_key_before(table: &DeTable<'_>, offset: usize) -> Option<KeyPath> {
    let mut last: Option<(usize, KeyPath)> = None;
    each_key(table, &mut Vec::new(), &mut |key, start| {
        if start <= offset && last.as_ref().is_none_or(|(furthest, _)| start >= *furthest) {
            last = Some((start, key.clone()));
        }
    });
    last.map(|(_, key)| key)
}

/// Calls `found` with each key and array element below `table` and the offset in bytes at which it begins.
fn each_key(table: &DeTable<'_>, prefix: &mut KeyPath, found: &mut impl FnMut(&KeyPath, usize)) {
    for (key, value) in table {
        prefix.push(key.get_ref().to_string());
        found(prefix, key.span().start);
        each_key_in_value(value.get_ref(), prefix, found);
        prefix.pop();
    }
}

fn each_key_in_value(value: &DeValue<'_>, prefix: &mut KeyPath, found: &mut impl FnMut(&KeyPath, usize)) {
    match value {
        DeValue::Table(table) => each_key(table, prefix, found),
        DeValue::Array(array) => each_element(array, prefix, found),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn each_element(array: &DeArray<'_>, prefix: &mut KeyPath, found: &mut impl FnMut(&KeyPath, usize)) {
    for (index, element) in array.iter().enumerate() {
        prefix.push(format!("[{index}]"));
        found(prefix, element.span().start);
        each_key_in_value(element.get_ref(), prefix, found);
        prefix.pop();
    }
}
