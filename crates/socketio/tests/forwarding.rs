//! Sessions whose requests land elsewhere: on another worker thread, and on another gateway.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use huddle_bus::{Bus, LocalBus, PeerId};
use huddle_socketio::Config;

mod harness;

use harness::{Gateway, Http, PATIENCE, WebSocket, config, poll, post, soon, until};

/// A dead home is to be noticed within this time.
const DEAD_HOME_NOTICED: Duration = Duration::from_millis(3_500);

/// A home, and a gateway that it can hear.
struct Two {
    home: Gateway,
    other: Gateway,
    bus: Arc<dyn Bus>,
}

impl Two {
    fn start(config: &Config) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
        Self { home: Gateway::start(config.clone(), &bus), other: Gateway::start(config.clone(), &bus), bus }
    }

    /// A session on worker thread 0 of the home.
    async fn open(&self) -> String {
        Http::connect_to(self.home.address, 0).await.open().await
    }

    /// One connection each: at home, on the home's other worker thread, on the other gateway.
    async fn everywhere(&self) -> [Http; 3] {
        [
            Http::connect_to(self.home.address, 0).await,
            Http::connect_to(self.home.address, 1).await,
            Http::connect(self.other.address).await,
        ]
    }

    /// A connection away from home: on its other worker thread, or on the other gateway.
    async fn elsewhere(&self, place: usize) -> Http {
        let [_, worker, gateway] = self.everywhere().await;
        if place == 0 { worker } else { gateway }
    }

    /// Has the home's requests taken by nobody, as if its process were paused.
    async fn pause_home(&self, sid: &str) {
        self.home.vanish();
        let peer = PeerId::parse(sid.split('.').next().unwrap()).unwrap();
        let mut requests = self.bus.serve(&peer).await.unwrap();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some(request) = requests.next().await {
                kept.push(request);
            }
        });
    }
}

async fn upgraded(http: Http, sid: &str) -> WebSocket {
    let mut socket = WebSocket::upgrade(http, &format!("EIO=4&sid={sid}")).await.unwrap();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    socket.send("5").await;
    socket
}

#[tokio::test]
async fn a_session_works_wherever_its_requests_land() {
    let two = Two::start(&config());
    let sid = two.open().await;
    let mut everywhere = two.everywhere().await;
    assert_eq!(everywhere[2].post(&sid, "40{\"welcome\":1}").await.text(), "ok");
    let mut polled = Vec::new();
    let mut polls = 0;
    for number in 0..90 {
        let posting = &mut everywhere[number % 3];
        assert_eq!(posting.post(&sid, &format!("42[\"echo\",{number}]")).await.text(), "ok");
        if number % 4 == 0 {
            polls += 1;
            let answer = everywhere[polls % 3].poll(&sid).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            polled.extend(answer.text().split('\x1e').map(str::to_owned));
        }
    }
    while polled.len() < 92 {
        polls += 1;
        polled.extend(everywhere[polls % 3].poll(&sid).await.text().split('\x1e').map(str::to_owned));
    }
    assert!(polled[0].starts_with("40{\"sid\":"));
    assert_eq!(polled[1], "42[\"welcome\",null]");
    let echoes: Vec<_> = (0..90).map(|number| format!("42[\"echo-back\",{number}]")).collect();
    assert_eq!(polled[2..], echoes);
    assert!(two.home.metric("forwarded_requests_total{kind=\"post\"}") >= 30);
    assert!(two.other.metric("forwarded_requests_total{kind=\"poll\"}") >= 1);
    assert_eq!(everywhere[1].post(&sid, "1").await.text(), "ok");
    two.home.is_empty().await;
}

#[tokio::test]
async fn a_long_poll_elsewhere_outlasts_its_hops() {
    let two = Two::start(&config());
    for place in [0, 1] {
        let (sid, mut http) = (two.open().await, two.elsewhere(place).await);
        http.post(&sid, "40").await;
        http.poll(&sid).await;
        http.post(&sid, "42[\"later\",5000]").await;
        let started = Instant::now();
        assert_eq!(http.poll(&sid).await.text(), "42[\"later-back\",5000]");
        assert!(started.elapsed() > Duration::from_millis(4_500));
    }
}

