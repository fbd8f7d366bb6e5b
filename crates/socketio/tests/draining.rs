//! A gateway that drains, and has requests for sessions of another one: the sessions go on, or their clients are told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use huddle_bus::{Bus, LocalBus};

mod harness;

use harness::{Gateway, Http, PATIENCE, WebSocket, config, poll, post, until};

/// Much less than a hop of a poll, after which its answer would come anyway.
const AT_ONCE: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(2);
/// How long the last client that is sent away may take to be gone.
const LEAVING: Duration = Duration::from_secs(1);

struct Two {
    home: Gateway,
    leaving: Gateway,
}

impl Two {
    fn start() -> Self {
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
        Self { home: Gateway::start(config(), &bus), leaving: Gateway::start(config(), &bus) }
    }

    /// A session at home that is connected to the default namespace.
    async fn open(&self, auth: &str) -> String {
        let sid = Http::connect(self.home.address).await.open().await;
        assert_eq!(post(self.home.address, &sid, &format!("40{auth}")).await.text(), "ok");
        assert!(poll(self.home.address, &sid).await.text().starts_with("40{"));
        sid
    }

    /// Polls on the gateway that is to leave, which wait at home.
    async fn waiting_polls(&self, version: u8, sids: &[String]) -> Vec<Http> {
        let polls = self.home.metric("polls_total");
        let mut waiting = Vec::new();
        for sid in sids {
            let mut http = Http::connect(self.leaving.address).await;
            http.send("GET", &format!("/socket.io/?EIO={version}&transport=polling&sid={sid}"), "", b"").await;
            waiting.push(http);
        }
        until(|| self.home.metric("polls_total") == polls + sids.len() as u64).await;
        waiting
    }

    /// A WebSocket on the gateway that is to leave.
    async fn upgraded(&self, sid: &str) -> WebSocket {
        let http = Http::connect(self.leaving.address).await;
        let mut socket = WebSocket::upgrade(http, &format!("EIO=4&sid={sid}")).await.unwrap();
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        socket.send("5").await;
        socket.send("42[\"echo\",\"upgraded\"]").await;
        assert_eq!(socket.text().await, "42[\"echo-back\",\"upgraded\"]");
        socket
    }
}

#[tokio::test]
async fn polls_that_are_passed_on_end_at_once_and_their_sessions_go_on() {
    let two = Two::start();
    let sid = two.open("").await;
    let mut waiting = two.waiting_polls(4, std::slice::from_ref(&sid)).await;
    let mut old = Http::connect(two.home.address).await;
    let old = harness::sid_of(old.get("/socket.io/?EIO=3&transport=polling&b64=1").await.text());
    assert!(poll_of_version_3(two.home.address, &old).await.contains(":40"));
    waiting.extend(two.waiting_polls(3, std::slice::from_ref(&old)).await);

    let started = Instant::now();
    two.leaving.drain(PATIENCE).await;
    for (http, nothing) in waiting.iter_mut().zip(["6", "1:6"]) {
        let answer = http.receive().await;
        assert_eq!((answer.status, answer.text()), (200, nothing));
        assert!(answer.head.to_ascii_lowercase().contains("connection: close"), "{}", answer.head);
    }
    // New ones wait for nothing either.
    let answer = poll(two.leaving.address, &sid).await;
    assert_eq!((answer.status, answer.text()), (200, "6"));
    assert_eq!(poll_of_version_3(two.leaving.address, &old).await, "1:6");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());

    assert_eq!(post(two.leaving.address, &sid, "42[\"echo\",1]").await.text(), "ok");
    assert_eq!(poll(two.home.address, &sid).await.text(), "42[\"echo-back\",1]");
    let upgrade = WebSocket::upgrade(Http::connect(two.leaving.address).await, &format!("EIO=4&sid={sid}")).await;
    assert_eq!(upgrade.err(), Some(503), "a WebSocket there would not last");
    assert_eq!(post(two.home.address, &sid, "42[\"echo\",2]").await.text(), "ok");
    assert_eq!(poll(two.home.address, &sid).await.text(), "42[\"echo-back\",2]");
    assert_eq!(two.home.shared.disconnected.load(Ordering::SeqCst), 0);
}

async fn poll_of_version_3(address: std::net::SocketAddr, sid: &str) -> String {
    let mut http = Http::connect(address).await;
    http.get(&format!("/socket.io/?EIO=3&transport=polling&b64=1&sid={sid}")).await.text().to_owned()
}

#[tokio::test]
async fn what_is_sent_while_polls_end_is_not_lost_and_not_doubled() {
    const SESSIONS: usize = 60;
    let two = Two::start();
    let mut sids = Vec::new();
    for _ in 0..SESSIONS {
        sids.push(two.open("").await);
    }
    let waiting = two.waiting_polls(4, &sids).await;
    let sends = join_all(sids.iter().enumerate().map(async |(number, sid)| {
        tokio::time::sleep(Duration::from_micros(200 * number as u64)).await;
        assert_eq!(post(two.home.address, sid, &format!("42[\"echo\",{number}]")).await.text(), "ok");
    }));
    let polls = join_all(sids.iter().zip(waiting).enumerate().map(async |(number, (sid, mut http))| {
        let expected = format!("42[\"echo-back\",{number}]");
        let mut empty = 0;
        let mut answer = http.receive().await;
        while answer.text() == "6" {
            empty += 1;
            answer = poll(two.home.address, sid).await;
        }
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
        empty
    }));
    let drain = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        two.leaving.drain(PATIENCE).await;
    };
    let (_, empty, ()) = tokio::join!(sends, polls, drain);
    assert!(empty.iter().sum::<usize>() > 0, "no poll ended with nothing");
    for (number, sid) in sids.iter().enumerate() {
        assert_eq!(post(two.home.address, sid, "42[\"echo\",\"last\"]").await.text(), "ok");
        assert_eq!(poll(two.home.address, sid).await.text(), "42[\"echo-back\",\"last\"]", "{number}");
    }
}

#[tokio::test]
async fn a_websocket_that_is_passed_on_is_told_or_cut_off_before_the_gateway_ends() {
    let two = Two::start();
    let (told, mute) = (two.open("").await, two.open("{\"mute\":1}").await);
    let (mut told, mut mute) = (two.upgraded(&told).await, two.upgraded(&mute).await);
    let started = Instant::now();
    two.leaving.drain(DRAIN).await;
    assert_eq!(told.closed().await, (vec!["42[\"go-away\",true]".to_owned()], Some(1000)));
    assert!(started.elapsed() < DRAIN + LEAVING, "{:?}", started.elapsed());
    assert_eq!(mute.closed().await, (Vec::new(), Some(1001)));
    let cut_off = started.elapsed();
    assert!((DRAIN + LEAVING..DRAIN + LEAVING + AT_ONCE).contains(&cut_off), "{cut_off:?}");
    two.home.is_empty().await;
}

#[tokio::test]
async fn a_websocket_that_is_only_probed_there_leaves_its_session_to_polling() {
    let two = Two::start();
    let sid = two.open("").await;
    let http = Http::connect(two.leaving.address).await;
    let mut socket = WebSocket::upgrade(http, &format!("EIO=4&sid={sid}")).await.unwrap();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    two.leaving.drain(DRAIN).await;
    assert_eq!(socket.closed().await, (Vec::new(), Some(1000)));
    assert_eq!(post(two.home.address, &sid, "42[\"echo\",1]").await.text(), "ok");
    assert_eq!(poll(two.home.address, &sid).await.text(), "42[\"echo-back\",1]");
}
