//! One deployment, one team with a member who listens all the time, and the books about what was accepted and refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use huddle_client::{Encoding, Followed, Follower};
use huddle_domain::{Event, EventKind, Seq, TeamId};
use huddle_tests::{
    Backend, Deployment, DeploymentOptions,
    raw_ws::{Opening, RawWs, Received},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// The team in which everything happens that is not said to happen elsewhere.
pub(crate) const TEAM: &str = "bad-input";
/// Members of it. The listener does nothing wrong and misses nothing.
pub(crate) const OWNER: &str = "owner";
pub(crate) const MEMBER: &str = "member";
const LISTENER: &str = "listener";
/// Not a member of it.
pub(crate) const STRANGER: &str = "stranger";
/// Every body holds it, so that the logs can be searched for all of them at once.
pub(crate) const MARK: &str = "words-of-a-body";
/// The limits of the gateway under test.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 3;
pub(crate) const OUTBOX_BYTES_MAX: usize = 256 * 1024;
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The id of a token that is revoked from the start.
pub(crate) const REVOKED: &str = "revoked-from-the-start";
pub(crate) const ALLOWED_ORIGIN: &str = "https://chat.example";

const SECRET_BYTES_MIN: usize = 20;
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) deployment: Deployment,
    listener: Listener,
    /// What the gateway accepted in [`TEAM`]: position and body.
    accepted: BTreeMap<u64, String>,
    /// How often each error code was received.
    refused: BTreeMap<String, u64>,
    secrets: BTreeSet<String>,
    sends: u64,
    /// Holds the list of revoked tokens.
    folder: TempDir,
}