#[tokio::test]
async fn a_poll_that_is_cancelled_or_doubled_elsewhere_ends_the_session() {
    let two = Two::start(&config());
    for place in [0, 1] {
        let (sid, mut http) = (two.open().await, two.elsewhere(place).await);
        http.post(&sid, "40").await;
        http.poll(&sid).await;
        let polls = two.home.metric("polls_total");
        http.send("GET", &format!("/socket.io/?EIO=4&transport=polling&sid={sid}"), "", b"").await;
        until(|| two.home.metric("polls_total") > polls).await;
        drop(http);
        until(|| two.home.shared.disconnected.load(Ordering::SeqCst) == place * 2 + 1).await;
        assert!(poll(two.home.address, &sid).await.is_refusal(1));

        let sid = two.open().await;
        let mut http = two.elsewhere(place).await;
        http.post(&sid, "40").await;
        http.poll(&sid).await;
        let polls = two.home.metric("polls_total");
        http.send("GET", &format!("/socket.io/?EIO=4&transport=polling&sid={sid}"), "", b"").await;
        until(|| two.home.metric("polls_total") > polls).await;
        assert!(poll(two.other.address, &sid).await.is_refusal(3));
        let ended = http.receive().await;
        assert_eq!((ended.status, ended.text()), (200, "1"));
        assert!(poll(two.home.address, &sid).await.is_refusal(1));
    }
}

#[tokio::test]
async fn a_websocket_elsewhere_keeps_the_order_both_ways() {
    const COUNT: usize = 2_000;
    let two = Two::start(&config());
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        assert_eq!(post(two.home.address, &sid, "40").await.text(), "ok");
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        let mut received = 0;
        for number in 0..COUNT {
            socket.send(&format!("42[\"echo\",{number}]")).await;
            // What comes back is read before the outbox at home is full of it.
            while received + 200 < number {
                assert_eq!(socket.text().await, format!("42[\"echo-back\",{received}]"));
                received += 1;
            }
        }
        while received < COUNT {
            assert_eq!(socket.text().await, format!("42[\"echo-back\",{received}]"));
            received += 1;
        }
        drop(socket);
        two.home.is_empty().await;
    }
}

#[tokio::test]
async fn what_is_queued_reaches_a_websocket_elsewhere_before_its_end() {
    let two = Two::start(&config());
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        post(two.home.address, &sid, "40").await;
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        socket.send("42[\"close-me\"]").await;
        let expected = ["42[\"last\",0]", "42[\"last\",1]", "42[\"last\",2]"].map(str::to_owned).to_vec();
        assert_eq!(socket.closed().await, (expected, Some(1000)));
        two.home.is_empty().await;
    }
}

#[tokio::test]
async fn attachments_and_large_messages_pass_between_gateways() {
    let two = Two::start(&Config { payload_max: 1_000_000, outbox_max: 4_000_000, ..config() });
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        post(two.home.address, &sid, "40").await;
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        let text = "x".repeat(999_000);
        socket.send(&format!("42[\"echo\",\"{text}\"]")).await;
        assert_eq!(socket.text().await.len(), text.len() + "42[\"echo-back\",\"\"]".len());
        socket.send("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
        socket.send_binary(text.as_bytes()).await;
        assert!(socket.text().await.starts_with("451-[\"echo-back\""));
        assert_eq!(socket.next().await.unwrap().into_data().len(), text.len());
    }
}

#[tokio::test]
async fn a_second_websocket_is_closed_wherever_it_lands() {
    let two = Two::start(&config());
    let sid = two.open().await;
    post(two.home.address, &sid, "40").await;
    let [_, worker, gateway] = two.everywhere().await;
    let mut socket = upgraded(worker, &sid).await;
    assert!(socket.text().await.starts_with("40{"));
    let mut second = WebSocket::upgrade(gateway, &format!("EIO=4&sid={sid}")).await.unwrap();
    assert_eq!(second.closed().await.1, Some(1008));
    assert!(poll(two.other.address, &sid).await.is_refusal(3));
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.text().await, "42[\"echo-back\"]");
}

