//! What LabelLab's clients send: the arguments of their events.

use std::collections::BTreeMap;

use huddle_domain::{ClientId, Entity, EntityId, EntityKind, Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use huddle_socketio::Event;
use serde::{Deserialize, de::DeserializeOwned};

use super::ids::SentId;
use crate::{
    connection::{parse_body, parse_client_id, parse_team},
    sends::NewSend,
};

/// `send_message`.
#[derive(Deserialize)]
pub(super) struct SendMessage {
    body: String,
    team_id: SentId,
    pub(super) user_id: Option<SentId>,
    entity_type: Option<String>,
    entity_id: Option<SentId>,
    tagged_users: Option<Vec<SentId>>,
    client_id: Option<String>,
}

/// `join`, `leave`, `typing`: an object, or the team's id alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum TeamArgument {
    Object {
        team_id: SentId,
        #[serde(default)]
        after: Option<SentSeq>,
    },
    Id(SentId),
}

/// A position: a number, or a text where a number is not exact.
#[derive(Deserialize)]
#[serde(untagged)]
enum SentSeq {
    Number(u64),
    Text(String),
}

/// What a CONNECT packet may hold besides the token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConnectArgument {
    token: Option<String>,
    resume: Option<BTreeMap<String, Option<SentSeq>>>,
    join: Option<Vec<SentId>>,
}

/// A client's wishes at the moment of connecting.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) token: Option<String>,
    /// What it has seen, by team.
    pub(super) resume: BTreeMap<TeamId, Seq>,
    /// The teams that it wants; `None` = all of its user's.
    pub(super) join: Option<Vec<TeamId>>,
}

/// The wishes in a CONNECT packet, or in the query of a client that has none to send. Says nothing of their content when
/// they are none.
pub(super) fn wishes(auth: serde_json::Value, query: &[(String, String)]) -> Result<Wishes, Refusal> {
    if auth.is_null() {
        let Some((_, text)) = query.iter().find(|(name, _)| name == "resume") else { return Ok(Wishes::default()) };
        let resume = serde_json::from_str(text).map_err(|_| malformed("resume"))?;
        return Ok(Wishes { resume: cursors(resume)?, ..Wishes::default() });
    }
    // An array could be read as the fields in their order.
    if !auth.is_object() {
        return Err(malformed("auth"));
    }
    let argument: ConnectArgument = serde_json::from_value(auth).map_err(|_| malformed("auth"))?;
    let join = argument.join.map(|teams| teams.iter().map(|team| parse_team(&team.0)).collect::<Result<_, _>>());
    Ok(Wishes { token: argument.token, resume: cursors(argument.resume.unwrap_or_default())?, join: join.transpose()? })
}

/// The one argument of an event.
pub(super) fn argument<T: DeserializeOwned>(event: &Event) -> Result<T, Refusal> {
    if !event.attachments.is_empty() {
        let message = "binary attachments are not taken here; send JSON";
        return Err(Refusal::new(ErrorCode::InvalidArgument, message));
    }
    let argument = event.args.first().ok_or_else(|| malformed(&event.name))?;
    // The error's own text may repeat parts of what was sent.
    serde_json::from_str(argument.get()).map_err(|_| malformed(&event.name))
}

/// The team of `join`, `leave` or `typing`, and the cursor if there is one.
pub(super) fn team(event: &Event) -> Result<(TeamId, Option<Seq>), Refusal> {
    match argument(event)? {
        TeamArgument::Id(team) => Ok((parse_team(&team.0)?, None)),
        TeamArgument::Object { team_id, after } => Ok((parse_team(&team_id.0)?, after.map(seq).transpose()?)),
    }
}

/// The cursors of `resume`, by team.
pub(super) fn resume(event: &Event) -> Result<BTreeMap<TeamId, Seq>, Refusal> {
    cursors(argument(event)?)
}

/// A team without a cursor is left out.
fn cursors(sent: BTreeMap<String, Option<SentSeq>>) -> Result<BTreeMap<TeamId, Seq>, Refusal> {
    let cursor = |(team, cursor): (String, Option<SentSeq>)| {
        let team = parse_team(&team)?;
        Ok(cursor.map(seq).transpose()?.map(|cursor| (team, cursor)))
    };
    sent.into_iter().filter_map(|entry| cursor(entry).transpose()).collect()
}

impl SendMessage {
    /// The send of `sender`. `entity_kinds` are the kinds of things that a message may point to.
    pub(super) fn into_send(self, sender: UserId, entity_kinds: &[EntityKind]) -> Result<NewSend, Refusal> {
        let mentions = self.tagged_users.unwrap_or_default();
        let mentions = mentions.iter().map(|user| user_id("tagged_users", user)).collect::<Result<Vec<_>, _>>()?;
        let entity = entity(self.entity_type.as_deref(), self.entity_id.as_ref(), entity_kinds)?;
        let tags = huddle_domain::Tags::new(mentions, entity)
            .map_err(|error| Refusal::new(ErrorCode::InvalidArgument, error.to_string()))?;
        let client_id: Option<ClientId> = parse_client_id(self.client_id.as_deref().unwrap_or_default())?;
        Ok(NewSend { team: parse_team(&self.team_id.0)?, sender, client_id, body: parse_body(&self.body)?, tags })
    }
}

/// A user whom a payload names.
pub(super) fn user_id(field: &str, id: &SentId) -> Result<UserId, Refusal> {
    UserId::parse(&id.0).map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`{field}`: {error}")))
}