impl World {
    pub(crate) async fn start(backend: Backend) -> Result<Self> {
        let folder = TempDir::new()?;
        write_revoked(folder.path(), &[REVOKED])?;
        let settings = [
            ("auth.revoked_file", revoked_file(folder.path()).display().to_string()),
            ("gateway.hello_timeout", "2s".to_owned()),
            ("gateway.subscriptions_per_connection_max", SUBSCRIPTIONS_MAX.to_string()),
            ("gateway.outbox_max", format!("{}KiB", OUTBOX_BYTES_MAX / 1024)),
            ("gateway.allowed_origins", format!("[{ALLOWED_ORIGIN:?}]")),
            // What is said at this level must keep the secrets, too.
            ("telemetry.filter", "debug".to_owned()),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let options = DeploymentOptions { gateways: 1, settings, ..DeploymentOptions::default() };
        let deployment = Box::pin(Deployment::start(backend, options)).await?;
        deployment.create_team(TEAM, &[OWNER, MEMBER, LISTENER]).await?;
        let follower = Follower::new(
            deployment.client_options(0, LISTENER, Encoding::Proto)?,
            TeamId::parse(TEAM)?,
            Some(Seq::ZERO),
        );
        let mut world = Self {
            deployment,
            listener: Listener::start(follower),
            accepted: BTreeMap::new(),
            refused: BTreeMap::new(),
            secrets: BTreeSet::from([MARK.to_owned()]),
            sends: 0,
            folder,
        };
        world.secret(huddle_tests::SECRET);
        world.secret(huddle_tests::SERVICE_TOKEN);
        Ok(world)
    }

    /// The gateway's WebSocket endpoint.
    pub(crate) fn url(&self) -> String {
        self.deployment.ws_url(0)
    }

    /// A connection that has not said hello.
    pub(crate) async fn connect(&self) -> Result<RawWs> {
        RawWs::open(&self.url()).await
    }

    /// A JSON connection of `user`.
    pub(crate) async fn connect_as(&mut self, user: &str) -> Result<RawWs> {
        self.connect_with(user, Opening::default()).await
    }

    pub(crate) async fn connect_with(&mut self, user: &str, opening: Opening<'_>) -> Result<RawWs> {
        let token = self.token(user)?;
        let mut socket = RawWs::open_with(&self.url(), opening).await?;
        socket.hello(&token).await?;
        Ok(socket)
    }

    pub(crate) fn token(&mut self, user: &str) -> Result<String> {
        let token = self.deployment.token(user)?;
        self.secret(&token);
        Ok(token)
    }

    /// Revokes a token, besides those that are revoked already. The services learn of it in their own time.
    pub(crate) fn revoke(&self, jti: &str) -> Result<()> {
        write_revoked(self.folder.path(), &[REVOKED, jti])
    }

    /// Notes a text that no log may hold; shorter ones than a token could be there by chance.
    pub(crate) fn secret(&mut self, text: &str) {
        if text.len() >= SECRET_BYTES_MIN {
            self.secrets.insert(text.to_owned());
        }
    }

    /// Sends a new message to [`TEAM`], which must be accepted; returns its position and `client_id`.
    pub(crate) async fn say(&mut self, socket: &mut RawWs, text: &str) -> Result<(u64, String)> {
        self.sends += 1;
        let client_id = format!("say-{}", self.sends);
        let reply = self.send(socket, &client_id, &format!("{MARK} {text}")).await?;
        let seq = accepted_seq(&reply).with_context(|| format!("{text:.40} was answered with {reply}"))?;
        Ok((seq, client_id))
    }

    /// Sends to [`TEAM`] and notes what is accepted.
    pub(crate) async fn send(&mut self, socket: &mut RawWs, client_id: &str, body: &str) -> Result<Value> {
        let send = json!({"send": {"team": TEAM, "client_id": client_id, "body": body}});
        let reply = socket.request(send).await?;
        if let Some(seq) = accepted_seq(&reply) {
            self.note_accepted(seq, body);
        }
        Ok(reply)
    }

    pub(crate) fn note_accepted(&mut self, seq: u64, body: &str) {
        let before = self.accepted.insert(seq, body.to_owned());
        assert!(before.is_none_or(|before| before == body), "two messages at {seq}");
    }

    /// Notes what `socket` was refused, when it is no longer needed.
    pub(crate) fn retire(&mut self, socket: &RawWs) {
        for code in socket.refusals() {
            *self.refused.entry(code.clone()).or_default() += 1;
        }
    }

    /// Waits until the listener has seen everything up to `seq`.
    pub(crate) async fn wait_until_heard(&mut self, seq: u64) -> Result<()> {
        self.listener.wait_for(seq).await
    }

    /// How many connections the gateway has closed with the close code `code`.
    pub(crate) async fn closes(&self, code: &str) -> Result<f64> {
        let metrics = self.deployment.gateway_metrics(0).await?;
        Ok(metrics.series(&format!("huddle_gateway_closes_total{{code=\"CLOSE_CODE_{code}\"}}")).unwrap_or(0.0))
    }

    /// The most bytes that the gateway's process has had in memory so far.
    pub(crate) fn gateway_peak_memory_bytes(&mut self) -> Result<u64> {
        let pid = self.deployment.gateway_pid(0);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// Checks the books: the listener and the store have what was accepted and nothing else, the gateway counted what it
    /// refused, and nobody wrote a secret down.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let last = *self.accepted.last_key_value().context("nothing was accepted")?.0;
        self.listener.wait_for(last).await?;
        let Heard { events, disconnections } = self.listener.stop().await?;
        ensure!(disconnections.is_empty(), "the listener was disturbed: {disconnections:?}");
        let messages: Vec<(u64, String)> = events.iter().filter_map(posted).collect();
        let accepted: Vec<(u64, String)> = self.accepted.into_iter().collect();
        assert_eq!(messages, accepted, "what the listener received, and what was accepted");

        self.deployment.wait_until_stored().await?;
        let stored = self.deployment.stored_events(TEAM).await?;
        let stored: Vec<u64> = stored.iter().map(|event| event.seq).collect();
        let received: Vec<u64> = events.iter().map(|event| event.seq.get()).collect();
        assert_eq!(received, stored, "what the listener received, and what is stored");

        let metrics = self.deployment.gateway_metrics(0).await?;
        for (code, count) in &self.refused {
            #[expect(clippy::cast_precision_loss, reason = "a count of a few hundred")]
            let received = Some(*count as f64);
            let counted = metrics.series(&format!("huddle_gateway_refusals_total{{code=\"{code}\"}}"));
            assert_eq!(counted, received, "refusals with {code}: counted by the gateway, and received");
        }

        for log in self.deployment.logs() {
            search(&log, &self.secrets)?;
        }
        self.deployment.finish().await
    }
}

fn revoked_file(folder: &Path) -> PathBuf {
    folder.join("revoked.txt")
}

/// In one step, as administrators are told to.
fn write_revoked(folder: &Path, ids: &[&str]) -> Result<()> {
    let beside = folder.join("revoked.txt.new");
    fs::write(&beside, format!("# signed out\r\n{}\r\n", ids.join("\r\n")))?;
    Ok(fs::rename(beside, revoked_file(folder))?)
}

fn search(file: &Path, secrets: &BTreeSet<String>) -> Result<()> {
    let text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
    ensure!(!text.is_empty(), "{} is empty", file.display());
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        ensure!(line.is_none(), "{} holds {secret:?}: {line:?}", file.display());
    }
    Ok(())
}

