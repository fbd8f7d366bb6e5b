//! The connection to NATS: how it is made, what it must offer, and what it tells about itself.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerInfo,
    jetstream::{
        self, ErrorCode,
        context::{AccountErrorKind, Context, ContextBuilder},
    },
};
use huddle_domain::Partitions;
use huddle_log::LogError;
use tokio::sync::watch;

use crate::{
    config::Config,
    floor::Floors,
    retry::{self, Cause, Limits, Miss, REQUEST_TIMEOUT, until_answered, until_answered_for},
};

/// How often the server is pinged; after two unanswered pings the connection is given up. A paused server is thus
/// noticed in seconds: the default would take minutes.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long one server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The client pauses before each server that it tries, for at most as long as [`retry::pause`] says.
const CONNECT_PAUSE_ALLOWANCE: Duration = Duration::from_millis(600);
/// Messages that wait in one subscription before further ones are dropped and the feed is marked as interrupted.
const SUBSCRIPTION_CAPACITY: usize = 4_096;
/// The oldest server with atomic batches.
const SERVER_VERSION_MIN: (u32, u32) = (2, 12);

/// A live connection and what hangs on it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) signals: Arc<Signals>,
    pub(crate) floors: Arc<Floors>,
}

/// What the connection tells about itself. The values count the occasions; only their changes matter.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Connected or disconnected: requests in flight may have no reply coming.
    pub(crate) connection: watch::Sender<u64>,
    /// Live messages may have been missed.
    pub(crate) interruption: watch::Sender<u64>,
    /// A partition has another leader.
    pub(crate) election: watch::Sender<u64>,
}

impl Signals {
    fn new() -> Self {
        let signal = || watch::Sender::new(0);
        Self { connection: signal(), interruption: signal(), election: signal() }
    }

    pub(crate) fn interrupt(&self) {
        self.interruption.send_modify(|count| *count += 1);
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!("connected to nats");
                self.connection.send_modify(|count| *count += 1);
            }
            Event::Disconnected => {
                tracing::warn!("lost the connection to nats");
                self.connection.send_modify(|count| *count += 1);
                // Before anything comes over the next connection. Whoever asks for a position now is answered over that
                // one, where the subscriptions are made first.
                self.interrupt();
            }
            Event::SlowConsumer(_) => {
                tracing::warn!("messages from nats were dropped: the reader is too slow");
                self.interrupt();
            }
            Event::ServerError(error) => tracing::warn!(%error, "nats server error"),
            Event::ClientError(error) => tracing::debug!(%error, "nats client error"),
            Event::LameDuckMode | Event::Draining | Event::Closed => tracing::debug!(%event, "nats event"),
        }
    }
}

impl Link {
    /// Connects and checks the server, trying for some seconds while it cannot be reached.
    pub(crate) async fn open(config: &Config) -> Result<Self, LogError> {
        let signals = Arc::new(Signals::new());
        let client = connect(config, "huddle", {
            let signals = Arc::clone(&signals);
            move |event| signals.note(event)
        })
        .await?;
        let jetstream = ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        // Settings that are out of their bounds have been refused before.
        let partitions = Partitions::new(config.partitions).unwrap_or(Partitions::ONE);
        let floors = Arc::new(Floors::new(partitions));
        let link = Self { client, jetstream, signals, floors };
        link.check_server().await?;
        Ok(link)
    }

    /// Whether the server is new enough and offers JetStream to this account.
    async fn check_server(&self) -> Result<(), LogError> {
        let info = self.client.server_info();
        check_version(&info.version)?;
        until_answered("asking nats for its JetStream account", || async {
            match self.jetstream.query_account().await {
                Ok(_) => Ok(()),
                Err(error) => Err(match error.kind() {
                    AccountErrorKind::JetStreamUnavailable if !info.jetstream => Miss::Final(LogError::Unsuitable {
                        problem: "JetStream is not enabled on the NATS server".to_owned(),
                        remedy: "add `jetstream { store_dir: \"...\", sync_interval: always }` to the server's \
                                 configuration"
                            .to_owned(),
                    }),
                    AccountErrorKind::JetStream(error) if is_disabled_for_account(&error) => {
                        Miss::Final(LogError::Unsuitable {
                            problem: "JetStream is not enabled for this NATS account".to_owned(),
                            remedy: "add `jetstream: enabled` to the account in the server's configuration".to_owned(),
                        })
                    }
                    _ => Miss::Retry(Cause::of(&error)),
                }),
            }
        })
        .await
    }
}

fn is_disabled_for_account(error: &jetstream::Error) -> bool {
    matches!(error.error_code(), ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT | ErrorCode::JETSTREAM_NOT_ENABLED)
}

