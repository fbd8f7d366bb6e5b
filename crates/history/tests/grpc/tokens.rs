//! Who may call what; and what needs no token.

use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{
        FindSendsRequest, GetMessageRequest, ListEventsRequest, ListMessagesRequest, SendKey, StreamEventsRequest,
    },
};
use tonic::{Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use crate::{
    backend::{SERVICE_TOKEN, eventually, expired_token, token, with},
    support::History,
};

const METHODS: [&str; 5] = ["ListMessages", "GetMessage", "ListEvents", "StreamEvents", "FindSends"];

/// Calls `method` for `team` and returns what was refused, if anything.
async fn call(history: &History, method: &str, token: Option<&str>, team: &str, seq: u64) -> Option<Refusal> {
    fn request<T>(token: Option<&str>, message: T) -> Request<T> {
        match token {
            Some(token) => with(token, message),
            None => Request::new(message),
        }
    }
    let (mut client, team) = (history.client(), team.to_owned());
    let status: Option<Status> = match method {
        "ListMessages" => {
            let message = ListMessagesRequest { team, ..ListMessagesRequest::default() };
            client.list_messages(request(token, message)).await.err()
        }
        "GetMessage" => client.get_message(request(token, GetMessageRequest { team, seq, min_seq: 0 })).await.err(),
        "ListEvents" => {
            let message = ListEventsRequest { team, ..ListEventsRequest::default() };
            client.list_events(request(token, message)).await.err()
        }
        "StreamEvents" => {
            let message = StreamEventsRequest { team, after: 0, min_seq: 0 };
            client.stream_events(request(token, message)).await.err()
        }
        _ => {
            let key = SendKey { team, sender: "bob".to_owned(), client_id: "hello".to_owned() };
            client.find_sends(request(token, FindSendsRequest { keys: vec![key] })).await.err()
        }
    };
    status.map(|status| Refusal::from_status(&status))
}

#[tokio::test]
async fn each_token_opens_what_it_should_and_no_more() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let seq = history.post("general", "bob", "hello", "hello").await;
    history.stored(seq).await;

    history.backend.revoke("carol");

    let user = |name| Some(token(name));
    let callers = [
        ("service", Some(SERVICE_TOKEN.to_owned()), None, None),
        ("owner", user("ada"), None, Some(ErrorCode::Forbidden)),
        ("member", user("bob"), None, Some(ErrorCode::Forbidden)),
        ("ex-member", user("eve"), Some(ErrorCode::NotFound), Some(ErrorCode::Forbidden)),
        ("other team's owner", user("mallory"), Some(ErrorCode::NotFound), Some(ErrorCode::Forbidden)),
        ("stranger", user("nobody"), Some(ErrorCode::NotFound), Some(ErrorCode::Forbidden)),
        ("expired", Some(expired_token("bob")), Some(ErrorCode::TokenExpired), Some(ErrorCode::TokenExpired)),
        ("revoked", user("carol"), Some(ErrorCode::TokenRevoked), Some(ErrorCode::TokenRevoked)),
        ("nonsense", Some("a.b.c".to_owned()), Some(ErrorCode::InvalidToken), Some(ErrorCode::InvalidToken)),
        ("nobody at all", None, Some(ErrorCode::InvalidToken), Some(ErrorCode::InvalidToken)),
    ];
    for (who, token, to_read, to_find_sends) in callers {
        for method in METHODS {
            let expected = if method == "FindSends" { to_find_sends } else { to_read };
            let refusal = call(&history, method, token.as_deref(), "general", seq.get()).await;
            assert_eq!(refusal.map(|refusal| refusal.code), expected, "{who} calls {method}");
        }
    }
}

#[tokio::test]
async fn a_team_that_does_not_exist_and_one_that_is_closed_to_the_user_answer_alike() {
    let history = History::start().await;
    let _storing = history.backend.keep_storing();
    history.found_general().await;
    let seq = history.post("elsewhere", "mallory", "hello", "hello").await;
    history.stored(seq).await;
    let token = token("bob");
    for method in METHODS {
        let closed = call(&history, method, Some(&token), "elsewhere", seq.get()).await;
        let missing = call(&history, method, Some(&token), "no-such-team", seq.get()).await;
        assert!(closed.is_some(), "{method}");
        assert_eq!(closed, missing, "{method}");
    }
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let history = History::start().await;
    let mut health = HealthClient::new(history.channel.clone());
    for service in ["", "huddle.history.v1.HistoryService"] {
        eventually("it serves", async || {
            let request = HealthCheckRequest { service: service.to_owned() };
            health.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
        })
        .await;
    }

    let symbol = "huddle.history.v1.HistoryService".to_owned();
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(history.channel.clone());
    let ask = |request| v1::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let asked = tokio_stream::iter([
        ask(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        ask(v1::server_reflection_request::MessageRequest::FileContainingSymbol(symbol.clone())),
    ]);
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    let services = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(services) = services else {
        panic!("{services:?}")
    };
    assert!(services.service.iter().any(|service| service.name == symbol), "{services:?}");
    let file = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(file, v1::server_reflection_response::MessageResponse::FileDescriptorResponse(_)), "{file:?}");

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(history.channel.clone());
    let request = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol);
    let asked = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = client.server_reflection_info(tokio_stream::iter([asked])).await.unwrap().into_inner();
    let file = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(
        matches!(file, v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)),
        "{file:?}"
    );
}
