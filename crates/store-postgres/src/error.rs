//! Owns what a failure of Postgres means to the callers of the store, and that its text gives nothing away.

use std::time::Duration;

use huddle_store::StoreError;

/// Postgres's own report, without its details: those may quote rows, and rows hold messages.
#[derive(Debug, thiserror::Error)]
#[error("SQLSTATE {code}: {message}{constraint}")]
struct Report {
    code: String,
    message: String,
    constraint: String,
}

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct TimedOut(pub(crate) Duration);

pub(crate) fn unavailable(
    context: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Unavailable { context, source: source.into() }
}

pub(crate) fn broken(context: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Broken { context: context.to_owned(), source: source.into() }
}

pub(crate) fn schema_is_missing() -> StoreError {
    StoreError::Unsuitable {
        problem: "the database does not have the tables of this version".to_owned(),
        remedy: "run `huddle migrate`".to_owned(),
    }
}

/// What `error` means, in `context`: the name of the operation.
pub(crate) fn store_error(context: &'static str, error: sqlx::Error) -> StoreError {
    let Some(code) = sql_state(&error) else {
        return match error {
            sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => StoreError::Unsuitable {
                problem: format!("no connection can be made: {error}"),
                remedy: "correct the store's URL".to_owned(),
            },
            // A protocol error is what a connection that ends in the middle of an answer looks like.
            sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => unavailable(context, error),
            error => broken(context, error),
        };
    };
    let report = report(&code, &error);
    // Protocol violation, undefined object: what poolers and old servers say to the settings of a session.
    if ["08P01", "42704"].contains(&code.as_str()) {
        return StoreError::Unsuitable {
            problem: format!("the server refuses what Huddle needs: {}", report.message),
            remedy: "use Postgres 14 or newer, and no pooler in between".to_owned(),
        };
    }
    if is_passing(&code) {
        return unavailable(context, report);
    }
    match code.as_str() {
        // Undefined table, column, function.
        "42P01" | "42703" | "42883" => schema_is_missing(),
        "3D000" => StoreError::Unsuitable {
            problem: "the database does not exist".to_owned(),
            remedy: "create it (`createdb`), then run `huddle migrate`".to_owned(),
        },
        "42501" => StoreError::Unsuitable {
            problem: format!("the database user lacks a privilege: {}", report.message),
            remedy: "grant it, or use the user that ran `huddle migrate`".to_owned(),
        },
        code if code.starts_with("28") => StoreError::Unsuitable {
            problem: "Postgres refuses the user or the password".to_owned(),
            remedy: "correct the store's URL".to_owned(),
        },
        _ => broken(context, report),
    }
}

/// Whether Postgres refuses the content of a row: no retry helps, and no other row is to blame.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    // Data exceptions, violated constraints, exceeded limits of a row or an index.
    sql_state(error).is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}

/// The refusal in words that hold nothing of the row.
pub(crate) fn refusal(error: &sqlx::Error) -> String {
    sql_state(error).map_or_else(|| "refused".to_owned(), |code| report(&code, error).to_string())
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Into::into)
}

fn report(code: &str, error: &sqlx::Error) -> Report {
    let database = error.as_database_error();
    let constraint = database.and_then(|error| error.constraint());
    Report {
        code: code.to_owned(),
        message: database.map(|error| error.message().to_owned()).unwrap_or_default(),
        constraint: constraint.map(|name| format!(" ({name})")).unwrap_or_default(),
    }
}

/// Whether the state passes by itself, or with an operator's help that needs nothing of this process.
fn is_passing(code: &str) -> bool {
    // Connection, serialisation and deadlock, resources (full disk, too many connections), locks, intervention
    // (shutdown, cancelled, terminated), and the system's own errors.
    let classes = ["08", "40", "53", "55", "57", "58"];
    // Read-only (a standby, a failover under way), and sessions or transactions that stood idle for too long.
    let codes = ["25006", "25P03", "25P04"];
    classes.iter().any(|class| code.starts_with(class)) || codes.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passing_states_are_told_from_refusals() {
        for code in ["08006", "40P01", "53100", "53300", "55P03", "57014", "57P01", "57P03", "58030", "25006"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["22021", "23505", "23514", "42P01", "25P02", "XX001"] {
            assert!(!is_passing(code), "{code}");
        }
    }

    #[test]
    fn an_unreachable_server_is_unavailable_and_a_bad_row_is_broken() {
        let io = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(store_error("reading", io).is_retryable());
        assert!(store_error("reading", sqlx::Error::PoolTimedOut).is_retryable());
        assert!(!store_error("reading", sqlx::Error::RowNotFound).is_retryable());
    }
}
