//! Owns the reading of what clients of Socket.IO received: LabelLab's events and the acknowledgements of sends.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Accepted, Content, EventSeen};

/// What the event `name` says; several things when it is an acknowledgement of something that is stored.
pub(super) fn contents(name: &str, data: &Value) -> Result<Vec<Content>> {
    Ok(match name {
        "receive_message" => vec![Content::Event(message(data)?)],
        "caught_up" => vec![Content::CaughtUp { team: id(data, "team_id")?, seq: number(data, "seq")? }],
        "message_stored" => vec![Content::Stored { team: id(data, "team_id")?, seq: number(data, "seq")? }],
        "ack" => receipts(data)?,
        "refused" => vec![Content::Error { code: text(&data["error"], "code")? }],
        other => vec![Content::Other(other.to_owned())],
    })
}

fn message(data: &Value) -> Result<EventSeen> {
    Ok(EventSeen {
        team: id(data, "team_id")?,
        seq: number(data, "seq")?,
        prev_seq: number(data, "prev_seq")?,
        sender: id(data, "user_id")?,
        client_id: text(data, "client_id")?,
        body: Some(text(data, "body")?),
    })
}

fn receipts(data: &Value) -> Result<Vec<Content>> {
    let (team, seq) = (id(data, "team_id")?, number(data, "seq")?);
    let duplicate = data["duplicate"].as_bool().with_context(|| format!("no duplicate: {data}"))?;
    let is_stored = data["stored"].as_bool().with_context(|| format!("no stored: {data}"))?;
    let accepted = Accepted { team: team.clone(), seq, client_id: text(data, "client_id")?, duplicate };
    let stored = is_stored.then_some(Content::Stored { team, seq });
    Ok([Content::Accepted(accepted)].into_iter().chain(stored).collect())
}

fn number(data: &Value, field: &str) -> Result<u64> {
    data[field].as_u64().with_context(|| format!("{field} is no number: {data}"))
}

fn text(data: &Value, field: &str) -> Result<String> {
    Ok(data[field].as_str().with_context(|| format!("{field} is no text: {data}"))?.to_owned())
}

/// An id: a number where it can be one.
fn id(data: &Value, field: &str) -> Result<String> {
    match &data[field] {
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text.clone()),
        _ => None.with_context(|| format!("{field} is no id: {data}")),
    }
}
