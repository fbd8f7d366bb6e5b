//! What messages mention and what they are about, in every answer; and whose mentions are listed for whom.

use huddle_domain::{Body, Entity, EntityId, EntityKind, EventKind, Seq, Tags, UserId};
use huddle_proto::{
    event::v1::{self as wire, event::Kind},
    gateway::v1::ErrorCode,
    history::v1::{
        FindSendsRequest, GetMessageRequest, ListEventsRequest, ListMentionsRequest, ListMessagesRequest,
        MentionPosition, Message, SendKey, StreamEventsRequest, stream_events_response::Item,
    },
};
use prost::Message as _;

use crate::{
    backend::{SERVICE_TOKEN, as_service, event, expired_token, token, with},
    support::{History, MESSAGE_BYTES_MAX, bounded, code},
};

fn mentioning(text: &str, users: &[&str], entity: Option<(&str, &str)>) -> EventKind {
    let users = users.iter().map(|user| UserId::parse(user).unwrap());
    let entity =
        entity.map(|(kind, id)| Entity { kind: EntityKind::parse(kind).unwrap(), id: EntityId::parse(id).unwrap() });
    EventKind::Posted { body: Body::parse(text).unwrap(), tags: Tags::new(users, entity).unwrap() }
}

impl History {
    async fn mention(&self, team: &str, sender: &str, client_id: &str, users: &[&str]) -> Seq {
        self.backend.append(event(team, sender, client_id, mentioning("hey", users, None))).await
    }

    /// A page of the mentions of the token's user.
    async fn mentions(&self, token: &str, request: ListMentionsRequest) -> Result<(Vec<Message>, bool), ErrorCode> {
        let answer = self.client().list_mentions(with(token, request)).await;
        let answer = answer.map_err(|status| code(&status))?.into_inner();
        assert!(answer.encoded_len() <= MESSAGE_BYTES_MAX);
        Ok((answer.messages, answer.has_older))
    }
}

fn position(message: &Message) -> MentionPosition {
    MentionPosition { time_ms: message.time_ms, team: message.team.clone(), seq: message.seq }
}

#[tokio::test]
async fn every_answer_carries_what_a_message_mentions_and_what_it_is_about() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    let before = history.found_general().await;
    let tagged = mentioning("look", &["bob", "ada"], Some(("issue", "7")));
    let seq = history.backend.append(event("general", "ada", "tagged", tagged)).await;
    history.stored(seq).await;
    let (team, seq) = ("general".to_owned(), seq.get());
    let expected = (vec!["bob".to_owned(), "ada".to_owned()], Some(("issue".to_owned(), "7".to_owned())));
    let about = |entity: Option<wire::Entity>| entity.map(|entity| (entity.kind, entity.id));
    let posted = |event: wire::Event| match event.kind {
        Some(Kind::Posted(posted)) => (posted.mentions, about(posted.entity)),
        other => panic!("{other:?}"),
    };
    let mut client = history.client();

    let request = GetMessageRequest { team: team.clone(), seq, min_seq: 0 };
    let message = client.get_message(as_service(request)).await.unwrap().into_inner().message.unwrap();
    assert_eq!((message.mentions, about(message.entity)), expected);
    let request = ListMessagesRequest { team: team.clone(), ..ListMessagesRequest::default() };
    let message = client.list_messages(as_service(request)).await.unwrap().into_inner().messages.remove(0);
    assert_eq!((message.mentions, about(message.entity)), expected);
    let request = ListEventsRequest { team: team.clone(), after: before.get(), ..ListEventsRequest::default() };
    let event = client.list_events(as_service(request)).await.unwrap().into_inner().events.remove(0);
    assert_eq!(posted(event), expected);
    let key = SendKey { team: team.clone(), sender: "ada".to_owned(), client_id: "tagged".to_owned() };
    let request = FindSendsRequest { keys: vec![key] };
    let event = client.find_sends(as_service(request)).await.unwrap().into_inner().events.remove(0);
    assert_eq!(posted(event), expected);
    let (messages, _) = history.mentions(&token("bob"), ListMentionsRequest::default()).await.unwrap();
    assert_eq!((messages[0].mentions.clone(), about(messages[0].entity.clone())), expected);

    // From the store, and live.
    let request = StreamEventsRequest { team, after: before.get(), min_seq: 0 };
    let mut stream = client.stream_events(as_service(request)).await.unwrap().into_inner();
    let live = mentioning("live", &["eve"], None);
    history.backend.append(crate::backend::event("general", "ada", "live", live)).await;
    for expected in [expected, (vec!["eve".to_owned()], None)] {
        let event = loop {
            match bounded("an event comes", stream.message()).await.unwrap().unwrap().item.unwrap() {
                Item::Event(event) => break event,
                Item::CaughtUp(_) => {}
            }
        };
        assert_eq!(posted(event), expected);
    }
}

