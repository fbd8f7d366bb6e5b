//! Reads that wait for a position, and answers that come in time whatever the store does.

use std::time::{Duration, Instant};

use huddle_proto::{
    ERROR_CODE_METADATA, STORED_SEQ_METADATA,
    gateway::v1::ErrorCode,
    history::v1::{
        FindSendsRequest, GetMessageRequest, ListEventsRequest, ListMessagesRequest, SendKey, StreamEventsRequest,
    },
};
use tonic::{Code, Response, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    backend::{as_service, eventually, within},
    support::{History, Seen, bounded, code},
};

const DEADLINE: Duration = Duration::from_secs(1);

fn events(min_seq: u64) -> ListEventsRequest {
    ListEventsRequest { team: "general".to_owned(), after: 0, limit: 0, min_seq }
}

#[tokio::test]
async fn a_read_waits_until_the_position_it_asks_for_is_stored() {
    let history = History::start().await;
    let storing = history.backend.keep_storing();
    history.found_general().await;
    drop(storing);
    let seq = history.post("general", "bob", "late", "late").await.get();
    let mut client = history.client();
    let read = tokio::spawn(async move { client.list_events(as_service(events(seq))).await });

    // The service is known to wait once a read with a shorter deadline has been turned away.
    let status = history.client().list_events(within(DEADLINE, events(seq))).await.unwrap_err();
    assert_eq!(code(&status), ErrorCode::NotYetStored);
    assert!(!read.is_finished());
    let _storing = history.backend.keep_storing();
    let page = bounded("the read ends", read).await.unwrap().unwrap().into_inner();
    assert_eq!(page.events.last().unwrap().seq, seq);
}

#[tokio::test]
async fn a_position_that_is_not_reached_in_time_is_refused_with_the_one_that_is() {
    let history = History::start().await;
    let storing = history.backend.keep_storing();
    let stored = history.found_general().await.get();
    drop(storing);
    let seq = history.post("general", "bob", "late", "late").await.get();
    let mut client = history.client();

    let messages = ListMessagesRequest { team: "general".to_owned(), min_seq: seq, ..ListMessagesRequest::default() };
    let message = GetMessageRequest { team: "general".to_owned(), seq, min_seq: seq };
    let start = Instant::now();
    let refusals = [
        client.list_events(within(DEADLINE, events(seq))).await.map(drop_answer),
        client.list_messages(within(DEADLINE, messages)).await.map(drop_answer),
        client.get_message(within(DEADLINE, message)).await.map(drop_answer),
    ];
    assert!(start.elapsed() < 3 * DEADLINE);
    for refusal in refusals {
        let status = refusal.unwrap_err();
        assert_eq!((status.code(), code(&status)), (Code::Unavailable, ErrorCode::NotYetStored));
        assert_eq!(status.metadata().get(STORED_SEQ_METADATA).unwrap(), &stored.to_string());
    }
}

#[tokio::test]
async fn every_method_answers_in_time_while_the_store_stands_still() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let mut health = HealthClient::new(history.channel.clone());
    let mut check = async || {
        let request = HealthCheckRequest { service: "huddle.history.v1.HistoryService".to_owned() };
        health.check(request).await.unwrap().into_inner().status()
    };
    eventually("it serves", async || check().await == ServingStatus::Serving).await;
    assert!(history.readiness.is_ready());

    history.backend.cable.cut();
    let team = || "general".to_owned();
    let key = SendKey { team: team(), sender: "bob".to_owned(), client_id: "c".to_owned() };
    let messages = ListMessagesRequest { team: team(), ..ListMessagesRequest::default() };
    let message = GetMessageRequest { team: team(), seq: 1, min_seq: 0 };
    let stream = StreamEventsRequest { team: team(), after: 0, min_seq: 0 };
    let sends = FindSendsRequest { keys: vec![key] };
    let client = || history.client();
    let start = Instant::now();
    let answers = tokio::join!(
        async { client().list_events(within(DEADLINE, events(0))).await.map(drop_answer) },
        async { client().list_messages(within(DEADLINE, messages)).await.map(drop_answer) },
        async { client().get_message(within(DEADLINE, message)).await.map(drop_answer) },
        async { client().stream_events(within(DEADLINE, stream)).await.map(drop_answer) },
        async { client().find_sends(within(DEADLINE, sends)).await.map(drop_answer) },
    );
    assert!(start.elapsed() < 2 * DEADLINE, "{:?}", start.elapsed());
    for answer in <[_; 5]>::from(answers) {
        let status = answer.unwrap_err();
        // The service's own answer, not the client's clock.
        assert_eq!((status.code(), code(&status)), (Code::Unavailable, ErrorCode::Unavailable));
        assert!(status.metadata().contains_key(ERROR_CODE_METADATA), "{status:?}");
    }
    eventually("it does not serve", async || check().await == ServingStatus::NotServing).await;
    assert!(!history.readiness.is_ready());

    history.backend.cable.mend();
    let mut client = history.client();
    eventually("reads work again", async || client.list_events(as_service(events(0))).await.is_ok()).await;
    eventually("it serves again", async || check().await == ServingStatus::Serving).await;
}

#[tokio::test]
async fn a_stream_ends_at_its_callers_deadline() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let request = StreamEventsRequest { team: "general".to_owned(), after: 0, min_seq: 0 };
    let mut stream = history.client().stream_events(within(DEADLINE, request)).await.unwrap().into_inner();
    let status = Seen::default().read_to_end(&mut stream).await;
    assert!(matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    eventually("the stream is closed", async || history.metrics.encode().unwrap().contains("history_streams 0")).await;
}

fn drop_answer<T>(_: Response<T>) {}

#[tokio::test]
async fn failures_are_counted_by_method_and_code() {
    let history = History::start().await;
    let answer: Result<_, Status> = history.client().list_events(events(0)).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
    let metrics = history.metrics.encode().unwrap();
    assert!(
        metrics.contains(r#"huddle_history_calls_total{method="ListEvents",code="UNAUTHENTICATED"} 1"#),
        "{metrics}"
    );
}
