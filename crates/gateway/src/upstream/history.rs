//! History, as the gateway needs it.

use std::{sync::Arc, time::Duration};

use huddle_domain::{Event, SendKey, Seq, TeamId};
use huddle_proto::{
    Refusal,
    gateway::v1::ErrorCode,
    history::v1::{
        self as wire, FindSendsRequest, ListEventsRequest, ListEventsResponse, ListMentionsRequest,
        ListMentionsResponse, ListMessagesRequest, ListMessagesResponse, history_service_client::HistoryServiceClient,
    },
};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{ServiceToken, bearer, bounded, request};
use crate::metrics::GatewayMetrics;

/// How long a page may take, the wait for `min_seq` included.
const PAGE_DEADLINE: Duration = Duration::from_secs(8);
/// How long the look-up of earlier sends may take: senders wait for it.
const FIND_SENDS_DEADLINE: Duration = Duration::from_millis(500);
/// Events per page: 200 of the largest (16 KB) stay below gRPC's limit of 4 MiB per message.
const PAGE_EVENTS: u32 = 200;

/// A client of history.
#[derive(Debug, Clone)]
pub(crate) struct History {
    client: HistoryServiceClient<Channel>,
    token: ServiceToken,
    metrics: GatewayMetrics,
}

impl History {
    pub(crate) fn new(channel: Channel, token: ServiceToken, metrics: GatewayMetrics) -> Self {
        Self { client: HistoryServiceClient::new(channel), token, metrics }
    }

    /// Events of `team` after `after`, oldest first, and whether there are more; reaching at least to `min_seq`.
    pub(crate) async fn list_events(
        &self,
        team: &TeamId,
        after: Seq,
        min_seq: Seq,
    ) -> Result<(Vec<Arc<Event>>, bool), Refusal> {
        let message = ListEventsRequest {
            team: team.to_string(),
            after: after.get(),
            limit: PAGE_EVENTS,
            min_seq: min_seq.get(),
        };
        self.metrics.upstream_call("list_events");
        let mut client = self.client.clone();
        let page = bounded(PAGE_DEADLINE, client.list_events(request(message, &self.token.0, PAGE_DEADLINE))).await?;
        let events =
            page.events.into_iter().map(|event| Event::try_from(event).map(Arc::new)).collect::<Result<_, _>>();
        Ok((events.map_err(|error| unreadable(&error))?, page.has_more))
    }

    /// A page of events, whoever may read it.
    pub(crate) async fn page_of_events(&self, message: ListEventsRequest) -> Result<ListEventsResponse, Refusal> {
        self.metrics.upstream_call("list_events");
        let mut client = self.client.clone();
        bounded(PAGE_DEADLINE, client.list_events(request(message, &self.token.0, PAGE_DEADLINE))).await
    }

    /// A page of messages, on behalf of the user whose token it is: history checks that the user may read.
    pub(crate) async fn list_messages(
        &self,
        user_token: &str,
        message: ListMessagesRequest,
    ) -> Result<ListMessagesResponse, Refusal> {
        let token = user_bearer(user_token)?;
        self.metrics.upstream_call("list_messages");
        let mut client = self.client.clone();
        bounded(PAGE_DEADLINE, client.list_messages(request(message, &token, PAGE_DEADLINE))).await
    }

    /// A page of the messages that mention a user, on behalf of the user whose token it is.
    pub(crate) async fn list_mentions(
        &self,
        user_token: &str,
        message: ListMentionsRequest,
    ) -> Result<ListMentionsResponse, Refusal> {
        let token = user_bearer(user_token)?;
        self.metrics.upstream_call("list_mentions");
        let mut client = self.client.clone();
        bounded(PAGE_DEADLINE, client.list_mentions(request(message, &token, PAGE_DEADLINE))).await
    }

    /// The stored events that have one of `keys`.
    pub(crate) async fn find_sends(&self, keys: &[SendKey]) -> Result<Vec<Event>, Refusal> {
        let keys = keys
            .iter()
            .map(|key| wire::SendKey {
                team: key.team.to_string(),
                sender: key.sender.to_string(),
                client_id: key.client_id.to_string(),
            })
            .collect();
        self.metrics.upstream_call("find_sends");
        let mut client = self.client.clone();
        let call = client.find_sends(request(FindSendsRequest { keys }, &self.token.0, FIND_SENDS_DEADLINE));
        let found = bounded(FIND_SENDS_DEADLINE, call).await?;
        found.events.into_iter().map(Event::try_from).collect::<Result<_, _>>().map_err(|error| unreadable(&error))
    }
}

fn user_bearer(token: &str) -> Result<MetadataValue<Ascii>, Refusal> {
    bearer(token).map_err(|_| Refusal::new(ErrorCode::InvalidToken, "the token holds characters that no token has"))
}

fn unreadable(error: &huddle_proto::EventError) -> Refusal {
    tracing::error!(%error, "history answered with an event that cannot be read");
    Refusal::new(ErrorCode::Internal, "something went wrong inside; retry")
}