fn posted(event: &Event) -> Option<(u64, String)> {
    match &event.kind {
        EventKind::Posted { body, .. } => Some((event.seq.get(), body.as_str().to_owned())),
        _ => None,
    }
}

/// The position in a first receipt; `None` when the reply is none.
pub(crate) fn accepted_seq(reply: &Value) -> Option<u64> {
    reply["accepted"]["seq"].as_str()?.parse().ok()
}

/// Asserts that a reply is the error `code` under the request id `reply_to`, that it says something, and nothing of any
/// body.
pub(crate) fn assert_refused(what: &str, reply: &Value, reply_to: &str, code: &str) {
    let error = &reply["error"];
    assert_eq!(error["code"], format!("ERROR_CODE_{code}"), "{what}: {reply}");
    assert_eq!(reply["reply_to"].as_str().unwrap_or_default(), reply_to, "{what}: {reply}");
    assert!(!error["retryable"].as_bool().unwrap_or_default(), "{what}: {reply}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty() && !message.contains(MARK), "{what}: {reply}");
}

/// Asserts that the connection says the error `code`, if one is expected, then closes with `close` and ends.
pub(crate) async fn assert_closes(what: &str, socket: &mut RawWs, code: Option<&str>, close: u16) -> Result<()> {
    let said = socket.until_the_end().await.with_context(|| what.to_owned())?;
    assert_closed(what, &said, code, close);
    Ok(())
}

/// The same about what has been read to the end. Frames that nobody asked for may come before that.
pub(crate) fn assert_closed(what: &str, said: &[Received], code: Option<&str>, close: u16) {
    let is_unasked = |received: &Received| matches!(received, Received::Frame(frame) if frame.get("error").is_none());
    let mut said = said.iter().filter(|received| !is_unasked(received));
    if let Some(code) = code {
        match said.next() {
            Some(Received::Frame(frame)) => assert_refused(what, frame, "", code),
            other => panic!("{what}: {other:?} instead of {code}"),
        }
    }
    assert_eq!(said.next(), Some(&Received::Close(Some(close))), "{what}");
    assert_eq!(said.next(), None, "{what}: after the close frame");
}

/// Receives everything in [`TEAM`] on connections of its own.
struct Listener {
    last: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Heard>>,
}

#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    disconnections: Vec<String>,
}

impl Listener {
    fn start(mut follower: Follower) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let (progress, last) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut heard = Heard::default();
            loop {
                let next = tokio::select! {
                    _ = stopped.changed() => return Ok(heard),
                    next = follower.next() => next?,
                };
                match next {
                    Followed::Event(event) => {
                        progress.send_replace(event.seq.get());
                        heard.events.push(event);
                    }
                    Followed::Disconnected { reason, .. } => heard.disconnections.push(reason),
                    _ => {}
                }
            }
        });
        Self { last, stop, task }
    }

    async fn wait_for(&mut self, seq: u64) -> Result<()> {
        let reached = timeout(LISTEN_TIMEOUT, self.last.wait_for(|last| *last >= seq)).await;
        reached.with_context(|| format!("the listener does not get as far as {seq}"))??;
        Ok(())
    }

    async fn stop(self) -> Result<Heard> {
        self.stop.send_replace(true);
        self.task.await?
    }
}
