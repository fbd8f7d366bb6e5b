//! Owns what became of each attempt to send, as a recording tells.

use std::{collections::HashMap, fs::File, io::BufReader, path::Path};

use anyhow::{Context as _, Result};
use huddle_verify::recording::{Note, Reader};

/// One attempt to send. Times in microseconds since the recording began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who sent.
    pub client: String,
    /// On which of the client's connections.
    pub connection: u32,
    /// What it was connected to.
    pub gateway: String,
    /// To which team.
    pub team: String,
    /// Under which key.
    pub client_id: String,
    /// Whether it was the first under its key.
    pub is_first: bool,
    /// When it left the client.
    pub sent_us: u64,
    /// When and how it ended; `None` when the recording ended before.
    pub end: Option<(u64, AttemptEnd)>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Acknowledged: the position, and whether the service said that an earlier attempt had been taken.
    Accepted(u64, bool),
    /// Refused with this code.
    Refused(String),
    /// The connection ended before.
    Disconnected,
}

impl Attempt {
    /// The position, when this very attempt put the message there and nobody says otherwise.
    pub fn newly_accepted(&self) -> Option<u64> {
        match self.end {
            Some((_, AttemptEnd::Accepted(seq, false))) => Some(seq),
            _ => None,
        }
    }
}

/// All attempts in the recording at `path`, in the order in which they were made.
pub fn attempts(path: &Path) -> Result<Vec<Attempt>> {
    type Key = (String, String, String);
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = Reader::new(BufReader::new(file))?;
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut gateways: HashMap<String, String> = HashMap::new();
    // The last attempt under each key.
    let mut last: HashMap<Key, usize> = HashMap::new();
    while let Some((_, line)) = reader.next_line()? {
        let (at_us, client) = (line.at_us, line.client);
        let mut end = |key: Key, end: AttemptEnd| {
            if let Some(index) = last.get(&key) {
                attempts[*index].end.get_or_insert((at_us, end));
            }
        };
        match line.note {
            Note::Connected { gateway, .. } => drop(gateways.insert(client, gateway)),
            Note::Accepted { team, client_id, seq, duplicate } => {
                end((client, team, client_id), AttemptEnd::Accepted(seq, duplicate));
            }
            Note::Refused { team, client_id, code, .. } => end((client, team, client_id), AttemptEnd::Refused(code)),
            Note::Disconnected { .. } => {
                let of_connection = attempts.iter_mut().rev();
                // They are in order: what comes before the connection's first is over.
                for attempt in of_connection.filter(|it| it.client == client && it.connection == line.connection) {
                    attempt.end.get_or_insert((at_us, AttemptEnd::Disconnected));
                }
            }
            Note::Send { team, client_id, .. } => {
                let index = attempts.len();
                let is_first = last.insert((client.clone(), team.clone(), client_id.clone()), index).is_none();
                attempts.push(Attempt {
                    gateway: gateways.get(&client).cloned().unwrap_or_default(),
                    connection: line.connection,
                    client,
                    team,
                    client_id,
                    is_first,
                    sent_us: at_us,
                    end: None,
                });
            }
            _ => {}
        }
    }
    Ok(attempts)
}

#[cfg(test)]
mod tests {
    use huddle_verify::recording::{Sees, Writer};

    use super::*;

    #[test]
    fn each_attempt_has_its_own_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("recording");
        let writer = Writer::create(&path, 1).unwrap();
        let (team, id) = (|| "t".to_owned(), || "1".to_owned());
        let send = || Note::Send { team: team(), client_id: id(), digest: String::new() };
        let connected = || Note::Connected { user: "a".into(), gateway: "g".into(), sees: Sees::Events };
        writer.note("a", 0, connected());
        writer.note("a", 0, send());
        writer.note("a", 0, Note::Refused { team: team(), client_id: id(), code: "X".into(), retryable: true });
        writer.note("a", 0, send());
        writer.note("a", 0, Note::Disconnected { reason: String::new() });
        writer.note("a", 1, connected());
        writer.note("a", 1, send());
        writer.note("a", 1, Note::Accepted { team: team(), client_id: id(), seq: 7, duplicate: true });
        writer.note("a", 1, send());
        writer.flush().unwrap();

        let ends = attempts(&path).unwrap();
        let ends: Vec<_> = ends.into_iter().map(|it| (it.is_first, it.end.map(|(_, end)| end))).collect();
        assert_eq!(
            ends,
            [
                (true, Some(AttemptEnd::Refused("X".to_owned()))),
                (false, Some(AttemptEnd::Disconnected)),
                (false, Some(AttemptEnd::Accepted(7, true))),
                (false, None),
            ]
        );
    }
}
