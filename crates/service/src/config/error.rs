//! What can be wrong with a configuration, and where a value came from.

use std::{fmt, io, path::PathBuf};

/// Where a configured value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag of the command line.
    Flag {
        /// As the user writes it, such as `--listen`.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

/// Why a configuration was not loaded. The texts name the place to mend and never show a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file could not be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}{}", near.as_ref().map(|key| format!(" (near `{key}`)")).unwrap_or_default())]
    Syntax {
        /// Where the parser stopped.
        place: Origin,
        /// The last key before that place.
        near: Option<String>,
        /// What the parser says.
        message: String,
    },
    /// A setting is unknown or has a wrong value.
    #[error("{place}: `{key}`: {message}")]
    Setting {
        /// Where the value came from.
        place: Origin,
        /// The setting, such as `log.url`.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// The settings do not fit together, and no single place is to blame.
    #[error("configuration: `{key}`: {message}")]
    Unplaced {
        /// The section or setting.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// A setting without a default is nowhere given.
    #[error("the setting `{key}` is missing: give it in the configuration file or as {variable}")]
    Missing {
        /// The setting.
        key: String,
        /// The environment variable that would set it.
        variable: String,
    },
    /// A variable's name or value is not Unicode.
    #[error("environment variable {variable}: its name and value must be Unicode")]
    NotUnicode {
        /// Its name, as far as it can be shown.
        variable: String,
    },
    /// A secret was given both directly and as a file.
    #[error("`{key}` is given twice: as `{key}` ({direct}) and as `{key}_file` ({file}); give one of them")]
    SecretTwice {
        /// The secret's setting.
        key: String,
        /// Where the secret itself is given.
        direct: Origin,
        /// Where the file is named.
        file: Origin,
    },
    /// A secret's file is of no use.
    #[error("{place}: `{key}`: cannot take the secret from the file {}: {problem}", path.display())]
    SecretFile {
        /// Where the file is named.
        place: Origin,
        /// The setting that names it, such as `auth.secret_file`.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: SecretFileProblem,
    },
}

/// What is wrong with a secret's file. The content is never shown.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileProblem {
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// Nothing is left after trimming white space.
    #[error("it is empty")]
    Empty,
    /// It is not a text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// It is too large to be a secret.
    #[error("it is larger than {bytes_max} bytes")]
    TooLarge {
        /// The largest size.
        bytes_max: u64,
    },
}
