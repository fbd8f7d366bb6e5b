//! `GET /api/v1/chatroom/{team_id}`: a team's messages.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use huddle_domain::{TeamId, UnixMillis};
use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{ListMessagesRequest, Message, Order, list_messages_request::Position},
};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    Answer, Problem, caller, core, names_of_senders,
    page::{Page, Wanted},
    shown_name,
};
use crate::{
    core::Core,
    labellab::{
        encode::{MessageView, timestamp},
        ids::{ShownId, ShownNumber},
    },
};

/// How long an answer waits for what has been accepted and is not stored yet.
const STORED_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Listing<'a> {
    success: bool,
    body: Vec<MessageView<'a>>,
}

/// Returns messages, newest first. History checks that the caller may read them.
pub(super) async fn serve(request: HttpRequest, team: web::Path<String>) -> Answer {
    let core = core(&request)?;
    let outcome = async {
        let (_, token) = caller(core, &request)?;
        // What cannot be the id of a team is not the id of one.
        let team = TeamId::parse(&team).map_err(|_| no_team())?;
        let wanted = Wanted::parse(request.query_string())?;
        let page = current(core, token, &team, &wanted).await.map_err(|refusal| match refusal.code {
            ErrorCode::NotFound => no_team(),
            _ => refusal,
        })?;
        Ok::<_, Problem>((team, wanted, page))
    };
    let (team, wanted, Page { messages, next }) =
        outcome.await.inspect_err(|problem| core.metrics.refused(problem.code()))?;
    let names = names_of_senders(core, &messages).await;
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        response.insert_header((header::LINK, wanted.link(format_args!("/api/v1/chatroom/{team}"), &next)));
    }
    let body = messages.iter().map(|message| view(message, shown_name(&names, &message.sender))).collect();
    Ok(response.json(Listing { success: true, body }))
}

/// A team that does not exist and one that the caller is not in look the same.
fn no_team() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "Team does not exist")
}

/// Reads a page. The newest one holds what was accepted before the question, unless storing that takes longer than
/// [`STORED_PATIENCE`]: a client that listens already and then reads has no gap between the two.
async fn current(core: &Core, token: &str, team: &TeamId, wanted: &Wanted<u64>) -> Result<Page<u64>, Refusal> {
    let partition = core.log.partitions().of(team);
    let stored = core.watermarks.stored(partition);
    // Before anything else is done for the caller: this is what checks that they may read.
    let page = read(core, token, team, wanted).await?;
    if wanted.before.is_some() {
        return Ok(page);
    }
    // A log that does not answer accepts nothing either: what is stored is all that can be shown.
    let Ok(Some(last)) = core.log.last_seq(team).await else { return Ok(page) };
    if last <= stored {
        return Ok(page);
    }
    // Too late is no failure: messages that can be shown are better than none.
    let _ = timeout(STORED_PATIENCE, core.watermarks.reached(partition, last)).await;
    read(core, token, team, wanted).await
}

async fn read(core: &Core, token: &str, team: &TeamId, wanted: &Wanted<u64>) -> Result<Page<u64>, Refusal> {
    let ask = async |before: Option<u64>, limit| {
        let question = ListMessagesRequest {
            team: team.to_string(),
            position: before.map(Position::Before),
            limit,
            order: Order::NewestFirst.into(),
            min_seq: 0,
        };
        let page = core.history.list_messages(token, question).await?;
        Ok((page.messages, page.has_older))
    };
    wanted.read(ask, |message| message.seq).await
}

fn view<'a>(message: &'a Message, sender_name: &'a str) -> MessageView<'a> {
    let entity = message.entity.as_ref();
    MessageView {
        id: ShownNumber(message.seq),
        body: &message.body,
        team_id: ShownId(&message.team),
        user_id: ShownId(&message.sender),
        username: sender_name,
        entity_type: entity.map(|entity| entity.kind.as_str()),
        entity_id: entity.map(|entity| ShownId(&entity.id)),
        timestamp: timestamp(UnixMillis(message.time_ms)),
        seq: ShownNumber(message.seq),
        prev_seq: None,
        client_id: &message.client_id,
        tagged_users: message.mentions.iter().map(|user| ShownId(user)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use huddle_proto::event::v1::Entity;

    use super::*;

    #[test]
    fn a_stored_message_is_shown_as_labellab_shows_it() {
        let message = Message {
            team: "7".to_owned(),
            seq: 12,
            time_ms: 1_625_307_072_345,
            sender: "5".to_owned(),
            client_id: "c".to_owned(),
            body: "<b>hi</b>".to_owned(),
            mentions: vec!["8".to_owned(), "team-a".to_owned()],
            entity: Some(Entity { kind: "issue".to_owned(), id: "42".to_owned() }),
        };
        let expected = serde_json::json!({
            "id": 12, "seq": 12, "body": "<b>hi</b>", "team_id": 7, "user_id": 5, "username": "anna",
            "entity_type": "issue", "entity_id": 42, "timestamp": "2021-07-03 10:11:12.345000", "client_id": "c",
            "tagged_users": [8, "team-a"],
        });
        assert_eq!(serde_json::to_value(view(&message, "anna")).unwrap(), expected);
        let plain = Message { mentions: Vec::new(), entity: None, ..message };
        let plain = serde_json::to_value(view(&plain, "5")).unwrap();
        assert!(plain["entity_type"].is_null() && plain["entity_id"].is_null(), "{plain}");
        assert_eq!(plain["tagged_users"], serde_json::json!([]));
    }
}
