//! One connection's handle: requests and their replies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use huddle_domain::{ClientId, Seq, Tags, TeamId};
use huddle_proto::{
    entity_to_wire,
    gateway::v1::{
        ClientFrame, Hello, ListEvents, Ping, Send, Subscribe, Unsubscribe, client_frame::Request,
        server_frame::Content,
    },
    mentions_to_wire,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout_at},
};

use crate::{
    Accepted, ClientOptions, ConnectError, Disconnect, EventPage, IncomingFrames, OutgoingMessage, RequestError,
    Subscribed, Token, Welcome,
    connection::{Command, Connection},
    handshake::{self, Opened},
    pending::{PendingReply, PendingRequests},
    wire,
};

/// How long a request may take, its waiting for a place in the queue included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests under way at once on one connection; more wait for a reply to come.
const REQUESTS_IN_FLIGHT_MAX: usize = 1_024;
/// Frames that wait for the socket.
const COMMANDS_MAX: usize = 256;
/// Incoming frames that wait to be taken; see [`IncomingFrames`].
const INCOMING_MAX: usize = 256;

/// A connection to a gateway. Clones share it; it is closed when the last one is dropped.
///
/// Every request is bounded in time, 20 s, after which its outcome is unknown.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    pending: PendingRequests,
    slots: Arc<Semaphore>,
    last_id: Arc<AtomicU64>,
    welcome: Arc<Welcome>,
}

impl Client {
    /// Connects and says hello, within 10 s.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up; nothing is left behind.
    pub async fn connect(options: &ClientOptions) -> Result<(Self, IncomingFrames), ConnectError> {
        let Opened { socket, welcome, early } = handshake::open(options).await?;
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (incoming, frames) = mpsc::channel(INCOMING_MAX);
        let pending = PendingRequests::new();
        let connection = Connection {
            encoding: options.encoding,
            commands: command_queue,
            pings: commands.downgrade(),
            pending: pending.clone(),
            incoming,
        };
        tokio::spawn(connection.run(socket, early));
        let client = Self {
            commands,
            pending,
            slots: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
            last_id: Arc::default(),
            welcome: Arc::new(welcome),
        };
        Ok((client, IncomingFrames { frames }))
    }

    /// What the gateway said at the beginning.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends a message and waits for the first receipt. A retry with the same `client_id`, on whatever connection, gets
    /// the same position.
    pub async fn send(
        &self,
        team: &TeamId,
        client_id: &ClientId,
        body: impl Into<String>,
    ) -> Result<Accepted, RequestError> {
        self.start_send(team, client_id, body).await?.accepted().await
    }

    /// Queues a message and returns at once, or when there is room. Sends to one team get their positions in the order
    /// in which these calls returned.
    ///
    /// # Cancel safety
    /// A dropped future may or may not have queued the message.
    pub async fn start_send(
        &self,
        team: &TeamId,
        client_id: &ClientId,
        body: impl Into<String>,
    ) -> Result<PendingSend, RequestError> {
        self.start_tagged(team, client_id, body.into(), &Tags::default()).await
    }

    /// As [`start_send`](Self::start_send), for a message that may have tags.
    pub async fn start_message(&self, message: &OutgoingMessage) -> Result<PendingSend, RequestError> {
        let OutgoingMessage { team, client_id, body, tags } = message;
        self.start_tagged(team, client_id, body.clone(), tags).await
    }

    async fn start_tagged(
        &self,
        team: &TeamId,
        client_id: &ClientId,
        body: String,
        tags: &Tags,
    ) -> Result<PendingSend, RequestError> {
        let send = Send {
            team: team.to_string(),
            client_id: client_id.to_string(),
            body,
            mentions: mentions_to_wire(tags),
            entity: entity_to_wire(tags),
        };
        Ok(PendingSend(self.start(Request::Send(send)).await?))
    }

    /// Starts the flow of a team's events into the [`IncomingFrames`]: those after the cursor `after`, each once, in order,
    /// without a gap, then [`Incoming::CaughtUp`](crate::Incoming::CaughtUp), then the live ones. Without a cursor only what
    /// happens from now on.
    pub async fn subscribe(&self, team: &TeamId, after: Option<Seq>) -> Result<Subscribed, RequestError> {
        let subscribe = Subscribe { team: team.to_string(), after: after.map(Seq::get) };
        match self.start(Request::Subscribe(subscribe)).await?.reply().await? {
            Content::Subscribed(subscribed) => Ok(Subscribed {
                team: wire::team(&subscribed.team).map_err(|_| RequestError::UnexpectedReply)?,
                last_seq: Seq::new(subscribed.last_seq),
            }),
            _ => Err(RequestError::UnexpectedReply),
        }
    }

