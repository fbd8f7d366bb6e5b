//! Sessions whose requests land on another gateway, while the bus between them loses requests and replies.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use huddle_bus::Bus;

mod harness;

use harness::{
    Gateway, Http, WebSocket, config, poll, post,
    shaky_bus::{Fault, ShakyBus},
    until,
};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A home, and another gateway, with a bus between them that does not always work.
struct Shaky {
    home: Gateway,
    other: Gateway,
    bus: Arc<ShakyBus>,
}

impl Shaky {
    fn start() -> Self {
        let bus = Arc::new(ShakyBus::default());
        let shared: Arc<dyn Bus> = Arc::<ShakyBus>::clone(&bus);
        Self { home: Gateway::start(config(), &shared), other: Gateway::start(config(), &shared), bus }
    }

    /// A session that is connected to the default namespace.
    async fn open(&self) -> String {
        let mut http = Http::connect(self.home.address).await;
        let sid = http.open().await;
        assert_eq!(http.post(&sid, "40").await.text(), "ok");
        assert!(http.poll(&sid).await.text().starts_with("40{"));
        sid
    }

    /// A poll on the other gateway, which waits at home.
    async fn waiting_poll(&self, sid: &str) -> Http {
        let polls = self.home.metric("polls_total");
        let mut http = Http::connect(self.other.address).await;
        http.send("GET", &format!("{POLLING}&sid={sid}"), "", b"").await;
        until(|| self.home.metric("polls_total") > polls).await;
        http
    }

    async fn upgraded(&self, sid: &str) -> WebSocket {
        let http = Http::connect(self.other.address).await;
        let mut socket = WebSocket::upgrade(http, &format!("EIO=4&sid={sid}")).await.unwrap();
        socket.send("2probe").await;
        assert_eq!(socket.text().await, "3probe");
        socket.send("5").await;
        socket
    }

    fn handled(&self) -> Vec<String> {
        self.home.shared.events.lock().unwrap().clone()
    }
}

fn echo(number: usize) -> String {
    format!("42[\"echo\",{number}]")
}

fn echoed(number: usize) -> String {
    format!("42[\"echo-back\",{number}]")
}

#[tokio::test]
async fn requests_that_could_not_be_sent_are_sent_again_and_nothing_is_doubled_or_misordered() {
    const COUNT: usize = 20;
    let shaky = Shaky::start();
    for fault in [Fault::Unsent, Fault::NoPeer] {
        shaky.bus.set(3, fault);
        let sid = shaky.open().await;
        let (mut posting, mut polling) =
            (Http::connect(shaky.other.address).await, Http::connect(shaky.other.address).await);
        let mut polled = Vec::new();
        for number in 0..COUNT {
            assert_eq!(posting.post(&sid, &echo(number)).await.text(), "ok");
            if number % 4 == 0 {
                polled.extend(polling.poll(&sid).await.text().split('\x1e').map(str::to_owned));
            }
        }
        while polled.len() < COUNT {
            polled.extend(polling.poll(&sid).await.text().split('\x1e').map(str::to_owned));
        }
        assert_eq!(polled, (0..COUNT).map(echoed).collect::<Vec<_>>());

        shaky.bus.set(1, Fault::None);
        let mut socket = shaky.upgraded(&sid).await;
        shaky.bus.set(3, fault);
        for number in 0..COUNT {
            socket.send(&echo(number)).await;
        }
        for number in 0..COUNT {
            assert_eq!(socket.text().await, echoed(number));
        }
    }
    assert!(shaky.bus.faults() >= COUNT, "{}", shaky.bus.faults());
    shaky.home.is_empty().await;
}

#[tokio::test]
async fn posts_whose_reply_is_lost_are_taken_once() {
    const COUNT: usize = 60;
    let shaky = Shaky::start();
    let sid = shaky.open().await;
    shaky.bus.set(2, Fault::ReplyLost);
    let mut http = Http::connect(shaky.other.address).await;
    let names: Vec<_> = (0..COUNT).map(|number| format!("n{number}")).collect();
    for name in &names {
        assert_eq!(http.post(&sid, &format!("42[\"{name}\"]")).await.text(), "ok");
    }
    until(|| shaky.handled().len() >= COUNT).await;
    assert_eq!(shaky.handled(), names);
    assert!(shaky.bus.faults() >= COUNT / 2);
}