#[tokio::test]
async fn a_slow_websocket_elsewhere_is_cut_loose_by_the_application() {
    let two = Two::start(&Config { outbox_max: 256 * 1024, ..config() });
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        post(two.home.address, &sid, "40").await;
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        // More than what may wait at home, elsewhere and in the sockets' own buffers; nothing of it is read.
        for _ in 0..200 {
            socket.send("42[\"flood\",10,20000]").await;
        }
        two.home.is_empty().await;
        // The end is told elsewhere too: the connection is closed behind what had been sent.
        let mut http = Http::connect(two.other.address).await;
        assert!(http.poll(&sid).await.is_refusal(1));
        soon(socket.closed()).await;
    }
}

#[tokio::test]
async fn backpressure_of_the_application_reaches_a_client_elsewhere() {
    let two = Two::start(&config());
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        post(two.home.address, &sid, "40").await;
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        socket.send("42[\"slow\",4000]").await;
        for number in 0..100 {
            socket.send(&format!("42[\"echo\",{number}]")).await;
        }
        for number in 0..100 {
            assert_eq!(socket.text().await, format!("42[\"echo-back\",{number}]"));
        }
    }
}

#[tokio::test]
async fn a_client_elsewhere_is_not_cut_off_while_it_waits_for_the_application() {
    let config =
        Config { ping_interval: Duration::from_millis(150), ping_timeout: Duration::from_millis(150), ..config() };
    let two = Two::start(&config);
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        post(two.home.address, &sid, "40").await;
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        socket.send("42[\"slow\",5000]").await;
        for _ in 0..64 {
            socket.send("42[\"echo\"]").await;
        }
        let mut echoes = 0;
        while echoes < 64 {
            match socket.text().await.as_str() {
                "2" => socket.send("3").await,
                _ => echoes += 1,
            }
        }

        let (sid, mut http) = (two.open().await, two.elsewhere(place).await);
        http.post(&sid, "40\x1e42[\"slow\",5000]\x1e42[\"a\"]").await;
        assert_eq!(http.post(&sid, "3\x1e42[\"b\"]").await.text(), "ok", "the pong sits behind the others");
    }
}

#[tokio::test]
async fn a_home_that_is_gone_makes_its_sessions_unknown() {
    let two = Two::start(&config());
    let (polled, attached) = (two.open().await, two.open().await);
    for sid in [&polled, &attached] {
        post(two.home.address, sid, "40").await;
        poll(two.home.address, sid).await;
    }
    let mut socket = upgraded(Http::connect(two.other.address).await, &attached).await;
    let mut polling = Http::connect(two.other.address).await;
    polling.send("GET", &format!("/socket.io/?EIO=4&transport=polling&sid={polled}"), "", b"").await;
    until(|| two.other.metric("forwarded_requests_total{kind=\"poll\"}") == 1).await;
    two.home.vanish();
    let started = Instant::now();
    assert!(polling.receive().await.is_refusal(1));
    assert_eq!(socket.closed().await.1, Some(1001));
    // The hop that was under way when it happened is answered here, as it would not be by a process that is gone.
    assert!(started.elapsed() < Duration::from_secs(2) + DEAD_HOME_NOTICED, "{:?}", started.elapsed());
    let started = Instant::now();
    let query = format!("EIO=4&sid={polled}");
    let (polling, posting, upgrade) = tokio::join!(
        poll(two.other.address, &polled),
        post(two.other.address, &polled, "3"),
        WebSocket::upgrade(Http::connect(two.other.address).await, &query),
    );
    assert!(polling.is_refusal(1));
    assert!(posting.is_refusal(1));
    assert_eq!(upgrade.err(), Some(400));
    assert!(started.elapsed() < DEAD_HOME_NOTICED, "nobody is there: {:?}", started.elapsed());
    // At home nobody asks any more, and so the sessions end there too.
    two.home.is_empty().await;
}

