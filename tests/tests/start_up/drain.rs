//! A gateway that is told to end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use huddle_devstack::Signal;
use huddle_tests::{
    Cluster, ClusterOptions, http,
    raw_ws::{Opened, Opening, RawWs, Received},
    until,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

const TEAM: &str = "drained";
const DRAIN: Duration = Duration::from_secs(2);
/// What a drain takes beyond its own time.
const MARGIN: Duration = Duration::from_secs(5);
/// The gateway tells its clients to come back over two seconds.
const RECONNECT_MAX: Duration = Duration::from_secs(10);
const READERS: usize = 20;
/// Sends of one connection that are under way when its gateway is told to end.
const SENDS_UNDER_WAY: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_ends_sends_its_clients_elsewhere_and_they_miss_nothing() -> Result<()> {
    let settings = vec![("gateway.drain".to_owned(), format!("{}s", DRAIN.as_secs()))];
    let mut cluster = Box::pin(Cluster::start(ClusterOptions { settings, ..ClusterOptions::default() })).await?;
    cluster.create_team(TEAM, &["reader", "talker", "sender"]).await?;
    let [ending, staying] = [0, 1].map(|index| cluster.gateways[index].ws_url());
    let [reader, talker, own] = ["reader", "talker", "sender"].map(|user| cluster.token(user));
    let (reader, talker, own) = (reader?, talker?, own?);

    let stop = Arc::new(AtomicBool::new(false));
    let last = watch::Sender::new(None);
    let talker = talk(staying.clone(), talker, Arc::clone(&stop));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let reader = Reader::start(&ending, reader.clone()).await?;
        readers.push(tokio::spawn(reader.follow(staying.clone(), last.subscribe())));
    }
    let mut sender = RawWs::open(&ending).await?;
    sender.hello(&own).await?;

    for index in 0..SENDS_UNDER_WAY {
        sender.text(&send(&format!("s{index}")).to_string()).await?;
    }
    cluster.gateways[0].process().signal(Signal::Terminate)?;
    let readiness = format!("{}/readyz", cluster.gateways[0].admin_url());
    let ends = async || Ok((http::get(&readiness, None).await?.status == 503).then_some(()));
    until("a gateway that ends is not ready", DRAIN, ends).await?;
    match RawWs::try_open(&ending, Opening::default()).await {
        Ok(Opened::Refused(answer)) => assert_eq!(answer.status, 503, "{}", answer.body),
        Ok(Opened::WebSocket(_)) => bail!("a gateway that ends takes a connection"),
        // It does not listen any longer.
        Err(_) => {}
    }
    let accepted = receipts(&mut sender).await?;
    let status = cluster.gateways[0].process().wait(DRAIN + MARGIN).await?;
    assert_eq!(status.code(), Some(0), "{status}");

    // What had no receipt is sent again elsewhere, and what had one, too: nothing comes twice.
    let mut elsewhere = RawWs::open(&staying).await?;
    elsewhere.hello(&own).await?;
    for index in 0..SENDS_UNDER_WAY {
        let id = format!("s{index}");
        elsewhere.text(&send(&id).to_string()).await?;
        let reply = elsewhere.reply_to(&id).await?;
        let seq = reply["accepted"]["seq"].as_str().with_context(|| format!("{reply}"))?;
        if let Some(before) = accepted.get(&id) {
            assert_eq!((seq, &reply["accepted"]["duplicate"]), (before.as_str(), &json!(true)), "{id}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let said = talker.await??;
    assert!(said > 0);

    cluster.wait_until_stored().await?;
    let stored = cluster.stored_events(TEAM).await?;
    let sent = stored.iter().filter(|event| event.sender == "sender").count();
    assert_eq!(sent, SENDS_UNDER_WAY, "messages of the sender");
    let stored: Vec<u64> = stored.iter().map(|event| event.seq).collect();
    last.send_replace(stored.last().copied());
    for reader in try_join_all(readers).await? {
        let Reader { begin, seqs, .. } = reader?;
        let expected: Vec<u64> = stored.iter().copied().filter(|seq| *seq > begin).collect();
        assert_eq!(seqs, expected);
    }
    Box::pin(cluster.finish()).await
}

fn send(id: &str) -> Value {
    json!({"id": id, "send": {"team": TEAM, "client_id": id, "body": format!("under way as {id}")}})
}

/// Sends one message after the other; returns how many.
fn talk(url: String, token: String, stop: Arc<AtomicBool>) -> JoinHandle<Result<usize>> {
    tokio::spawn(async move {
        let mut socket = RawWs::open(&url).await?;
        socket.hello(&token).await?;
        let mut said = 0;
        while !stop.load(Ordering::Relaxed) {
            said += 1;
            let reply =
                socket.request(json!({"send": {"team": TEAM, "client_id": format!("t{said}"), "body": "la"}})).await?;
            reply["accepted"]["seq"].as_str().with_context(|| format!("{reply}"))?;
        }
        Ok(said)
    })
}

/// The positions of all sends that were accepted, by request, up to the orderly end of the connection.
async fn receipts(socket: &mut RawWs) -> Result<BTreeMap<String, String>> {
    let mut receipts = BTreeMap::new();
    let said = socket.until_the_end().await?;
    let mut is_told = false;
    for received in &said {
        let Received::Frame(frame) = received else { continue };
        is_told |= frame.get("go_away").is_some();
        if let (Some(id), Some(seq)) = (frame["reply_to"].as_str(), frame["accepted"]["seq"].as_str()) {
            receipts.insert(id.to_owned(), seq.to_owned());
        }
    }
    assert!(is_told, "no go_away");
    assert_eq!(said.last(), Some(&Received::Close(Some(1012))));
    Ok(receipts)
}

/// Follows the team without a library: cursor and contiguity by hand.
struct Reader {
    socket: RawWs,
    token: String,
    begin: u64,
    seqs: Vec<u64>,
}

impl Reader {
    async fn start(url: &str, token: String) -> Result<Self> {
        let mut socket = RawWs::open(url).await?;
        socket.hello(&token).await?;
        let reply = socket.request(json!({"subscribe": {"team": TEAM}})).await?;
        let begin = reply["subscribed"]["last_seq"].as_str().with_context(|| format!("{reply}"))?.parse()?;
        Ok(Self { socket, token, begin, seqs: Vec::new() })
    }

    /// Reads until it is sent away, comes back at `other`, and reads on up to the `last` position, once that is known.
    async fn follow(mut self, other: String, mut last: watch::Receiver<Option<u64>>) -> Result<Self> {
        let mut reconnect = None;
        loop {
            match self.socket.receive().await? {
                Received::Frame(frame) if frame.get("go_away").is_some() => {
                    let millis = frame["go_away"]["reconnect_in_ms"].as_u64().unwrap_or_default();
                    reconnect = Some(Duration::from_millis(millis));
                }
                Received::Frame(frame) => self.take(&frame)?,
                Received::Close(code) => {
                    assert_eq!(code, Some(1012));
                    break;
                }
                other => bail!("{other:?}"),
            }
        }
        let reconnect = reconnect.context("closed without go_away")?;
        assert!(reconnect <= RECONNECT_MAX, "{reconnect:?}");
        tokio::time::sleep(reconnect).await;
        self.socket = RawWs::open(&other).await?;
        self.socket.hello(&self.token).await?;
        let subscribe = json!({"subscribe": {"team": TEAM, "after": self.cursor().to_string()}});
        let reply = self.socket.request(subscribe).await?;
        reply["subscribed"]["last_seq"].as_str().with_context(|| format!("{reply}"))?;
        while last.borrow_and_update().is_none_or(|last| self.cursor() < last) {
            tokio::select! {
                frame = self.socket.receive_frame() => self.take(&frame?)?,
                _ = last.changed() => {}
            }
        }
        Ok(self)
    }

    fn cursor(&self) -> u64 {
        self.seqs.last().copied().unwrap_or(self.begin)
    }

    fn take(&mut self, frame: &Value) -> Result<()> {
        let Some(event) = frame.get("event") else { return Ok(()) };
        let number = |field: &str| anyhow::Ok(event[field].as_str().context("no text")?.parse::<u64>()?);
        assert_eq!(number("prev_seq")?, self.cursor(), "a gap: {event}");
        self.seqs.push(number("seq")?);
        Ok(())
    }
}