#[tokio::test]
async fn mentions_are_paged_newest_first_for_the_user_and_for_the_service_only() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut expected = Vec::new();
    for number in 0..60 {
        let users: &[&str] = if number % 3 == 0 { &["ada"] } else { &["ada", "bob", "eve"] };
        let seq = history.mention("general", "ada", &format!("m{number}"), users).await;
        history.mention("elsewhere", "mallory", &format!("m{number}"), &["bob"]).await;
        if number % 3 != 0 {
            expected.push(seq.get());
        }
    }
    expected.reverse();
    history.stored(history.post("elsewhere", "mallory", "last", "last").await).await;

    let bob = token("bob");
    for (token, user, limit) in [(bob.as_str(), "", 0), (&bob, "bob", 7), (SERVICE_TOKEN, "bob", 500)] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let request = ListMentionsRequest { user: user.to_owned(), before, limit };
            let (messages, has_older) = history.mentions(token, request).await.unwrap();
            assert!(messages.iter().all(|message| message.team == "general"), "bob is in no other team");
            found.extend(messages.iter().map(|message| message.seq));
            before = messages.last().map(position);
            if !has_older {
                break;
            }
        }
        assert_eq!(found, expected, "{user} by {limit}");
    }

    // Eve was removed, and is back.
    let own = ListMentionsRequest::default;
    assert_eq!(history.mentions(&token("eve"), own()).await.unwrap(), (Vec::new(), false));
    history.stored(history.add("eve", "add-eve-again").await).await;
    assert_eq!(history.mentions(&token("eve"), own()).await.unwrap().0.len(), expected.len());
}

#[tokio::test]
async fn mentions_of_another_user_and_arguments_out_of_bounds_are_refused() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    history.backend.revoke("carol");
    let of = |user: &str| ListMentionsRequest { user: user.to_owned(), ..ListMentionsRequest::default() };
    let bob = token("bob");
    for (token, user, expected) in [
        (bob.as_str(), "ada", ErrorCode::Forbidden),
        (&token("mallory"), "bob", ErrorCode::Forbidden),
        (&expired_token("bob"), "", ErrorCode::TokenExpired),
        (&token("carol"), "", ErrorCode::TokenRevoked),
        ("a.b.c", "bob", ErrorCode::InvalidToken),
        (SERVICE_TOKEN, "", ErrorCode::InvalidId),
        (SERVICE_TOKEN, "a.b", ErrorCode::InvalidId),
    ] {
        assert_eq!(history.mentions(token, of(user)).await.unwrap_err(), expected, "{user}");
    }
    let before = |team: &str, seq| ListMentionsRequest {
        before: Some(MentionPosition { time_ms: i64::MIN, team: team.to_owned(), seq }),
        ..ListMentionsRequest::default()
    };
    for (request, expected) in [
        (ListMentionsRequest { limit: 501, ..ListMentionsRequest::default() }, ErrorCode::InvalidArgument),
        (before("general", u64::MAX), ErrorCode::InvalidArgument),
        (before("a.b", 1), ErrorCode::InvalidId),
        (before("", 1), ErrorCode::InvalidId),
    ] {
        assert_eq!(history.mentions(&bob, request).await.unwrap_err(), expected);
    }
    assert_eq!(history.mentions(&bob, before("general", 0)).await.unwrap(), (Vec::new(), false));
}

#[tokio::test]
async fn a_page_of_the_largest_mentions_is_cut_to_one_answer_and_nothing_is_skipped() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    let mut last = history.found_general().await;
    let text = "\u{10348}".repeat(4_000);
    let mut expected = Vec::new();
    for number in 0..300 {
        let kind = mentioning(&text, &["bob"], None);
        last = history.backend.append(event("general", "ada", &format!("m{number}"), kind)).await;
        expected.insert(0, last.get());
    }
    history.stored(last).await;
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let request = ListMentionsRequest { before, limit: 500, ..ListMentionsRequest::default() };
        let (messages, has_older) = history.mentions(&token("bob"), request).await.unwrap();
        found.extend(messages.iter().map(|message| message.seq));
        (before, pages) = (messages.last().map(position), pages + 1);
        if !has_older {
            break;
        }
    }
    assert_eq!(found, expected);
    assert!(pages > 1);
}