#[tokio::test]
async fn a_home_that_does_not_answer_is_given_up_in_time() {
    let two = Two::start(&config());
    let (polled, attached) = (two.open().await, two.open().await);
    for sid in [&polled, &attached] {
        post(two.home.address, sid, "40").await;
        poll(two.home.address, sid).await;
    }
    let mut socket = upgraded(Http::connect(two.other.address).await, &attached).await;
    let mut polling = Http::connect(two.other.address).await;
    polling.send("GET", &format!("/socket.io/?EIO=4&transport=polling&sid={polled}"), "", b"").await;
    until(|| two.other.metric("forwarded_requests_total{kind=\"poll\"}") == 1).await;
    two.pause_home(&polled).await;
    let started = Instant::now();
    let (polled, closed) = tokio::join!(polling.receive(), socket.closed());
    assert!(polled.is_refusal(1));
    assert_eq!(closed.1, Some(1001));
    // The hop that was under way when it happened, and the one that got no answer.
    assert!(started.elapsed() < Duration::from_secs(2) + DEAD_HOME_NOTICED, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_token_binds_a_session_on_every_gateway() {
    let two = Two::start(&config());
    let mut http = Http::connect(two.home.address).await;
    let opened = http.get("/socket.io/?EIO=4&transport=polling&token=right").await;
    let sid = harness::sid_of(opened.text());
    let target = |token: &str| format!("/socket.io/?EIO=4&transport=polling&sid={sid}{token}");
    for mut http in two.everywhere().await {
        for token in ["", "&token=wrong"] {
            assert!(http.get(&target(token)).await.is_refusal(1));
        }
        assert_eq!(http.request("POST", &target("&token=right"), "", b"3").await.status, 200);
    }
    for token in ["", "&token=wrong"] {
        let http = Http::connect(two.other.address).await;
        assert_eq!(WebSocket::upgrade(http, &format!("EIO=4&sid={sid}{token}")).await.err(), Some(400));
    }
}

#[tokio::test]
async fn a_gateway_that_drains_answers_for_its_sessions_wherever_requests_land() {
    let two = Two::start(&config());
    let sid = two.open().await;
    two.home.drain(PATIENCE).await;
    assert_eq!(post(two.other.address, &sid, "40").await.text(), "ok");
    assert!(poll(two.other.address, &sid).await.text().starts_with("40{"));
    let mut socket = upgraded(Http::connect(two.other.address).await, &sid).await;
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.text().await, "42[\"echo-back\"]");
}

#[tokio::test]
async fn a_websocket_elsewhere_counts_where_it_is_too() {
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
    let home = Gateway::start(config(), &bus);
    let other = Gateway::start(Config { sessions_per_worker_max: 1, ..config() }, &bus);
    let mut sockets = Vec::new();
    let mut refused = 0;
    for _ in 0..6 {
        let sid = Http::connect(home.address).await.open().await;
        let upgrade = WebSocket::upgrade(Http::connect(other.address).await, &format!("EIO=4&sid={sid}")).await;
        match upgrade {
            Ok(mut socket) => {
                socket.send("2probe").await;
                assert_eq!(socket.text().await, "3probe");
                sockets.push(socket);
            }
            Err(status) => {
                assert_eq!(status, 503);
                refused += 1;
            }
        }
    }
    assert!((1..=2).contains(&sockets.len()) && refused >= 4, "one on each of two threads: {}", sockets.len());
    sockets.clear();
    let started = Instant::now();
    loop {
        let sid = Http::connect(home.address).await.open().await;
        let upgrade = WebSocket::upgrade(Http::connect(other.address).await, &format!("EIO=4&sid={sid}")).await;
        if upgrade.is_ok() {
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
}

#[tokio::test]
async fn a_websocket_elsewhere_that_goes_takes_its_session_along() {
    let two = Two::start(&config());
    for place in [0, 1] {
        let (sid, http) = (two.open().await, two.elsewhere(place).await);
        post(two.home.address, &sid, "40").await;
        let mut socket = upgraded(http, &sid).await;
        assert!(socket.text().await.starts_with("40{"));
        drop(socket);
        let started = Instant::now();
        until(|| two.home.shared.disconnected.load(Ordering::SeqCst) == place + 1).await;
        assert!(started.elapsed() < PATIENCE / 5, "it is told at once");
    }
}