/// Connects under the name `name`, trying for some seconds while no server can be reached. `note` is told of every event of
/// the connection, and must not block.
pub(crate) async fn connect(
    config: &Config,
    name: &str,
    note: impl Fn(&Event) + Clone + Send + Sync + 'static,
) -> Result<Client, LogError> {
    let servers = config.servers.iter().map(|server| parse_server(server)).collect::<Result<Vec<_>, _>>()?;
    let credentials = servers.iter().find_map(credentials);
    // One attempt goes through all servers.
    let attempt = (CONNECT_TIMEOUT + CONNECT_PAUSE_ALLOWANCE) * u32::try_from(servers.len()).unwrap_or(u32::MAX);
    let limits = Limits { attempt, ..Limits::default() };
    until_answered_for("connecting to nats", limits, || {
        let (servers, options) = (servers.clone(), options(name, credentials.clone(), note.clone()));
        async move { options.connect(servers).await.map_err(|error| refusal(&error)) }
    })
    .await
}

/// What the very server at `server` says of itself.
pub(crate) async fn connect_to_one(server: &str) -> Result<ServerInfo, Cause> {
    let address = parse_server(server).map_err(|error| Cause::of(&error))?;
    let options = authenticated(credentials(&address))
        .name("huddle")
        .connection_timeout(CONNECT_TIMEOUT)
        .max_reconnects(1)
        .ignore_discovered_servers();
    let client = options.connect(address).await.map_err(|error| match refusal(&error) {
        Miss::Retry(cause) => cause,
        Miss::Final(error) => Cause::of(&error),
    })?;
    Ok(client.server_info())
}

fn options(
    name: &str,
    credentials: Option<(String, String)>,
    note: impl Fn(&Event) + Send + Sync + 'static,
) -> ConnectOptions {
    authenticated(credentials)
        .name(name)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(|attempts| {
            retry::pause(u32::try_from(attempts).unwrap_or(u32::MAX).saturating_sub(1))
        })
        .event_callback(move |event| {
            note(&event);
            std::future::ready(())
        })
}

/// The user and the password in an address, which the client does not look for. The servers of one cluster take the same.
fn credentials(server: &ServerAddr) -> Option<(String, String)> {
    let user = server.username()?;
    Some((percent_decoded(user), percent_decoded(server.password().unwrap_or_default())))
}

fn authenticated(credentials: Option<(String, String)>) -> ConnectOptions {
    match credentials {
        Some((user, password)) => ConnectOptions::new().user_and_password(user, password),
        None => ConnectOptions::new(),
    }
}

/// `text` with `%40` and the like replaced by what they stand for.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The address itself is not repeated in the error: it may hold a password.
fn parse_server(server: &str) -> Result<ServerAddr, LogError> {
    server.parse().map_err(|_| LogError::Unsuitable {
        problem: "an entry of `servers` is no address".to_owned(),
        remedy: "write it as nats://host:port".to_owned(),
    })
}

fn refusal(error: &async_nats::ConnectError) -> Miss {
    let unsuitable = |problem: &str, remedy: &str| {
        Miss::Final(LogError::Unsuitable { problem: problem.to_owned(), remedy: remedy.to_owned() })
    };
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => unsuitable(
            "the NATS server refuses the credentials",
            "write the right ones into `servers` as nats://user:password@host:port",
        ),
        ConnectErrorKind::Tls => unsuitable(
            "TLS with the NATS server cannot be set up",
            "check the server's certificate, and whether `servers` should say nats:// or tls://",
        ),
        ConnectErrorKind::ServerParse => {
            unsuitable("an entry of `servers` is no address", "write it as nats://host:port")
        }
        ConnectErrorKind::Dns | ConnectErrorKind::TimedOut | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            Miss::Retry(Cause::of(error))
        }
    }
}

fn check_version(version: &str) -> Result<(), LogError> {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= SERVER_VERSION_MIN {
        return Ok(());
    }
    let (major, minor) = SERVER_VERSION_MIN;
    Err(LogError::Unsuitable {
        problem: format!("the NATS server is version {version}, and Huddle needs {major}.{minor} or newer"),
        remedy: format!("upgrade nats-server to {major}.{minor} or newer, which has atomic batches"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_from_an_address_as_they_were_meant() {
        let of = |server| credentials(&parse_server(server).unwrap());
        assert_eq!(of("nats://h:1"), None);
        assert_eq!(of("ann:secret@h:1"), Some(("ann".to_owned(), "secret".to_owned())));
        assert_eq!(of("tls://ann@h"), Some(("ann".to_owned(), String::new())));
        assert_eq!(of("nats://a%3Ab:p%40%2fq%C3%A4%25@h"), Some(("a:b".to_owned(), "p@/qä%".to_owned())));
        assert_eq!(percent_decoded("%4%zz%"), "%4%zz%");
    }

    #[test]
    fn servers_without_atomic_batches_are_refused() {
        for (version, fit) in [("2.12.0", true), ("2.15.1", true), ("3.0.0-beta", true), ("2.11.9", false), ("", false)]
        {
            assert_eq!(check_version(version).is_ok(), fit, "{version}");
        }
    }
}
