//! Owns the ways to say where LabelLab's data is.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use huddle_transfer::SourceError;

/// Why LabelLab's data cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What was given names no place to read from.
    #[error("{problem}; {remedy}")]
    Place {
        /// What is wrong with it; does not repeat it, for it may hold a password.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// The place cannot be read, or holds something else.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// Where the data is.
#[derive(PartialEq, Eq)]
pub(crate) enum Place {
    /// With the scheme `mysql`.
    MySql(String),
    /// With the scheme `postgres`.
    Postgres(String),
    Directory(PathBuf),
}

/// Shows the kind only: a URL holds a password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MySql(_) => "MySql",
            Self::Postgres(_) => "Postgres",
            Self::Directory(_) => "Directory",
        })
    }
}

impl Place {
    pub(crate) fn parse(place: &str) -> Result<Self, OpenError> {
        let Some((scheme, rest)) = place.split_once("://") else { return directory_of(place) };
        // SQLAlchemy names its driver after a plus sign.
        let name = scheme.split('+').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "mysql" | "mariadb" => Ok(Self::MySql(format!("mysql://{rest}"))),
            "postgres" | "postgresql" => Ok(Self::Postgres(format!("postgres://{rest}"))),
            "file" => directory_of(rest),
            _ => Err(OpenError::Place {
                problem: "LabelLab's data is read from MySQL, Postgres or a directory only".to_owned(),
                remedy:
                    "give a URL that begins with mysql:// or postgres://, or the path of a directory with CSV files"
                        .to_owned(),
            }),
        }
    }
}

fn directory_of(path: &str) -> Result<Place, OpenError> {
    if Path::new(path).is_dir() {
        return Ok(Place::Directory(PathBuf::from(path)));
    }
    Err(OpenError::Place {
        problem: "there is no such directory".to_owned(),
        remedy: "give the path of a directory with CSV files, or a URL that begins with mysql:// or postgres://"
            .to_owned(),
    })
}

/// The error for a URL that its driver refuses. The driver's own words may repeat a part of the URL.
pub(crate) fn not_a_url(example: &str) -> OpenError {
    OpenError::Place {
        problem: "this is not a valid URL of a database".to_owned(),
        remedy: format!("write it as {example}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_as_sqlalchemy_writes_them() {
        let mysql = || Place::MySql("mysql://u:p@h/labellab".to_owned());
        for url in ["mysql://u:p@h/labellab", "mysql+pymysql://u:p@h/labellab", "MariaDB+x://u:p@h/labellab"] {
            assert!(Place::parse(url).unwrap() == mysql(), "{url}");
        }
        let postgres = || Place::Postgres("postgres://h/labellab".to_owned());
        for url in ["postgres://h/labellab", "postgresql+psycopg2://h/labellab"] {
            assert!(Place::parse(url).unwrap() == postgres(), "{url}");
        }
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        for place in ["oracle://u:hunter2@h", "/no/such/hunter2", "hunter2"] {
            let error = Place::parse(place).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{place}");
        }
    }
}