#[tokio::test]
async fn messages_of_a_websocket_whose_reply_is_lost_are_taken_once() {
    const COUNT: usize = 500;
    let shaky = Shaky::start();
    let sid = shaky.open().await;
    let mut socket = shaky.upgraded(&sid).await;
    until(|| shaky.home.metric("upgrades_total") == 1).await;
    shaky.bus.set(2, Fault::ReplyLost);
    let names: Vec<_> = (0..COUNT).map(|number| format!("n{number}")).collect();
    for name in &names {
        socket.send(&format!("42[\"{name}\"]")).await;
    }
    until(|| shaky.handled().len() >= COUNT).await;
    assert_eq!(shaky.handled(), names);
    shaky.bus.set(1, Fault::None);
    socket.send(&echo(1)).await;
    assert_eq!(socket.text().await, echoed(1));
}

#[tokio::test]
async fn requests_that_wait_at_home_outlast_a_connection_that_is_lost() {
    const CUT: Fault = Fault::CutAfter(Duration::from_millis(30));
    let shaky = Shaky::start();
    let (polled, posted, attached) = (shaky.open().await, shaky.open().await, shaky.open().await);
    let mut socket = shaky.upgraded(&attached).await;
    socket.send(&echo(1)).await;
    assert_eq!(socket.text().await, echoed(1));
    assert_eq!(post(shaky.home.address, &posted, "42[\"slow\",1000]\x1e42[\"a\"]").await.text(), "ok");

    // The answers come long after the cuts.
    assert_eq!(post(shaky.home.address, &polled, "42[\"later\",2000]").await.text(), "ok");
    socket.send("42[\"later\",2000]").await;
    shaky.bus.set(1, CUT);
    let mut polling = shaky.waiting_poll(&polled).await;
    let mut posting = Http::connect(shaky.other.address).await;
    posting.send("POST", &format!("{POLLING}&sid={posted}"), "", b"42[\"b\"]").await;
    let faults = shaky.bus.faults();
    until(|| shaky.bus.faults() > faults + 10).await;
    shaky.bus.set(1, Fault::None);
    assert_eq!(posting.receive().await.text(), "ok");
    assert_eq!(polling.receive().await.text(), "42[\"later-back\",2000]");
    assert_eq!(socket.text().await, "42[\"later-back\",2000]");
    until(|| shaky.handled().len() == 6).await;
    assert_eq!(shaky.handled()[3..], ["slow", "a", "b"]);
}

#[tokio::test]
async fn a_lost_answer_to_a_poll_ends_the_session_on_both_sides() {
    let shaky = Shaky::start();
    let sid = shaky.open().await;
    shaky.bus.set(1, Fault::ReplyLost);
    let mut polling = shaky.waiting_poll(&sid).await;
    assert_eq!(post(shaky.home.address, &sid, &echo(1)).await.text(), "ok");
    until(|| shaky.home.shared.disconnected.load(Ordering::SeqCst) == 1).await;
    shaky.bus.set(1, Fault::None);
    assert!(polling.receive().await.is_refusal(1));
    assert!(poll(shaky.home.address, &sid).await.is_refusal(1));
    shaky.home.is_empty().await;
}

#[tokio::test]
async fn a_session_whose_client_was_told_that_it_is_lost_ends_at_home() {
    let shaky = Shaky::start();
    for is_poll in [false, true] {
        let sid = shaky.open().await;
        // Every second request, so that one of two has no answer, and the home hears of it with the next.
        shaky.bus.set(2, Fault::NoAnswer);
        for request in 0.. {
            assert!(request < 2);
            let answer = if is_poll {
                assert_eq!(post(shaky.home.address, &sid, &echo(1)).await.text(), "ok");
                poll(shaky.other.address, &sid).await
            } else {
                post(shaky.other.address, &sid, "3").await
            };
            if answer.is_refusal(1) {
                break;
            }
        }
        shaky.home.is_empty().await;
        shaky.bus.set(1, Fault::None);
    }
}
