//! Owns groups of clients that follow a plan: of Huddle's own protocol in Node (`ws`), in Python (`websockets`), and our
//! own in Rust; of LabelLab's protocol in Node (three generations of `socket.io-client`) and Python (`python-socketio`).
//!
//! All do the same: connect, show their token, subscribe; on [`Clients::go`] send what the plan says, some at once; on a
//! lost connection go on at the next address, from their cursors, and repeat under the same `client_id` what is not
//! stored yet. They note down what they receive and judge nothing: [`Record`]s are for the test to check.

mod foreign;
mod ours;
mod record;
mod socketio;

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde::Serialize;

use foreign::ForeignClients;
use ours::OurClients;
pub use record::{Accepted, Content, Entry, EventSeen, Record};

/// Who talks to the gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientKind {
    /// Node with npm's `ws`, JSON frames.
    Node,
    /// Python with PyPI's `websockets`, JSON frames.
    Python,
    /// `huddle-client`, protobuf frames.
    Rust,
    /// A client of Socket.IO. It has one address, receives messages alone of a team's events, and subscribes to all
    /// teams of its user, whatever its plan says.
    SocketIo(Library, Transport),
}

/// Who wrote a client of Socket.IO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    /// npm's `socket.io-client` 2, of Engine.IO 3.
    JavaScript2,
    /// npm's `socket.io-client` 3, of Engine.IO 4.
    JavaScript3,
    /// npm's `socket.io-client` 4, of Engine.IO 4.
    JavaScript4,
    /// PyPI's `python-socketio` 5, of Engine.IO 4.
    Python,
}

/// How a client of Socket.IO talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// By requests alone.
    Polling,
    /// By a WebSocket from the beginning.
    WebSocket,
    /// By requests until a WebSocket is open.
    Upgrade,
}

impl ClientKind {
    /// Every kind that talks Huddle's own protocol.
    pub const NATIVE: [Self; 3] = [Self::Node, Self::Python, Self::Rust];

    /// Every kind that talks Socket.IO.
    pub fn socket_io() -> Vec<Self> {
        let libraries = [Library::JavaScript2, Library::JavaScript3, Library::JavaScript4, Library::Python];
        let transports = [Transport::Polling, Transport::WebSocket, Transport::Upgrade];
        let of = |library| transports.into_iter().map(move |transport| Self::SocketIo(library, transport));
        libraries.into_iter().flat_map(of).collect()
    }
}

impl Transport {
    /// As the libraries want them named.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Polling => &["polling"],
            Self::WebSocket => &["websocket"],
            Self::Upgrade => &["polling", "websocket"],
        }
    }
}

/// What one connection does.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectionPlan {
    /// Names it in the records; unique in its group, no white space.
    pub name: String,
    /// WebSocket endpoints: the first is tried first, the next after each lost connection. For a client of Socket.IO one
    /// `http://host:port`.
    pub urls: Vec<String>,
    /// The user's token.
    pub token: String,
    /// The teams to subscribe to.
    pub subscriptions: Vec<SubscriptionPlan>,
    /// What to send on [`Clients::go`], in this order.
    pub sends: Vec<SendPlan>,
    /// Sends at once that wait for their first receipt, at least 1.
    pub in_flight_max: usize,
}

/// One subscription of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct SubscriptionPlan {
    /// The team.
    pub team: String,
    /// The cursor to begin with; a text, as 64-bit numbers are in JSON.
    #[serde(serialize_with = "as_text")]
    pub after: Option<u64>,
    /// The connection is done when it has received this many messages of the team.
    pub messages: usize,
}

/// One send of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct SendPlan {
    /// The team.
    pub team: String,
    /// The idempotency key.
    pub client_id: String,
    /// The text.
    pub body: String,
}

/// A group of clients at work. They end when it is dropped.
#[derive(Debug)]
pub struct Clients(Inner);

#[derive(Debug)]
enum Inner {
    Foreign(Box<ForeignClients>),
    Ours(OurClients),
}

impl Clients {
    /// Starts a client for each of `plans`; they connect and subscribe at once. `files` is a directory for records.
    pub async fn start(kind: ClientKind, plans: Vec<ConnectionPlan>, files: &Path) -> Result<Self> {
        Ok(Self(match kind {
            ClientKind::Rust => Inner::Ours(OurClients::start(plans)),
            ClientKind::Node | ClientKind::Python | ClientKind::SocketIo(..) => {
                Inner::Foreign(Box::new(ForeignClients::start(kind, plans, files).await?))
            }
        }))
    }

    /// Waits until every client has caught up with all its teams.
    pub async fn caught_up(&mut self, bound: Duration) -> Result<()> {
        match &mut self.0 {
            Inner::Foreign(clients) => clients.expect("caught_up", bound).await,
            Inner::Ours(clients) => clients.caught_up(bound).await,
        }
    }

    /// Lets every client send. Only after [`Clients::caught_up`].
    pub async fn go(&mut self) -> Result<()> {
        match &mut self.0 {
            Inner::Foreign(clients) => clients.say("go").await,
            Inner::Ours(clients) => {
                clients.go();
                Ok(())
            }
        }
    }

    /// Waits until every client has both receipts for all its sends and as many messages as it waits for. Only after
    /// [`Clients::go`].
    pub async fn done(&mut self, bound: Duration) -> Result<()> {
        match &mut self.0 {
            Inner::Foreign(clients) => clients.expect("done", bound).await,
            Inner::Ours(clients) => clients.done(bound).await,
        }
    }

    /// Lets every client unsubscribe and close; returns what each received, in the order of the plans.
    pub async fn stop(self, bound: Duration) -> Result<Vec<Record>> {
        match self.0 {
            Inner::Foreign(clients) => clients.stop(bound).await,
            Inner::Ours(clients) => clients.stop(bound).await,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_text<S: serde::Serializer>(seq: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match seq {
        Some(seq) => serializer.serialize_some(&seq.to_string()),
        None => serializer.serialize_none(),
    }
}