/// LabelLab's web client sends an empty type for a message that points to nothing.
fn entity(kind: Option<&str>, id: Option<&SentId>, kinds: &[EntityKind]) -> Result<Option<Entity>, Refusal> {
    let (kind, id) = match (kind, id) {
        (None | Some(""), _) => return Ok(None),
        (Some(_), None) => {
            return Err(Refusal::new(ErrorCode::InvalidId, "`entity_id` is missing beside an `entity_type`"));
        }
        (Some(kind), Some(id)) => (kind, id),
    };
    let Some(kind) = kinds.iter().find(|allowed| allowed.as_str() == kind) else {
        return Err(Refusal::new(ErrorCode::InvalidArgument, "this `entity_type` is not one that is allowed here"));
    };
    let id =
        EntityId::parse(&id.0).map_err(|error| Refusal::new(ErrorCode::InvalidId, format!("`entity_id`: {error}")))?;
    Ok(Some(Entity { kind: kind.clone(), id }))
}

fn seq(sent: SentSeq) -> Result<Seq, Refusal> {
    let number = match sent {
        SentSeq::Number(number) => Some(number),
        SentSeq::Text(text) => text.parse().ok(),
    };
    number.map(Seq::new).ok_or_else(|| Refusal::new(ErrorCode::InvalidCursor, "a cursor is a whole number"))
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(ErrorCode::Malformed, format!("what `{what}` came with is not what it takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(json: serde_json::Value) -> Result<NewSend, Refusal> {
        let kinds = [EntityKind::parse("issue").unwrap()];
        let payload: SendMessage = serde_json::from_value(json).map_err(|_| malformed("send_message"))?;
        payload.into_send(UserId::parse("5").unwrap(), &kinds)
    }

    #[test]
    fn the_web_clients_and_the_mobile_clients_messages_are_understood() {
        let web = send(serde_json::json!({
            "body": "<strong><i>@ann</i></strong> hi", "team_id": 7, "user_id": 5, "entity_type": "issue", "entity_id": 3,
            "tagged_users": [1, 2, 1],
        }))
        .unwrap();
        assert_eq!((web.team.as_str(), web.body.as_str()), ("7", "<strong><i>@ann</i></strong> hi"));
        assert_eq!(web.tags.mentions().iter().map(UserId::as_str).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(web.tags.entity().unwrap().id.as_str(), "3");
        let mobile = send(serde_json::json!({ "body": "hi", "team_id": "7", "user_id": "5" })).unwrap();
        assert_eq!((mobile.team, mobile.client_id), (web.team, None));
        let empty = serde_json::json!({ "body": "hi", "team_id": 7, "entity_type": "", "entity_id": null });
        assert_eq!(send(empty).unwrap().tags, huddle_domain::Tags::default());
    }

    #[test]
    fn what_is_no_message_is_refused_by_a_code_and_never_repeated() {
        let cases = [
            (serde_json::json!({ "body": "secret" }), ErrorCode::Malformed),
            (serde_json::json!({ "body": ["secret"], "team_id": 7 }), ErrorCode::Malformed),
            (serde_json::json!({ "body": "", "team_id": 7 }), ErrorCode::InvalidBody),
            (serde_json::json!({ "body": "hi", "team_id": "sec ret" }), ErrorCode::InvalidId),
            (serde_json::json!({ "body": "hi", "team_id": 7, "tagged_users": ["sec ret"] }), ErrorCode::InvalidId),
            (serde_json::json!({ "body": "hi", "team_id": 7, "entity_type": "issue" }), ErrorCode::InvalidId),
            (
                serde_json::json!({ "body": "hi", "team_id": 7, "entity_type": "secret", "entity_id": 1 }),
                ErrorCode::InvalidArgument,
            ),
            (
                serde_json::json!({ "body": "hi", "team_id": 7, "tagged_users": (0..51).collect::<Vec<_>>() }),
                ErrorCode::InvalidArgument,
            ),
        ];
        for (json, code) in cases {
            let refusal = send(json.clone()).unwrap_err();
            assert_eq!(refusal.code, code, "{json}");
            assert!(!refusal.message.contains("sec"), "{}", refusal.message);
        }
    }

    #[test]
    fn wishes_at_connecting_are_cursors_and_teams() {
        let sent = serde_json::json!({
            "token": "t", "resume": { "7": 12, "8": "9007199254740993", "9": null }, "join": [7, "8"], "other": {},
        });
        let query = [("team".to_owned(), "7".to_owned()), ("resume".to_owned(), sent["resume"].to_string())];
        let in_query = wishes(serde_json::Value::Null, &query).unwrap();
        let wishes = wishes(sent, &[]).unwrap();
        for wishes in [&wishes, &in_query] {
            let resume: Vec<_> = wishes.resume.iter().map(|(team, seq)| (team.as_str(), seq.get())).collect();
            assert_eq!(resume, [("7", 12), ("8", 9_007_199_254_740_993)]);
        }
        assert_eq!((wishes.join.unwrap().len(), in_query.join), (2, None));
        for json in
            [serde_json::json!([]), serde_json::json!({ "token": 7 }), serde_json::json!({ "resume": { "7": -1 } })]
        {
            assert!(super::wishes(json.clone(), &[]).is_err(), "{json}");
        }
        for text in ["", "7", "[]", "{\"7\":-1}", "{\"a.b\":1}"] {
            let query = [("resume".to_owned(), text.to_owned())];
            assert!(super::wishes(serde_json::Value::Null, &query).is_err(), "{text}");
        }
    }
}
