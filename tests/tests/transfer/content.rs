//! All that an instance holds, read past Huddle.

use std::collections::BTreeMap;

use anyhow::Result;
use huddle_tests::{Access, StoredEvent};
use serde::Deserialize;
use serde_json::Value;

/// Every column that means something, of every team.
const EVENTS: &str = "
    SELECT team_id AS team, seq, time_ms, sender_id AS sender, client_id, kind, body, member_id, member_role, name
    FROM events";

/// What the events mean.
const DIRECTORY: [&str; 3] = [
    "SELECT team_id, name, created_seq, created_time_ms FROM teams",
    "SELECT team_id, user_id, role, since_seq FROM members",
    "SELECT user_id, name, named_time_ms FROM users",
];

/// An event as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    team: String,
    pub(crate) seq: u64,
    time_ms: i64,
    sender: String,
    pub(crate) client_id: String,
    kind: String,
    pub(crate) body: Option<String>,
    member_id: Option<String>,
    member_role: Option<String>,
    name: Option<String>,
}

impl Row {
    pub(crate) fn is_message(&self) -> bool {
        self.kind == "posted"
    }
}

/// The content of an instance in which everything is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Events by team, each in order.
    pub(crate) events: BTreeMap<String, Vec<Row>>,
    /// Rows of teams, members and users, in an order of their own.
    pub(crate) directory: Vec<String>,
}

impl Content {
    pub(crate) async fn of(access: &Access) -> Result<Self> {
        let mut events: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in access.rows::<Row>(EVENTS).await? {
            events.entry(row.team.clone()).or_default().push(row);
        }
        for events in events.values_mut() {
            events.sort_unstable_by_key(|event| event.seq);
        }
        let mut directory = Vec::new();
        for query in DIRECTORY {
            directory.extend(access.rows::<Value>(query).await?.iter().map(ToString::to_string));
        }
        directory.sort_unstable();
        Ok(Self { events, directory })
    }

    pub(crate) fn teams(&self) -> usize {
        self.events.len()
    }
}

impl From<&Row> for StoredEvent {
    fn from(row: &Row) -> Self {
        let Row { seq, sender, client_id, kind, body, .. } = row.clone();
        Self { seq, sender, client_id, kind, body }
    }
}
