//! A page of the teams that have events.

use huddle_domain::TeamId;
use huddle_store::{
    Page, StoreError,
    backend::{Unreadable, truncate},
};

use crate::PostgresStore;

/// Jumps from team to team in the key's index, so that the cost is that of the teams, not of their events.
const LIST_TEAMS: &str = "
    WITH RECURSIVE found (team_id, place) AS (
        SELECT min(events.team_id), 1 FROM events WHERE events.team_id > $1
        UNION ALL
        SELECT (SELECT min(events.team_id) FROM events WHERE events.team_id > found.team_id), found.place + 1
        FROM found
        WHERE found.team_id IS NOT NULL AND found.place < $2)
    SELECT team_id FROM found WHERE team_id IS NOT NULL ORDER BY team_id";

/// Returns up to `limit` teams after `after` that have events.
pub(crate) async fn list_teams(
    store: &PostgresStore,
    after: Option<&TeamId>,
    limit: u32,
) -> Result<Page<TeamId>, StoreError> {
    // No id is empty, so every id is above the empty text.
    let rows = sqlx::query_scalar::<_, String>(LIST_TEAMS)
        .bind(after.map_or("", TeamId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(&store.pool);
    let mut rows = store.connector.read("listing teams", rows).await?;
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
