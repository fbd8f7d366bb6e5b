//! Secrets: who can read the files that hold them, and whether they can be guessed. Never shows one.

use std::{
    collections::BTreeSet,
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    check::Outcome,
    finding::{Finding, Id},
};
use crate::config::{Config, ConfigArgs};

/// The settings that may be given as files.
const SECRETS: [&str; 3] = ["auth.secret", "auth.service_token", "store.url"];
/// A random text of 32 characters has more different ones, whatever alphabet it is from, hexadecimal digits included.
const DISTINCT_MIN: usize = 10;
/// Words that stand in examples, and in no random text.
const GIVEAWAYS: [&str; 8] = ["secret", "password", "changeme", "change-me", "example", "huddle", "token", "12345678"];
/// Other users' access, and the group's right to write. The group may read: that is how files come to a service that
/// runs as another user.
const OTHERS: u32 = 0o027;
/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o777;

/// The secrets of a configuration, and the files from which they come.
#[derive(Debug)]
pub(crate) struct Held {
    guessable: Vec<&'static str>,
    files: Vec<PathBuf>,
}

impl Held {
    pub(crate) fn new(config: &Config, args: &ConfigArgs) -> Self {
        let auth = &config.auth;
        let guessable = [("auth.secret", &auth.secret), ("auth.service_token", &auth.service_token)]
            .into_iter()
            .filter(|(_, secret)| secret.as_ref().is_some_and(|secret| is_guessable(secret.expose())))
            .map(|(setting, _)| setting)
            .collect();
        let mut files = secret_files(args);
        files.extend(file_with_secrets(args));
        Self { guessable, files }
    }

    /// What is wrong with them.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let guessable = self.guessable.iter().map(|setting| guessable(&format!("`{setting}`")));
        guessable.chain(self.files.iter().filter_map(|path| readable_by_others(path))).collect()
    }

    /// What to say when nothing is.
    pub(crate) fn fine(&self) -> String {
        match self.files.len() {
            0 => "not easily guessed".to_owned(),
            1 => "not easily guessed, and the file that holds them is closed to other users".to_owned(),
            count => format!("not easily guessed, and the {count} files that hold them are closed to other users"),
        }
    }

    pub(crate) fn check(&self) -> Outcome {
        Outcome::found_or(self.findings(), Id::Secrets, self.fine())
    }
}

pub(crate) fn guessable(what: &str) -> Finding {
    let remedy = "make another one with `openssl rand -base64 48`; tokens signed with the old one end with it";
    Finding::warning(Id::SecretGuessable, "it looks like words, or like a pattern", remedy).about(what)
}

/// Whether a random text would hardly look like this.
pub(crate) fn is_guessable(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let distinct: BTreeSet<char> = secret.chars().collect();
    distinct.len() < DISTINCT_MIN || secret.contains(' ') || GIVEAWAYS.iter().any(|word| lower.contains(word))
}

/// The files that settings name, whichever source the settings come from.
fn secret_files(args: &ConfigArgs) -> Vec<PathBuf> {
    let table = args.file().and_then(table);
    let overrides = args.overrides();
    let named = SECRETS.iter().filter_map(|secret| {
        let key = format!("{secret}_file");
        if let Some(flag) = overrides.iter().rev().find(|setting| setting.key == key) {
            return Some(PathBuf::from(&flag.value));
        }
        let variable = format!("HUDDLE_{}", key.replace('.', "__").to_ascii_uppercase());
        if let Some(path) = env::var_os(variable) {
            return Some(PathBuf::from(path));
        }
        let path = text_at(table.as_ref()?, &key)?;
        // As the configuration reads it: relative to its own file.
        Some(args.file()?.parent().map_or_else(|| PathBuf::from(&path), |folder| folder.join(&path)))
    });
    named.collect()
}

/// The configuration file, when a secret stands in it.
fn file_with_secrets(args: &ConfigArgs) -> Option<PathBuf> {
    let file = args.file()?;
    let table = table(file)?;
    let holds_secret = SECRETS.iter().any(|secret| {
        let text = text_at(&table, secret);
        // A URL without a password is none.
        text.is_some_and(|text| *secret != "store.url" || has_password(&text))
    });
    holds_secret.then(|| file.to_owned())
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn table(file: &Path) -> Option<toml::Table> {
    fs::read_to_string(file).ok()?.parse().ok()
}

fn text_at(table: &toml::Table, key: &str) -> Option<String> {
    let (section, name) = key.split_once('.')?;
    table.get(section)?.get(name)?.as_str().map(str::to_owned)
}

fn readable_by_others(path: &Path) -> Option<Finding> {
    // A file that cannot be looked at has been read all the same, or the configuration would be wrong.
    let mode = mode(path).ok()?;
    (mode & OTHERS != 0).then(|| {
        let found = format!("other users of this machine have access to it (mode {mode:03o})");
        let path = path.display().to_string();
        let remedy = format!("`chmod 600 {path}`; if others may have read it, replace the secret");
        Finding::warning(Id::SecretReadable, found, remedy).about(path)
    })
}

/// The permissions of `path`.
pub(crate) fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.mode() & PERMISSIONS)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn words_and_patterns_are_told_from_random_texts() {
        for guessable in [
            "correct horse battery staple and so on",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "my-Secret-9sx0VbGq2LkTzRwYpNcUeHj1",
            "abababababababababababababababab",
        ] {
            assert!(is_guessable(guessable), "{guessable}");
        }
        for random in
            ["q0mXJ5p2F3w8yZrT1uVnKsLb7cDgHa9e", "6f1c0d8e5b7a92346f1c0d8e5b7a9234", "kX+/9s2LwPqTzRvYbNcUeHj1mG4="]
        {
            assert!(!is_guessable(random), "{random}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_named_and_its_content_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hunter2").unwrap();
        for (mode, is_found) in [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o620, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let finding = readable_by_others(file.path());
            assert_eq!(finding.is_some(), is_found, "{mode:o}");
            assert!(!format!("{finding:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_url_has_a_password_or_not() {
        assert!(has_password("postgres://u:p@h:1/d") && has_password("u:p@h"));
        assert!(!has_password("postgres://u@h:1/d") && !has_password("postgres://h:1/d"));
    }
}
