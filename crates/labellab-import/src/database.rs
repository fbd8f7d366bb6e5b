//! Owns what the databases have in common: bounds of waiting, and the check that the tables are LabelLab's.

use std::{collections::BTreeSet, future::Future, time::Duration};

use huddle_transfer::SourceError;

/// How long a connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take. The longest is that with all users.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// The columns that are read, as LabelLab's models define them.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("message", &["id", "body", "team_id", "user_id", "entity_type", "entity_id", "timestamp"]),
    ("team", &["id", "team_name", "role", "project_id"]),
    ("projectmember", &["id", "user_id", "team_id"]),
    ("user", &["id", "username", "date"]),
];

/// The same of the table that may be missing.
const PROJECT: (&str, &[&str]) = ("project", &["id", "admin_id"]);

/// Waits for `answer`, at most for `bound`. `what` is what is being read.
pub(crate) async fn bounded<T>(
    what: &str,
    bound: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, SourceError> {
    let unreadable = |source| SourceError::Unreadable { what: what.to_owned(), source };
    match tokio::time::timeout(bound, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unreadable(error.into())),
        Err(_) => Err(unreadable(format!("no answer within {} s", bound.as_secs()).into())),
    }
}

/// What `decode` makes of `rows`, of which `what` is the place.
pub(crate) fn decoded<R, T>(
    what: &str,
    rows: &[R],
    decode: impl Fn(&R) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, SourceError> {
    let rows: Result<Vec<T>, _> = rows.iter().map(decode).collect();
    rows.map_err(|error| SourceError::Unreadable { what: what.to_owned(), source: error.into() })
}

/// Whether the columns of a database are LabelLab's. Says whether there is a table `project`.
pub(crate) fn check_columns(place: &str, columns: &[(String, String)]) -> Result<bool, SourceError> {
    let columns: BTreeSet<(String, String)> =
        columns.iter().map(|(table, column)| (table.to_ascii_lowercase(), column.to_ascii_lowercase())).collect();
    let missing = |table: &str, names: &[&str]| -> Vec<String> {
        let absent = names.iter().filter(|name| !columns.contains(&(table.to_owned(), (**name).to_owned())));
        absent.map(|name| format!("{table}.{name}")).collect()
    };
    let lacking: Vec<String> = COLUMNS.iter().flat_map(|(table, names)| missing(table, names)).collect();
    if lacking.is_empty() {
        return Ok(missing(PROJECT.0, PROJECT.1).is_empty());
    }
    Err(SourceError::Invalid {
        place: place.to_owned(),
        problem: format!(
            "these columns of LabelLab's are not there, or this user may not read them: {}",
            lacking.join(", ")
        ),
        remedy: "name LabelLab's own database, and a user who may read its tables".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(tables: &[(&str, &[&str])]) -> Vec<(String, String)> {
        let all = tables.iter().flat_map(|(table, names)| names.iter().map(move |name| (table, name)));
        all.map(|(table, name)| (table.to_uppercase(), (*name).to_owned())).collect()
    }

    #[test]
    fn labellabs_tables_are_known_by_their_columns() {
        let mut all = COLUMNS.to_vec();
        assert!(!check_columns("here", &columns(&all)).unwrap());
        all.push(PROJECT);
        assert!(check_columns("here", &columns(&all)).unwrap());
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = check_columns("here", &columns(&COLUMNS[1..])).unwrap_err().to_string();
        assert!(error.contains("message.id, message.body"), "{error}");
    }
}
