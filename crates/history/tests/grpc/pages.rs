//! Pages: complete, in order, bounded, whatever the arguments.

use huddle_proto::{
    gateway::v1::ErrorCode,
    history::v1::{
        FindSendsRequest, GetMessageRequest, ListEventsRequest, ListMessagesRequest, Order, SendKey,
        StreamEventsRequest, list_messages_request::Position,
    },
};
use prost::Message as _;
use tonic::Code;

use crate::{
    backend::as_service,
    support::{History, MESSAGE_BYTES_MAX, code},
};

const MESSAGES: usize = 130;

fn messages_request(position: Option<Position>, limit: u32, order: Order) -> ListMessagesRequest {
    ListMessagesRequest { team: "general".to_owned(), position, limit, order: order.into(), min_seq: 0 }
}

#[tokio::test]
async fn pages_walk_a_team_both_ways_without_gap_or_repeat() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut posted = Vec::new();
    for number in 0..MESSAGES {
        posted.push(history.post("general", "bob", &format!("m{number}"), &format!("message {number}")).await.get());
        history.post("elsewhere", "mallory", &format!("m{number}"), "not to be seen in general").await;
    }
    history.stored(history.post("general", "bob", "last", "last").await).await;
    let mut client = history.client();

    let (mut backwards, mut before) = (Vec::new(), None);
    loop {
        let request = messages_request(before.map(Position::Before), 0, Order::Unspecified);
        let page = client.list_messages(as_service(request)).await.unwrap().into_inner();
        assert_eq!(page.has_newer, before.is_some());
        backwards.extend(page.messages.iter().map(|message| message.seq));
        before = page.messages.last().map(|message| message.seq);
        if !page.has_older {
            break;
        }
        assert_eq!(page.messages.len(), 50);
    }
    backwards.reverse();
    assert_eq!(backwards[..MESSAGES], posted);
    assert_eq!(backwards.len(), MESSAGES + 1);

    let (mut forwards, mut after) = (Vec::new(), None);
    loop {
        let request = messages_request(after.map(Position::After), 60, Order::OldestFirst);
        let page = client.list_messages(as_service(request)).await.unwrap().into_inner();
        assert_eq!(page.has_older, after.is_some());
        forwards.extend(page.messages.iter().map(|message| message.seq));
        after = page.messages.last().map(|message| message.seq);
        if !page.has_newer {
            break;
        }
    }
    assert_eq!(forwards, backwards);

    let request = messages_request(Some(Position::Around(posted[50])), 10, Order::OldestFirst);
    let page = client.list_messages(as_service(request)).await.unwrap().into_inner();
    let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, posted[46..56]);
    assert!(page.has_older && page.has_newer);

    let (mut events, mut cursor) = (Vec::new(), 0);
    loop {
        let request = ListEventsRequest { team: "general".to_owned(), after: cursor, limit: 33, min_seq: 0 };
        let page = client.list_events(as_service(request)).await.unwrap().into_inner();
        assert!(page.events.iter().all(|event| event.kind.is_some() && event.team == "general"));
        events.extend(page.events.iter().map(|event| (event.seq, event.prev_seq)));
        cursor = events.last().unwrap().0;
        if !page.has_more {
            break;
        }
    }
    assert_eq!(events.len(), 4 + MESSAGES + 1);
    assert_eq!(events[0].1, 0);
    assert!(events.windows(2).all(|pair| pair[1].1 == pair[0].0), "each event names the one before it");
}

#[tokio::test]
async fn one_message_is_found_by_its_position_and_sends_by_their_keys() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    let found = history.found_general().await;
    let seq = history.post("general", "bob", "hello", "Grüße \u{1f44b}'; DROP TABLE events; --").await;
    history.stored(seq).await;
    let mut client = history.client();

    let request = GetMessageRequest { team: "general".to_owned(), seq: seq.get(), min_seq: 0 };
    let message = client.get_message(as_service(request)).await.unwrap().into_inner().message.unwrap();
    assert_eq!(message.body, "Grüße \u{1f44b}'; DROP TABLE events; --");
    assert_eq!((message.sender.as_str(), message.client_id.as_str()), ("bob", "hello"));
    assert!(message.time_ms > 1_700_000_000_000);
    // An event of another kind is no message, and another team's message is not this team's.
    for (team, seq) in [("general", found.get()), ("elsewhere", seq.get()), ("general", seq.get() + 1)] {
        let request = GetMessageRequest { team: team.to_owned(), seq, min_seq: 0 };
        assert_eq!(client.get_message(as_service(request)).await.unwrap_err().code(), Code::NotFound);
    }

    let key = |sender: &str, client_id: &str| SendKey {
        team: "general".to_owned(),
        sender: sender.to_owned(),
        client_id: client_id.to_owned(),
    };
    let keys = vec![key("bob", "hello"), key("ada", "hello"), key("ada", "add-bob"), key("bob", "never")];
    let found = client.find_sends(as_service(FindSendsRequest { keys })).await.unwrap().into_inner().events;
    let mut found: Vec<_> = found.into_iter().map(|event| (event.sender, event.client_id)).collect();
    found.sort();
    assert_eq!(found, [("ada".to_owned(), "add-bob".to_owned()), ("bob".to_owned(), "hello".to_owned())]);
}