    /// Ends the flow of a team's events. Those that came before are still in the [`IncomingFrames`].
    pub async fn unsubscribe(&self, team: &TeamId) -> Result<(), RequestError> {
        let unsubscribe = Unsubscribe { team: team.to_string() };
        match self.start(Request::Unsubscribe(unsubscribe)).await?.reply().await? {
            Content::Unsubscribed(_) => Ok(()),
            _ => Err(RequestError::UnexpectedReply),
        }
    }

    /// Reads a page of a team's events after the cursor `after` ([`Seq::ZERO`] = from its first event), oldest first; no
    /// subscription is needed. At most `limit` of them: 1 to 200; 0 = 100. The page reflects at least everything up to
    /// `min_seq`, or the gateway refuses; [`Seq::ZERO`] = whatever is stored. One page at a time on a connection.
    pub async fn list_events(
        &self,
        team: &TeamId,
        after: Seq,
        limit: u32,
        min_seq: Seq,
    ) -> Result<EventPage, RequestError> {
        self.start_page(team, after, limit, min_seq).await?.page().await
    }

    /// As [`list_events`](Self::list_events), in two steps.
    ///
    /// # Cancel safety
    /// Safe: a dropped future has asked for nothing.
    pub(crate) async fn start_page(
        &self,
        team: &TeamId,
        after: Seq,
        limit: u32,
        min_seq: Seq,
    ) -> Result<PendingPage, RequestError> {
        let list_events = ListEvents { team: team.to_string(), after: after.get(), limit, min_seq: min_seq.get() };
        Ok(PendingPage(self.start(Request::ListEvents(list_events)).await?))
    }

    /// Presents a fresh token of the same user, so that the connection outlives the one before.
    pub async fn present_token(&self, token: &Token) -> Result<Welcome, RequestError> {
        let hello = Hello { token: token.as_str().to_owned() };
        match self.start(Request::Hello(hello)).await?.reply().await? {
            Content::Welcome(welcome) => Welcome::from_wire(&welcome).map_err(|_| RequestError::UnexpectedReply),
            _ => Err(RequestError::UnexpectedReply),
        }
    }

    /// Asks for a sign of life. The connection does so by itself after 5 s of silence, and ends when none comes within
    /// another 10 s.
    pub async fn ping(&self) -> Result<(), RequestError> {
        match self.start(Request::Ping(Ping {})).await?.reply().await? {
            Content::Pong(_) => Ok(()),
            _ => Err(RequestError::UnexpectedReply),
        }
    }

    /// Closes the connection after the frames that are queued; requests under way fail. Returns at once: the last of the
    /// [`IncomingFrames`] tells the end.
    pub async fn close(&self) {
        // A connection that has ended is closed.
        let _ = self.commands.send(Command::Close).await;
    }

    /// Why the connection has ended; `None` while it is open.
    pub fn disconnected(&self) -> Option<Disconnect> {
        self.pending.closed()
    }

    async fn start(&self, request: Request) -> Result<InFlight, RequestError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let queue = async {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return Err(self.ended()) };
            let id = (self.last_id.fetch_add(1, Ordering::Relaxed) + 1).to_string();
            let reply = self.pending.register(id.clone())?;
            let frame = ClientFrame { id, request: Some(request) };
            self.commands.send(Command::Write(frame)).await.map_err(|_| self.ended())?;
            Ok(InFlight { reply, deadline, _slot: slot })
        };
        timeout_at(deadline, queue).await.unwrap_or(Err(RequestError::TimedOut(REQUEST_TIMEOUT)))
    }

    fn ended(&self) -> RequestError {
        RequestError::Disconnected(self.pending.closed().unwrap_or(Disconnect::ClosedHere))
    }
}

/// A message that is queued or under way. Dropping it gives up the wait for the receipt, not the message.
#[derive(Debug)]
pub struct PendingSend(InFlight);

