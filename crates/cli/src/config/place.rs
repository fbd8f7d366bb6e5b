//! Where in a configuration file a setting stands.

use std::{fs, path::Path};

use toml::de::DeTable;

/// `file:line:column` of the setting `key` (`section.name`); `None` when the file does not hold it.
pub(super) fn of(file: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let table = DeTable::parse(&text).ok()?;
    let (section, name) = key.split_once('.')?;
    let (_, section) = table.get_ref().iter().find(|(key, _)| key.get_ref() == section)?;
    let setting = section.get_ref().as_table()?.keys().find(|key| key.get_ref() == name)?;
    let offset = setting.span().start;
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
    Some(format!("{}:{line}:{column}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_by_line_and_column() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "[auth]\n\n[log]\npartitions = 1\n  replicas = 2\n").unwrap();
        let place = |key| of(file.path(), key);
        assert!(place("log.replicas").unwrap().ends_with(":5:3"));
        assert_eq!(place("auth.secret"), None);
        assert_eq!(place("store.url"), None);
    }
}