#[tokio::test]
async fn a_page_of_the_largest_messages_is_cut_to_one_answer_and_nothing_is_skipped() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let text = "\u{10348}".repeat(4_000);
    let mut posted = Vec::new();
    for number in 0..300 {
        posted.push(history.post("general", "bob", &format!("m{number}"), &text).await.get());
    }
    history.stored(history.post("general", "bob", "last", "last").await).await;
    let mut client = history.client();

    let (mut seqs, mut after, mut pages) = (Vec::new(), 0, 0);
    loop {
        let request = ListEventsRequest { team: "general".to_owned(), after, limit: 1_000, min_seq: 0 };
        let page = client.list_events(as_service(request)).await.unwrap().into_inner();
        assert!(page.encoded_len() <= MESSAGE_BYTES_MAX);
        seqs.extend(page.events.iter().map(|event| event.seq));
        (after, pages) = (*seqs.last().unwrap(), pages + 1);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seqs[4..304], posted);
    assert!(pages > 1);

    let request = messages_request(None, 500, Order::NewestFirst);
    let page = client.list_messages(as_service(request)).await.unwrap().into_inner();
    assert!(page.encoded_len() <= MESSAGE_BYTES_MAX && page.has_older && !page.has_newer);
    assert_eq!(page.messages[1].seq, posted[299]);

    let key = |number: usize| SendKey {
        team: "general".to_owned(),
        sender: "bob".to_owned(),
        client_id: format!("m{number}"),
    };
    let request = FindSendsRequest { keys: (0..300).map(key).collect() };
    assert_eq!(code(&client.find_sends(as_service(request)).await.unwrap_err()), ErrorCode::TooLarge);
}

#[tokio::test]
async fn arguments_out_of_bounds_are_refused_each_with_its_code() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut client = history.client();
    let beyond = u64::try_from(i64::MAX).unwrap() + 1;

    for id in ["", "a.b", "a b", "*", ">", "a\r\nb", "a\0b", "ä", &"x".repeat(65)] {
        let team = id.to_owned();
        let request = ListEventsRequest { team: team.clone(), ..ListEventsRequest::default() };
        assert_eq!(code(&client.list_events(as_service(request)).await.unwrap_err()), ErrorCode::InvalidId, "{id:?}");
        let request = StreamEventsRequest { team: team.clone(), ..StreamEventsRequest::default() };
        assert_eq!(code(&client.stream_events(as_service(request)).await.unwrap_err()), ErrorCode::InvalidId);
        let key = SendKey { team: "general".to_owned(), sender: "bob".to_owned(), client_id: team };
        let request = FindSendsRequest { keys: vec![key] };
        assert_eq!(code(&client.find_sends(as_service(request)).await.unwrap_err()), ErrorCode::InvalidId);
    }

    let mut unknown_order = messages_request(None, 1, Order::NewestFirst);
    unknown_order.order = 9;
    for request in [
        messages_request(None, 501, Order::NewestFirst),
        messages_request(Some(Position::Before(beyond)), 1, Order::NewestFirst),
        messages_request(Some(Position::Around(u64::MAX)), 1, Order::OldestFirst),
        ListMessagesRequest { min_seq: beyond, ..messages_request(None, 1, Order::NewestFirst) },
        unknown_order,
    ] {
        let status = client.list_messages(as_service(request)).await.unwrap_err();
        assert_eq!((status.code(), code(&status)), (Code::InvalidArgument, ErrorCode::InvalidArgument));
    }
    let events = |after, limit| ListEventsRequest { team: "general".to_owned(), after, limit, min_seq: 0 };
    for request in [events(0, 1_001), events(beyond, 1)] {
        assert_eq!(code(&client.list_events(as_service(request)).await.unwrap_err()), ErrorCode::InvalidArgument);
    }
    let key = SendKey { team: "general".to_owned(), sender: "bob".to_owned(), client_id: "c".to_owned() };
    for keys in [Vec::new(), vec![key; 1_001]] {
        let status = client.find_sends(as_service(FindSendsRequest { keys })).await.unwrap_err();
        assert_eq!(code(&status), ErrorCode::InvalidArgument);
    }
    let request = StreamEventsRequest { team: "general".to_owned(), after: 1_000_000_000, min_seq: 0 };
    let status = client.stream_events(as_service(request)).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::OutOfRange, ErrorCode::InvalidCursor));
}
