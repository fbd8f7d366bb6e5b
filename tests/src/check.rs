//! Owns what is checked about the events that a connection received.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::clients::{ConnectionPlan, Content, EventSeen, Record};

/// An event as Postgres holds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredEvent {
    /// Its position.
    pub seq: u64,
    /// Who caused it.
    pub sender: String,
    /// The sender's id for it.
    pub client_id: String,
    /// Its kind, as the store names it.
    pub kind: String,
    /// The text of a message.
    pub body: Option<String>,
}

/// Asserts that the connection received exactly the events of `team` after the position `after`, each once, in the
/// order of `stored`, which holds all events of the team.
///
/// # Panics
/// When it did not; the message shows the first difference.
pub fn assert_whole(record: &Record, team: &str, after: u64, stored: &[StoredEvent]) {
    let name = &record.connection;
    let received: Vec<&EventSeen> = record.events(team).collect();
    let expected: Vec<&StoredEvent> = stored.iter().filter(|event| event.seq > after).collect();
    for (index, (event, stored)) in received.iter().zip(&expected).enumerate() {
        let summary = || summary(&received, &expected);
        assert_eq!(event.seq, stored.seq, "{name}: event {index} of {team} after {after}{}", summary());
        let same = event.sender == stored.sender && event.client_id == stored.client_id && event.body == stored.body;
        assert!(same, "{name}: {team} {}: received {event:?}, stored is {stored:?}", stored.seq);
    }
    let summary = summary(&received, &expected);
    assert_eq!(received.len(), expected.len(), "{name}: events of {team} after {after}{summary}");
}

/// Asserts that each event of `team` that the connection received names the one before it. For a log that nothing was
/// lost of: there an event may not know.
///
/// # Panics
/// When one does not.
pub fn assert_chained(record: &Record, team: &str, stored: &[StoredEvent]) {
    let before: HashMap<u64, u64> = stored.windows(2).map(|pair| (pair[1].seq, pair[0].seq)).collect();
    for event in record.events(team) {
        let before = before.get(&event.seq).copied().unwrap_or_default();
        assert_eq!(event.prev_seq, before, "{}: prev_seq of {team} {}", record.connection, event.seq);
    }
}

fn summary(received: &[&EventSeen], expected: &[&StoredEvent]) -> String {
    let mut times: BTreeMap<u64, usize> = expected.iter().map(|event| (event.seq, 0)).collect();
    let mut unknown = 0;
    for event in received {
        match times.get_mut(&event.seq) {
            Some(times) => *times += 1,
            None => unknown += 1,
        }
    }
    let missing = times.values().filter(|times| **times == 0).count();
    let repeated = times.values().filter(|times| **times > 1).count();
    format!(" (missing {missing}, repeated {repeated}, not stored {unknown})")
}

/// Asserts that each send of the plan got both receipts: the first with the position at which the message is stored,
/// the second for at least that position. `stored` holds all events of each team.
///
/// # Panics
/// When one did not.
pub fn assert_receipts(
    record: &Record,
    plan: &ConnectionPlan,
    user: &str,
    stored: &BTreeMap<String, Vec<StoredEvent>>,
) {
    let name = &record.connection;
    let mut accepted: HashMap<(&str, &str), u64> = HashMap::new();
    let mut watermarks: HashMap<&str, u64> = HashMap::new();
    for entry in &record.entries {
        match &entry.content {
            Content::Accepted(receipt) => {
                let key = (receipt.team.as_str(), receipt.client_id.as_str());
                let first = *accepted.entry(key).or_insert(receipt.seq);
                assert_eq!(first, receipt.seq, "{name}: two positions of {key:?}");
            }
            Content::Stored { team, seq } => {
                let watermark = watermarks.entry(team).or_default();
                *watermark = (*seq).max(*watermark);
            }
            _ => {}
        }
    }
    for send in &plan.sends {
        let key = (send.team.as_str(), send.client_id.as_str());
        let seq = *accepted.get(&key).unwrap_or_else(|| panic!("{name}: no first receipt of {key:?}"));
        let events = &stored[&send.team];
        let place = events.binary_search_by_key(&seq, |event| event.seq);
        let event =
            &events[place.unwrap_or_else(|_| panic!("{name}: nothing is stored at {seq}, accepted for {key:?}"))];
        assert_eq!(
            (event.sender.as_str(), event.client_id.as_str()),
            (user, send.client_id.as_str()),
            "{name}: at {seq}"
        );
        assert_eq!(event.body.as_deref(), Some(send.body.as_str()), "{name}: at {seq}");
        let watermark = watermarks.get(send.team.as_str()).copied().unwrap_or_default();
        assert!(watermark >= seq, "{name}: no second receipt of {key:?} at {seq}, only up to {watermark}");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::clients::Entry;

    fn record(events: &[(u64, u64)]) -> Record {
        let event = |(seq, prev_seq): &(u64, u64)| EventSeen {
            team: "team".to_owned(),
            seq: *seq,
            prev_seq: *prev_seq,
            sender: "user".to_owned(),
            client_id: seq.to_string(),
            body: Some(String::new()),
        };
        let entry = |place| Entry { attempt: 0, at: None, content: Content::Event(event(place)) };
        Record { connection: "test".to_owned(), entries: events.iter().map(entry).collect() }
    }

    fn stored() -> Vec<StoredEvent> {
        let event = |seq: u64| StoredEvent {
            seq,
            sender: "user".to_owned(),
            client_id: seq.to_string(),
            kind: "posted".to_owned(),
            body: Some(String::new()),
        };
        [3, 5, 8].map(event).to_vec()
    }

    #[test]
    fn what_is_missing_repeated_or_out_of_order_is_noticed() {
        let whole = |after, events: &[(u64, u64)]| {
            let record = record(events);
            catch_unwind(|| assert_whole(&record, "team", after, &stored())).is_ok()
        };
        assert!(whole(0, &[(3, 0), (5, 3), (8, 5)]));
        assert!(whole(3, &[(5, 3), (8, 5)]));
        assert!(!whole(0, &[(3, 0), (5, 3)]), "the last is missing");
        assert!(!whole(0, &[(3, 0), (8, 5)]), "one in the middle is missing");
        assert!(!whole(0, &[(3, 0), (5, 3), (5, 3), (8, 5)]), "one is repeated");
        assert!(!whole(0, &[(5, 3), (3, 0), (8, 5)]), "two changed places");
        assert!(!whole(3, &[(3, 0), (5, 3), (8, 5)]), "one before the cursor");
    }

    #[test]
    fn an_event_that_names_another_one_before_it_is_noticed() {
        let chained = |events: &[(u64, u64)]| {
            let record = record(events);
            catch_unwind(|| assert_chained(&record, "team", &stored())).is_ok()
        };
        assert!(chained(&[(3, 0), (5, 3), (8, 5)]));
        assert!(!chained(&[(3, 0), (5, 3), (8, 3)]));
    }
}
