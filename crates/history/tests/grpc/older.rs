//! A store that went back: reads that ask for a position never get less.

use std::time::Duration;

use huddle_domain::Seq;
use huddle_proto::{
    STORED_SEQ_METADATA,
    gateway::v1::ErrorCode,
    history::v1::{GetMessageRequest, ListEventsRequest, ListMessagesRequest, StreamEventsRequest},
};
use huddle_store::PartitionStore as _;
use tokio::{sync::watch, time::sleep};

use crate::{
    backend::{as_service, eventually, token, with, within},
    support::{History, Seen, bounded, code},
};

const DEADLINE: Duration = Duration::from_secs(1);
const MESSAGES: u64 = 40;

fn events(after: u64, min_seq: u64) -> ListEventsRequest {
    ListEventsRequest { team: "general".to_owned(), after, limit: 1_000, min_seq }
}

fn stream(after: u64) -> StreamEventsRequest {
    StreamEventsRequest { team: "general".to_owned(), after, min_seq: 0 }
}

/// Appends [`MESSAGES`] messages, numbered from `first`; returns their positions.
async fn post(history: &History, first: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    for number in first..first + MESSAGES {
        seqs.push(history.post("general", "bob", &format!("m{number}"), "a message").await.get());
    }
    seqs
}

#[tokio::test]
async fn a_position_that_was_announced_is_refused_while_the_store_does_not_hold_it() {
    let history = History::start().await;
    let storing = history.backend.keep_storing();
    history.found_general().await;
    let seqs = post(&history, 0).await;
    let (back, last) = (seqs[9], seqs[39]);
    let mut client = history.client();
    // The service has seen the last position stored.
    let page = client.list_events(as_service(events(0, last))).await.unwrap().into_inner();
    let all: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!(all.last(), Some(&last));

    drop(storing);
    eventually("persistence is gone", async || {
        history.backend.store.claim(huddle_domain::Partition::new(0)).await.unwrap().is_some()
    })
    .await;
    history.backend.go_back_to(Seq::new(back)).await;
    let messages =
        || ListMessagesRequest { team: "general".to_owned(), min_seq: last, ..ListMessagesRequest::default() };
    let message = || GetMessageRequest { team: "general".to_owned(), seq: last, min_seq: last };
    for _ in 0..2 {
        let refusals = [
            client.list_events(within(DEADLINE, events(0, last))).await.map(drop),
            client.list_messages(within(DEADLINE, messages())).await.map(drop),
            client.get_message(within(DEADLINE, message())).await.map(drop),
        ];
        for refusal in refusals {
            let status = refusal.unwrap_err();
            assert_eq!(code(&status), ErrorCode::NotYetStored);
            assert_eq!(status.metadata().get(STORED_SEQ_METADATA).unwrap(), &back.to_string());
        }
    }
    // Who may not read the team learns nothing of it.
    let mut stranger = with(&token("mallory"), events(0, last));
    stranger.set_timeout(DEADLINE);
    assert_eq!(code(&client.list_events(stranger).await.unwrap_err()), ErrorCode::NotFound);

    // What the store does not have is not passed over by a stream either: it waits, and goes on.
    let mut caught_up = client.stream_events(as_service(stream(0))).await.unwrap().into_inner();
    let mut seen = Seen::default();
    bounded("what is there", seen.read(&mut caught_up, |seen| seen.last() == back)).await;
    let mut waiting = history.client();
    let read = tokio::spawn(async move { waiting.list_events(as_service(events(0, last))).await });
    let _storing = history.backend.keep_storing();
    bounded("the rest", seen.read(&mut caught_up, |seen| !seen.caught_up.is_empty())).await;
    assert_eq!(seen.seqs, all);
    let page = bounded("the read ends", read).await.unwrap().unwrap().into_inner();
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn reads_are_never_short_while_the_store_goes_back_again_and_again() {
    const TIMES: u64 = 6;
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let first = post(&history, 0).await;
    history.stored(Seq::new(first[39])).await;
    let (known, done) = (watch::Sender::new(first.clone()), watch::Sender::new(false));

    let going_back = async {
        for time in 1..=TIMES {
            let new = post(&history, time * MESSAGES).await;
            let last = new[new.len() - 1];
            known.send_modify(|seqs| seqs.extend(new));
            history.stored(Seq::new(last)).await;
            // To where it was at some earlier time, before the one that is known best.
            let back = known.borrow()[usize::try_from(time * 17 % MESSAGES).unwrap()];
            history.backend.go_back_to(Seq::new(back)).await;
            sleep(Duration::from_millis(100) * u32::try_from(time).unwrap()).await;
        }
        history.stored(Seq::new(known.borrow()[known.borrow().len() - 1])).await;
        done.send_replace(true);
    };
    let reading = async {
        let (mut client, mut whole, mut refused) = (history.client(), 0, 0);
        while !*done.borrow() {
            let expected = known.borrow().clone();
            let (after, min_seq) = (first[0] - 1, expected[expected.len() - 1]);
            match client.list_events(within(DEADLINE, events(after, min_seq))).await {
                Ok(page) => {
                    let seqs: Vec<u64> = page.into_inner().events.iter().map(|event| event.seq).collect();
                    assert!(seqs.starts_with(&expected), "{} of {}", seqs.len(), expected.len());
                    whole += 1;
                }
                Err(status) => {
                    assert_eq!(code(&status), ErrorCode::NotYetStored, "{status:?}");
                    refused += 1;
                }
            }
        }
        (whole, refused)
    };
    let streaming = async {
        let (mut client, mut streams) = (history.client(), 0);
        while !*done.borrow() {
            let expected = known.borrow().clone();
            let mut stream = client.stream_events(as_service(stream(first[0] - 1))).await.unwrap().into_inner();
            let mut seen = Seen::default();
            bounded("it catches up", seen.read(&mut stream, |seen| !seen.caught_up.is_empty())).await;
            assert!(seen.seqs.starts_with(&expected), "{} of {}", seen.seqs.len(), expected.len());
            streams += 1;
        }
        streams
    };
    let ((), (whole, refused), streams) = tokio::join!(going_back, reading, streaming);
    assert!(whole > TIMES && streams >= TIMES, "{whole} reads and {streams} streams, {refused} refused");
}
