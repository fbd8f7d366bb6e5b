//! A page of the teams that have stored events.

use huddle_domain::TeamId;
use huddle_store::{
    Page, StoreError,
    backend::{Unreadable, truncate},
};
use sqlx::SqlitePool;

use super::error::store_error;

/// Jumps from team to team in the key's index, so that the cost is that of the teams, not of their events.
pub(super) const LIST_TEAMS: &str = "
    WITH RECURSIVE found (team_id, place) AS (
        SELECT ?1, 0
        UNION ALL
        SELECT (SELECT events.team_id
                FROM events
                WHERE events.team_id > found.team_id
                  AND seq <= (SELECT stored.seq FROM log_progress AS stored WHERE stored.partition = events.partition)
                ORDER BY events.team_id
                LIMIT 1),
               found.place + 1
        FROM found
        WHERE found.team_id IS NOT NULL AND found.place < ?2)
    SELECT team_id FROM found WHERE team_id IS NOT NULL AND place > 0";

/// Returns up to `limit` teams after `after` that have events.
pub(crate) async fn list_teams(
    pool: &SqlitePool,
    after: Option<&TeamId>,
    limit: u32,
) -> Result<Page<TeamId>, StoreError> {
    // No id is empty, so every id is above the empty text.
    let mut rows = sqlx::query_scalar::<_, String>(LIST_TEAMS)
        .bind(after.map_or("", TeamId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("listing teams", error))?;
    rows.sort_unstable();
    let has_more = truncate(&mut rows, limit);
    let parse = |row: String| {
        TeamId::parse(&row).map_err(|error| Unreadable {
            table: "events",
            row,
            column: "team_id",
            reason: error.to_string(),
        })
    };
    Ok(Page { items: rows.into_iter().map(parse).collect::<Result<_, _>>()?, has_more })
}