impl PendingSend {
    /// Waits for the first receipt.
    pub async fn accepted(mut self) -> Result<Accepted, RequestError> {
        match self.0.reply().await? {
            Content::Accepted(accepted) => Accepted::from_wire(&accepted).map_err(|_| RequestError::UnexpectedReply),
            _ => Err(RequestError::UnexpectedReply),
        }
    }
}

/// A page that has been asked for.
#[derive(Debug)]
pub(crate) struct PendingPage(InFlight);

impl PendingPage {
    /// Waits for the page.
    ///
    /// # Cancel safety
    /// Safe: the page is still awaited when the future is dropped. Not to be called again once it has returned.
    pub(crate) async fn page(&mut self) -> Result<EventPage, RequestError> {
        match self.0.reply().await? {
            Content::Events(page) => EventPage::from_wire(page).map_err(|_| RequestError::UnexpectedReply),
            _ => Err(RequestError::UnexpectedReply),
        }
    }
}

/// A request that is queued or under way.
#[derive(Debug)]
struct InFlight {
    reply: PendingReply,
    deadline: Instant,
    _slot: OwnedSemaphorePermit,
}

impl InFlight {
    async fn reply(&mut self) -> Result<Content, RequestError> {
        match timeout_at(self.deadline, self.reply.reply()).await {
            Err(_) => Err(RequestError::TimedOut(REQUEST_TIMEOUT)),
            Ok(Ok(Content::Error(error))) => Err(RequestError::Refused(wire::refusal(error))),
            Ok(outcome) => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use huddle_domain::UserId;
    use huddle_proto::gateway::v1::{self as proto, ErrorCode};

    use super::*;
    use crate::{
        Incoming, ListedEvent,
        test_gateway::{TestGateway, event, within},
    };

    fn team() -> TeamId {
        TeamId::parse("demo").unwrap()
    }

    fn accepted(send: &Send, seq: u64) -> Content {
        let (team, client_id) = (send.team.clone(), send.client_id.clone());
        Content::Accepted(proto::Accepted { team, seq, client_id, duplicate: false })
    }

    fn refused(code: ErrorCode) -> Content {
        Content::Error(proto::Error { code: code.into(), message: "no".to_owned(), retryable: code.is_retryable() })
    }

    #[tokio::test]
    async fn replies_find_their_requests_in_whatever_order_they_come() {
        let gateway = TestGateway::start().await;
        let options = gateway.options();
        let (client, mut peer) = tokio::join!(Client::connect(&options), gateway.welcome());
        let (client, _frames) = client.unwrap();
        assert_eq!(client.welcome().user, UserId::parse("alice").unwrap());

        let first = client.start_send(&team(), &ClientId::parse("a").unwrap(), "1").await.unwrap();
        let second = client.start_send(&team(), &ClientId::parse("b").unwrap(), "2").await.unwrap();
        let mut requests = Vec::new();
        for _ in 0..2 {
            let (id, Request::Send(send)) = peer.request().await else { panic!("not a send") };
            requests.push((id, send));
        }
        assert_eq!(requests[0].1.body, "1", "frames keep the order of the calls");
        let (id, _) = requests.remove(1);
        peer.reply(id, refused(ErrorCode::Forbidden)).await;
        let (id, send) = requests.remove(0);
        peer.reply(id, accepted(&send, 7)).await;

        assert_eq!(within(first.accepted()).await.unwrap().seq, Seq::new(7));
        assert_eq!(within(second.accepted()).await.unwrap_err().code(), Some(ErrorCode::Forbidden));
    }

    #[tokio::test]
    async fn the_end_of_the_connection_fails_what_is_under_way_and_is_told_last() {
        let gateway = TestGateway::start().await;
        let options = gateway.options();
        let (client, mut peer) = tokio::join!(Client::connect(&options), gateway.welcome());
        let (client, mut frames) = client.unwrap();
        let pending = client.start_send(&team(), &ClientId::parse("a").unwrap(), "1").await.unwrap();
        peer.request().await;
        peer.event(5, 0).await;
        peer.close(4000).await;

        let Err(RequestError::Disconnected(disconnect)) = within(pending.accepted()).await else {
            panic!("not disconnected")
        };
        assert_eq!(disconnect, Disconnect::Closed { code: 4000, reason: "test".to_owned() });
        assert!(matches!(within(frames.next()).await, Some(Incoming::Event(_))));
        assert!(matches!(within(frames.next()).await, Some(Incoming::Closed(it)) if it == disconnect));
        assert!(within(frames.next()).await.is_none());
        assert!(matches!(client.ping().await, Err(RequestError::Disconnected(_))));
    }

    #[tokio::test]
    async fn a_refused_hello_is_an_error_that_says_whether_to_come_back() {
        let gateway = TestGateway::start().await;
        let options = gateway.options();
        let gatekeeper = async {
            let mut peer = gateway.accept().await;
            let (id, _) = peer.request().await;
            peer.reply(id, refused(ErrorCode::TokenExpired)).await;
            peer.close(4401).await;
        };
        let (outcome, ()) = tokio::join!(Client::connect(&options), gatekeeper);
        let error = outcome.unwrap_err();
        assert!(matches!(&error, ConnectError::Refused(refusal) if refusal.code == ErrorCode::TokenExpired));
        assert_eq!(error.reconnect(), crate::Reconnect::Never);
    }

    #[tokio::test]
    async fn a_page_holds_events_of_all_kinds_and_says_whether_there_are_more() {
        let gateway = TestGateway::start().await;
        let options = gateway.options();
        let (client, mut peer) = tokio::join!(Client::connect(&options), gateway.welcome());
        let (client, _frames) = client.unwrap();
        let demo = team();
        let asking = client.list_events(&demo, Seq::new(3), 2, Seq::new(9));
        let answering = async {
            let (id, Request::ListEvents(asked)) = peer.request().await else { panic!("no page is asked for") };
            assert_eq!((asked.team.as_str(), asked.after, asked.limit, asked.min_seq), ("demo", 3, 2, 9));
            let from_the_future = huddle_proto::event::v1::Event { kind: None, ..event(9, 4) };
            let events = vec![event(4, 3), from_the_future];
            peer.reply(id, Content::Events(proto::Events { team: asked.team, events, has_more: true })).await;
        };
        let (page, ()) = tokio::join!(within(asking), answering);
        let page = page.unwrap();
        assert!(matches!(page.events[0], ListedEvent::Event(_)));
        assert_eq!(page.events[1], ListedEvent::Unknown { seq: Seq::new(9), prev_seq: Seq::new(4) });
        assert_eq!((page.events.iter().map(ListedEvent::seq).max(), page.has_more), (Some(Seq::new(9)), true));
    }

    #[tokio::test]
    async fn the_last_handle_closes_the_connection_after_what_is_queued() {
        let gateway = TestGateway::start().await;
        let options = gateway.options();
        let (client, mut peer) = tokio::join!(Client::connect(&options), gateway.welcome());
        let (client, mut frames) = client.unwrap();
        let _pending = client.start_send(&team(), &ClientId::parse("a").unwrap(), "1").await.unwrap();
        drop(client);
        assert!(matches!(peer.request().await.1, Request::Send(_)));
        assert_eq!(peer.closed().await, Some(1000));
        assert!(matches!(within(frames.next()).await, Some(Incoming::Closed(Disconnect::ClosedHere))));
    }

    #[tokio::test]
    async fn a_gateway_that_falls_silent_is_asked_and_then_given_up() {
        let gateway = TestGateway::start().await;
        let options = gateway.options();
        let (client, mut peer) = tokio::join!(Client::connect(&options), gateway.welcome());
        let (_client, mut frames) = client.unwrap();
        // The clock only stands still from here on: it would jump over the real sockets of the handshake.
        tokio::time::pause();
        assert!(matches!(peer.request().await.1, Request::Ping(_)));
        assert!(matches!(frames.next().await, Some(Incoming::Closed(Disconnect::Silent))));
    }

    #[tokio::test]
    async fn an_address_without_a_gateway_is_told_apart_from_one_that_is_down() {
        let options = ClientOptions::new("wss://127.0.0.1:1/v1/ws", "token");
        assert!(matches!(Client::connect(&options).await, Err(ConnectError::InvalidUrl { .. })));
        let options = ClientOptions::new("ws://127.0.0.1:1/v1/ws", "token");
        let error = Client::connect(&options).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
        assert_eq!(error.reconnect(), crate::Reconnect::AfterWait);
    }
}
