//! Streams: caught up, then live, each event once, whatever happens in between.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use huddle_history::Config;
use huddle_proto::{
    gateway::v1::ErrorCode,
    history::v1::{ListEventsRequest, StreamEventsRequest, StreamEventsResponse},
};
use tokio::net::TcpStream;
use tonic::{Code, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    backend::{as_service, eventually, token, token_from, with},
    support::{History, Seen, bounded, code},
};

const WRITERS: usize = 4;
const MESSAGES_PER_WRITER: usize = 250;
/// The client id of the message that ends a test's traffic.
const END: &str = "the-end";

fn request(after: u64) -> StreamEventsRequest {
    StreamEventsRequest { team: "general".to_owned(), after, min_seq: 0 }
}

async fn stream(history: &History, after: u64) -> Streaming<StreamEventsResponse> {
    history.client().stream_events(as_service(request(after))).await.unwrap().into_inner()
}

async fn stream_of(history: &History, user: &str, after: u64) -> Streaming<StreamEventsResponse> {
    history.client().stream_events(with(&token(user), request(after))).await.unwrap().into_inner()
}

fn is_over(seen: &Seen) -> bool {
    seen.last_client_id == END && !seen.caught_up.is_empty()
}

/// All positions of the team, as pages tell them.
async fn stored_seqs(history: &History) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        let after = seqs.last().copied().unwrap_or_default();
        let request = ListEventsRequest { team: "general".to_owned(), after, limit: 1_000, min_seq: 0 };
        let page = history.client().list_events(as_service(request)).await.unwrap().into_inner();
        seqs.extend(page.events.iter().map(|event| event.seq));
        if !page.has_more {
            return seqs;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_catch_up_and_go_on_live_without_gap_or_repeat_under_traffic() {
    let history = Arc::new(History::start().await);
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut unread = stream(&history, 0).await;
    let mut read = stream(&history, 0).await;
    let mut seen = Seen::default();

    let write = async |writer: usize| {
        for number in 0..MESSAGES_PER_WRITER {
            history.post("general", "bob", &format!("w{writer}-{number}"), "text").await;
        }
    };
    let traffic = async {
        tokio::join!(write(0), write(1), write(2), write(3));
        history.post("general", "ada", END, "the end").await
    };
    let open_in_the_middle = async {
        let mut readers = Vec::new();
        for quarter in 0..4 {
            seen.read(&mut read, |seen| seen.seqs.len() >= quarter * WRITERS * MESSAGES_PER_WRITER / 4).await;
            let (history, after) = (Arc::clone(&history), seen.last());
            readers.push(tokio::spawn(async move {
                let mut seen = Seen::default();
                seen.read(&mut stream(&history, after).await, is_over).await;
                (after, seen)
            }));
        }
        readers
    };
    let (last, readers) = tokio::join!(traffic, open_in_the_middle);
    history.stored(last).await;
    let all = stored_seqs(&history).await;
    assert_eq!(all.len(), 4 + WRITERS * MESSAGES_PER_WRITER + 1);

    seen.read(&mut read, is_over).await;
    assert_eq!(seen.seqs, all);
    // More has passed than is held for one who does not read.
    let mut late = Seen::default();
    late.read(&mut unread, is_over).await;
    assert_eq!(late.seqs, all);
    for reader in readers {
        let (after, seen) = bounded("the reader ends", reader).await.unwrap();
        let expected: Vec<u64> = all.iter().copied().filter(|seq| *seq > after).collect();
        assert_eq!(seen.seqs, expected, "after {after}");
        assert_eq!(seen.caught_up.len(), 1, "after {after}");
    }
}

#[tokio::test]
async fn a_stream_survives_the_death_of_nats() {
    let mut history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut stream = stream(&history, 0).await;
    let mut seen = Seen::default();
    for number in 0..20 {
        history.post("general", "bob", &format!("before-{number}"), "text").await;
    }
    seen.read(&mut stream, |seen| seen.last_client_id == "before-19").await;

    let node = history.backend.nats.node(0);
    node.kill9().unwrap();
    node.restart().await.unwrap();
    for number in 0..20 {
        history.post("general", "bob", &format!("after-{number}"), "text").await;
    }
    history.stored(history.post("general", "ada", END, "the end").await).await;
    seen.read(&mut stream, is_over).await;
    assert_eq!(seen.seqs, stored_seqs(&history).await);
}

#[tokio::test]
async fn a_stream_waits_for_what_is_accepted_and_not_yet_stored() {
    let history = History::start().await;
    let storing = history.backend.keep_storing();
    history.found_general().await;
    drop(storing);
    let last = history.post("general", "bob", "accepted", "accepted").await;
    let mut stream = stream(&history, 0).await;
    let mut seen = Seen::default();
    seen.read(&mut stream, |seen| seen.seqs.len() == 4).await;
    assert!(seen.caught_up.is_empty());
    let _storing = history.backend.keep_storing();
    seen.read(&mut stream, |seen| !seen.caught_up.is_empty()).await;
    assert_eq!((seen.last(), seen.caught_up), (last.get(), vec![last.get()]));
}

#[tokio::test]
async fn a_removed_member_gets_the_removal_and_nothing_after_it() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut stream = stream_of(&history, "bob", 0).await;
    let mut seen = Seen::default();
    seen.read(&mut stream, |seen| !seen.caught_up.is_empty()).await;

    let removal = history.remove("bob", "remove-bob").await;
    history.stored(history.post("general", "ada", "after", "not for bob").await).await;
    let status = seen.read_to_end(&mut stream).await;
    assert_eq!((status.code(), code(&status)), (Code::PermissionDenied, ErrorCode::Forbidden));
    assert_eq!(seen.last(), removal.get());

    let status = history.client().stream_events(with(&token("bob"), request(0))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_removal_that_is_not_stored_yet_ends_a_stream_that_begins_after_it() {
    let history = History::start().await;
    let storing = history.backend.keep_storing();
    history.found_general().await;
    drop(storing);
    let removal = history.remove("bob", "remove-bob").await;
    let mut stream = stream_of(&history, "bob", removal.get()).await;
    let _storing = history.backend.keep_storing();
    let mut seen = Seen::default();
    let status = seen.read_to_end(&mut stream).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(seen.seqs.is_empty() && seen.caught_up.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn an_old_removal_does_not_end_the_stream_of_one_who_is_back() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let back = history.add("eve", "add-eve-again").await;
    history.stored(back).await;
    let mut stream = stream_of(&history, "eve", 0).await;
    let mut seen = Seen::default();
    seen.read(&mut stream, |seen| !seen.caught_up.is_empty()).await;
    assert_eq!(seen.seqs.len(), 5);
    assert_eq!(seen.last(), back.get());
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let short = token_from("bob", SystemTime::now(), Duration::from_secs(3));
    let mut stream = history.client().stream_events(with(&short, request(0))).await.unwrap().into_inner();
    let mut seen = Seen::default();
    seen.read(&mut stream, |seen| !seen.caught_up.is_empty()).await;
    let status = seen.read_to_end(&mut stream).await;
    assert_eq!((status.code(), code(&status)), (Code::Unauthenticated, ErrorCode::TokenExpired));
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let [mut stays, mut ends] = [stream_of(&history, "ada", 0).await, stream_of(&history, "bob", 0).await];
    let (mut stayed, mut ended) = (Seen::default(), Seen::default());
    stayed.read(&mut stays, |seen| !seen.caught_up.is_empty()).await;
    ended.read(&mut ends, |seen| !seen.caught_up.is_empty()).await;
    history.backend.revoke("bob");
    let status = ended.read_to_end(&mut ends).await;
    assert_eq!((status.code(), code(&status)), (Code::Unauthenticated, ErrorCode::TokenRevoked));

    let seq = history.post("general", "ada", "after", "after").await;
    stayed.read(&mut stays, |seen| seen.last() == seq.get()).await;
}

#[tokio::test]
async fn draining_ends_live_streams_so_that_they_are_taken_up_elsewhere() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut stream = stream(&history, 0).await;
    let mut seen = Seen::default();
    seen.read(&mut stream, |seen| !seen.caught_up.is_empty()).await;
    let request = HealthCheckRequest { service: String::new() };
    let mut health = HealthClient::new(history.channel.clone()).watch(request).await.unwrap().into_inner();

    history.shutdown.request();
    let status = seen.read_to_end(&mut stream).await;
    assert_eq!((status.code(), code(&status)), (Code::Unavailable, ErrorCode::Unavailable));
    let mut last_health = None;
    while let Some(health) = bounded("the watch ends", health.message()).await.unwrap() {
        last_health = Some(health.status());
    }
    assert_eq!(last_health, Some(ServingStatus::NotServing));
    bounded("the service ends", history.running).await.unwrap();
    assert!(TcpStream::connect(history.address).await.is_err());
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let history = History::start_with(Config { streams_max: 2, ..Config::default() }).await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let first = stream(&history, 0).await;
    let _second = stream(&history, 0).await;
    let status = history.client().stream_events(as_service(request(0))).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Code::ResourceExhausted, ErrorCode::Overloaded));
    drop(first);
    let mut client = history.client();
    eventually("there is room", async || client.stream_events(as_service(request(0))).await.is_ok()).await;
}
