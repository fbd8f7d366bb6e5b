//! Sessions on one gateway: both generations, both transports, and the way from one to the other.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use huddle_bus::{Bus, LocalBus};
use huddle_socketio::Config;
use tokio_tungstenite::tungstenite::Message;

mod harness;

use harness::{Gateway, Http, PATIENCE, WebSocket, config, poll, post, sid_of, until};

fn gateway(config: Config) -> Gateway {
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
    Gateway::start(config, &bus)
}

#[tokio::test]
async fn a_client_of_engine_io_3_is_connected_by_the_server() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let opened = http.get("/socket.io?EIO=3&transport=polling&b64=1&welcome=1&token=t").await;
    let (length, packet) = opened.text().split_once(':').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), packet.len());
    let target = format!("/socket.io/?EIO=3&transport=polling&token=t&sid={}", sid_of(packet));
    let mut polled = String::new();
    while !polled.contains("welcome") {
        polled += http.get(&target).await.text();
    }
    assert_eq!(polled, r#"2:4017:42["welcome","t"]"#);
    let posted = http.request("POST", &target, "", "18:42[\"echo\",\"a😀b€\"]1:2".as_bytes()).await;
    assert_eq!((posted.status, posted.text()), (200, "ok"));
    let mut polled = String::new();
    while !polled.contains("echo-back") {
        polled += http.get(&target).await.text();
    }
    assert!(polled.contains("23:42[\"echo-back\",\"a😀b€\"]"), "{polled}");
    assert!(polled.contains("1:3"), "{polled}");
    assert_eq!(http.request("POST", &target, "", b"13:42/custom,[1]").await.status, 200);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_client_of_engine_io_3_that_is_refused_gets_an_error_and_the_end() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::open(gateway.address, "EIO=3&refuse=1").await;
    assert_eq!(socket.closed().await.0, ["44\"no\""]);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_client_of_engine_io_3_connects_to_a_namespace_with_a_query() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::open(gateway.address, "EIO=3").await;
    assert_eq!(socket.text().await, "40");
    socket.send("40/custom?token=abc").await;
    assert_eq!(socket.text().await, "40/custom,");
    socket.send("42/custom,[\"echo\",1]").await;
    assert_eq!(socket.text().await, "42/custom,[\"echo-back\",1]");
    socket.send("2").await;
    assert_eq!(socket.text().await, "3");
}

#[tokio::test]
async fn a_refused_client_gets_message_and_data() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::open(gateway.address, "EIO=4").await;
    socket.send("40{\"refuse\":1}").await;
    assert_eq!(socket.text().await, r#"44{"message":"no","data":{"code":7}}"#);
    socket.send("40/nowhere,").await;
    assert_eq!(socket.text().await, r#"44/nowhere,{"message":"Invalid namespace"}"#);
    socket.send("40{}").await;
    assert!(socket.text().await.starts_with("40{\"sid\":"), "it may try again");
}

#[tokio::test]
async fn what_is_emitted_while_a_client_connects_goes_out_behind_the_reply() {
    let gateway = gateway(config());
    let (mut socket, sid) = WebSocket::open(gateway.address, "EIO=4").await;
    socket.send("40/custom,{\"welcome\":1,\"slow\":1}").await;
    socket.send("42/custom,7[\"echo\"]").await;
    let reply = socket.text().await;
    assert!(reply.starts_with("40/custom,{\"sid\":"), "{reply}");
    assert!(!reply.contains(&sid), "the session's id is a secret");
    assert_eq!(socket.text().await, "42/custom,[\"welcome\",null]");
    assert_eq!(socket.text().await, "42/custom,[\"echo-back\"]", "the next packet is handled after the connect");
    assert_eq!(socket.text().await, "43/custom,7[]");
}

#[tokio::test]
async fn the_reply_has_room_beside_all_that_is_emitted_while_a_client_connects() {
    for outbox_frames_max in [16, 100_000] {
        let gateway = gateway(Config { outbox_max: 16 * 1024, outbox_frames_max, ..config() });
        let mut http = Http::connect(gateway.address).await;
        let sid = http.open().await;
        http.post(&sid, "40{\"crowd\":1}").await;
        let polled = http.poll(&sid).await;
        assert!(polled.text().starts_with("40{\"sid\":"), "{}", polled.text());
        assert!(polled.text().contains("early"));
    }
}

#[tokio::test]
async fn a_client_that_the_server_disconnects_may_come_back_and_its_late_events_are_no_error() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send("42[\"disconnect-me\"]").await;
    socket.send("42[\"echo\"]").await;
    socket.send("41").await;
    assert_eq!(socket.text().await, "41");
    socket.send("40{\"drop\":1}").await;
    assert!(socket.text().await.starts_with("40{"));
    assert_eq!(socket.text().await, "41", "it was disconnected before it was let in");
    socket.send("40").await;
    assert!(socket.text().await.starts_with("40{"));
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.text().await, "42[\"echo-back\"]");
    drop(socket);
    gateway.is_empty().await;
    assert_eq!(gateway.shared.connected.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_is_queued_goes_out_before_the_server_closes() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send("42[\"close-me\"]").await;
    let expected = ["42[\"last\",0]", "42[\"last\",1]", "42[\"last\",2]"];
    assert_eq!(socket.closed().await, (expected.map(str::to_owned).to_vec(), Some(1000)));

    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.poll(&sid).await;
    http.post(&sid, "42[\"close-me\"]").await;
    let disconnected = &gateway.shared.disconnected;
    until(|| disconnected.load(Ordering::SeqCst) == 2).await;
    assert_eq!(http.poll(&sid).await.text(), expected.join("\x1e"));
    assert_eq!(http.poll(&sid).await.text(), "1", "alone: some clients lose what comes with it");
    assert!(http.poll(&sid).await.is_refusal(1));
    gateway.is_empty().await;
}

#[tokio::test]
async fn attachments_come_and_go_on_both_transports_in_both_generations() {
    let gateway = gateway(config());
    let packet = r#"452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let expected = r#"452-["echo-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let binary = |bytes: &[u8]| Some(Message::binary(bytes.to_vec()));

    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send(packet).await;
    socket.send_binary(&[1, 2, 3]).await;
    socket.send_binary(&[]).await;
    assert_eq!(socket.text().await, expected);
    assert_eq!((socket.next().await, socket.next().await), (binary(&[1, 2, 3]), binary(&[])));

    let (mut socket, _) = WebSocket::open(gateway.address, "EIO=3").await;
    assert_eq!(socket.text().await, "40");
    socket.send(packet).await;
    socket.send_binary(&[4, 1, 2, 3]).await;
    socket.send_binary(&[4]).await;
    assert_eq!(socket.text().await, expected);
    assert_eq!((socket.next().await, socket.next().await), (binary(&[4, 1, 2, 3]), binary(&[4])));

    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.poll(&sid).await;
    http.post(&sid, &format!("{packet}\x1ebAQID\x1eb")).await;
    let mut polled = vec![http.poll(&sid).await.text().to_owned()];
    while polled.join("\x1e").split('\x1e').count() < 3 {
        polled.push(http.poll(&sid).await.text().to_owned());
    }
    assert_eq!(polled.join("\x1e"), format!("{expected}\x1ebAQID\x1eb"));
}

#[tokio::test]
async fn an_upgrade_loses_and_reorders_nothing() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.poll(&sid).await;
    let echo = |number: usize| format!("42[\"echo\",{number}]");
    http.post(&sid, &(0..10).map(echo).collect::<Vec<_>>().join("\x1e")).await;
    let mut socket =
        WebSocket::upgrade(Http::connect(gateway.address).await, &format!("EIO=4&sid={sid}")).await.unwrap();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    http.post(&sid, &(10..20).map(echo).collect::<Vec<_>>().join("\x1e")).await;
    socket.send("5").await;
    for number in 20..30 {
        socket.send(&echo(number)).await;
    }
    for number in 0..30 {
        assert_eq!(socket.text().await, format!("42[\"echo-back\",{number}]"));
    }
    assert_eq!(gateway.metric("upgrades_total"), 1);
    assert!(http.poll(&sid).await.is_refusal(3));
    assert!(http.post(&sid, "40").await.is_refusal(3));
    drop(socket);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_failed_upgrade_leaves_the_session_on_polling() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.poll(&sid).await;
    for first in ["5", "4hello", "2", "abc"] {
        let http = Http::connect(gateway.address).await;
        let mut socket = WebSocket::upgrade(http, &format!("EIO=4&sid={sid}")).await.unwrap();
        socket.send(first).await;
        assert!(socket.next().await.is_none(), "{first}");
    }
    let mut socket =
        WebSocket::upgrade(Http::connect(gateway.address).await, &format!("EIO=4&sid={sid}")).await.unwrap();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(http.poll(&sid).await.text(), "6", "polls return at once while the client probes");
    drop(socket);
    http.post(&sid, "42[\"echo\"]").await;
    let mut polled = http.poll(&sid).await;
    while polled.text() == "6" {
        polled = http.poll(&sid).await;
    }
    assert_eq!(polled.text(), "42[\"echo-back\"]");
}

#[tokio::test]
async fn a_poll_that_overtakes_the_end_of_an_upgrade_does_no_harm() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.poll(&sid).await;
    let mut socket =
        WebSocket::upgrade(Http::connect(gateway.address).await, &format!("EIO=4&sid={sid}")).await.unwrap();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    let polls = gateway.metric("polls_total");
    http.send("GET", &format!("/socket.io/?EIO=4&transport=polling&sid={sid}"), "", b"").await;
    until(|| gateway.metric("polls_total") > polls).await;
    socket.send("5").await;
    let answer = http.receive().await;
    // Which of the two depends on whether the upgrade ends in time.
    assert!(answer.is_refusal(3) || (answer.status, answer.text()) == (200, "6"), "{}", answer.text());
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.text().await, "42[\"echo-back\"]");
}

#[tokio::test]
async fn a_poll_that_is_cancelled_or_doubled_ends_the_session() {
    let gateway = gateway(config());
    for worker in [0, 1] {
        let mut http = Http::connect_to(gateway.address, 0).await;
        let sid = http.open().await;
        let mut polling = Http::connect_to(gateway.address, worker).await;
        polling.send("GET", &format!("{}&sid={sid}", "/socket.io/?EIO=4&transport=polling"), "", b"").await;
        until(|| gateway.metric("polls_total") > 0).await;
        drop(polling);
        let started = std::time::Instant::now();
        while post(gateway.address, &sid, "3").await.status == 200 {
            assert!(started.elapsed() < harness::PATIENCE);
        }
        assert!(post(gateway.address, &sid, "3").await.is_refusal(1));

        let sid = http.open().await;
        let polls = gateway.metric("polls_total");
        let mut polling = Http::connect_to(gateway.address, worker).await;
        let opened = gateway.metric("polls_total") - polls;
        polling.send("GET", &format!("{}&sid={sid}", "/socket.io/?EIO=4&transport=polling"), "", b"").await;
        until(|| gateway.metric("polls_total") > polls + opened).await;
        assert!(http.poll(&sid).await.is_refusal(3));
        let ended = polling.receive().await;
        assert_eq!((ended.status, ended.text()), (200, "1"));
        assert!(http.poll(&sid).await.is_refusal(1));
    }
}

#[tokio::test]
async fn a_session_speaks_only_with_the_token_that_it_was_opened_with() {
    let gateway = gateway(config());
    let connect = || Http::connect(gateway.address);
    let base = "/socket.io/?EIO=4&transport=polling";
    for opened_with in ["", "&token=right"] {
        let sid = sid_of(connect().await.get(&format!("{base}{opened_with}")).await.text());
        let with = |token: &str| format!("{base}&sid={sid}{token}");
        for token in ["", "&token=right", "&token=wrong", "&token=righ", "&token=rightt"] {
            if token != opened_with {
                assert!(connect().await.get(&with(token)).await.is_refusal(1), "{opened_with} {token}");
                assert!(connect().await.request("POST", &with(token), "", b"3").await.is_refusal(1));
                let query = format!("EIO=4&sid={sid}{token}");
                assert_eq!(WebSocket::upgrade(connect().await, &query).await.err(), Some(400));
            }
        }
        let header = "Authorization: Bearer wrong\r\n";
        let with_header = connect().await.request("POST", &with(""), header, b"3").await;
        assert!(with_header.is_refusal(1));
        assert_eq!(connect().await.request("POST", &with(opened_with), "", b"3").await.status, 200);
        if !opened_with.is_empty() {
            let right = connect().await.request("POST", &with(""), "Authorization: Bearer right\r\n", b"3").await;
            assert_eq!(right.status, 200, "wherever the token stands");
        }
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_in_the_protocols_words() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    for (target, code) in [
        ("/socket.io/?EIO=4", 0),
        ("/socket.io/?EIO=4&transport=polling&sid=nobody", 1),
        ("/socket.io/?EIO=4&transport=polling&sid=0123456789abcdef.0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 1),
        ("/socket.io/?EIO=4&transport=websocket", 3),
        ("/socket.io/?EIO=4&transport=polling&j=1", 3),
        ("/socket.io/?EIO=2&transport=polling", 5),
    ] {
        let refused = http.get(target).await;
        assert!(refused.is_refusal(code), "{target}: {}", refused.text());
    }
    for method in ["POST", "PUT", "DELETE"] {
        let mut http = Http::connect(gateway.address).await;
        assert!(http.request(method, "/socket.io/?EIO=4&transport=polling", "", b"").await.is_refusal(2), "{method}");
    }
    assert_eq!(gateway.session_count().await, 0);
}

#[tokio::test]
async fn sessions_end_when_their_time_is_over() {
    let config = Config {
        ping_interval: Duration::from_millis(200),
        ping_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(600),
        ..config()
    };
    let gateway = gateway(config);
    let mut http = Http::connect(gateway.address).await;
    http.open().await;
    let (mut silent, _) = WebSocket::connected(gateway.address).await;
    let (mut silent_v3, _) = WebSocket::open(gateway.address, "EIO=3").await;
    assert_eq!(silent.closed().await, (vec!["2".to_owned()], Some(1001)));
    assert_eq!(silent_v3.closed().await, (vec!["40".to_owned()], Some(1001)));
    let (mut lonely, _) = WebSocket::open(gateway.address, "EIO=4").await;
    for _ in 0..2 {
        assert_eq!(lonely.text().await, "2");
        lonely.send("3").await;
    }
    assert_eq!(lonely.closed().await.1, Some(1001));
    gateway.is_empty().await;
    assert_eq!(gateway.metric("expired_sessions_total"), 4);
}

#[tokio::test]
async fn the_time_to_connect_does_not_run_while_the_application_decides() {
    let gateway = gateway(Config { connect_timeout: Duration::from_millis(150), ..config() });
    let (mut slow, _) = WebSocket::open(gateway.address, "EIO=4").await;
    slow.send("40{\"slow\":1}").await;
    assert!(slow.text().await.starts_with("40{\"sid\":"), "twice as long as the client may take");
    let (mut slow_v3, _) = WebSocket::open(gateway.address, "EIO=3&slow=1").await;
    assert_eq!(slow_v3.text().await, "40");
    let (mut refused, _) = WebSocket::open(gateway.address, "EIO=4").await;
    refused.send("40{\"slow\":1,\"refuse\":1}").await;
    assert!(refused.text().await.starts_with("44{"));
    assert_eq!(refused.closed().await, (vec![], Some(1001)), "it runs again from there");
    slow.send("42[\"echo\"]").await;
    assert_eq!(slow.text().await, "42[\"echo-back\"]");
}

#[tokio::test]
async fn a_client_is_not_cut_off_while_it_waits_for_the_application() {
    let config =
        Config { ping_interval: Duration::from_millis(100), ping_timeout: Duration::from_millis(100), ..config() };
    let gateway = gateway(config);
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send("42[\"slow\",1000]").await;
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
}

#[tokio::test]
async fn a_post_waits_for_the_one_before_it() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.post(&sid, "42[\"slow\",2500]\x1e42[\"a\"]").await;
    assert_eq!(http.post(&sid, "42[\"b\"]").await.text(), "ok");
    assert_eq!(http.post(&sid, "42[\"c\"]").await.text(), "ok");
    until(|| gateway.shared.events.lock().unwrap().len() == 4).await;
    assert_eq!(*gateway.shared.events.lock().unwrap(), ["slow", "a", "b", "c"]);
}

#[tokio::test]
async fn what_was_taken_in_is_handled_although_the_client_goes() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    http.post(&sid, "40").await;
    http.poll(&sid).await;
    let polls = gateway.metric("polls_total");
    http.send("GET", &format!("/socket.io/?EIO=4&transport=polling&sid={sid}"), "", b"").await;
    until(|| gateway.metric("polls_total") > polls).await;
    let taken = "42[\"slow\",1000]\x1e42[\"a\"]\x1e41\x1e40\x1e42[\"b\"]\x1e1\x1e42[\"c\"]";
    assert_eq!(post(gateway.address, &sid, taken).await.text(), "ok");
    drop(http);
    until(|| gateway.shared.events.lock().unwrap().len() == 3).await;
    gateway.is_empty().await;
    assert_eq!(*gateway.shared.events.lock().unwrap(), ["slow", "a", "b"], "nothing behind the close packet");

    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    for text in ["42[\"slow\",500]", "42[\"c\"]", "42[\"d\"]", "42[]", "42[\"e\"]"] {
        socket.send(text).await;
    }
    socket.0.close(None).await.unwrap();
    until(|| gateway.shared.events.lock().unwrap().len() == 6).await;
    gateway.is_empty().await;
    assert_eq!(gateway.shared.events.lock().unwrap()[3..], ["slow", "c", "d"], "nothing behind a breach");
}

#[tokio::test]
async fn a_post_of_which_nothing_was_taken_is_not_answered_as_taken() {
    let gateway = gateway(config());
    let mut http = Http::connect(gateway.address).await;
    let sid = http.open().await;
    assert_eq!(http.post(&sid, "40\x1e42[\"slow\",500]\x1e42[\"close-me\"]\x1e42[\"a\"]").await.text(), "ok");
    assert!(http.post(&sid, "42[\"b\"]").await.is_refusal(1), "the session ended while it waited");
    until(|| gateway.shared.disconnected.load(Ordering::SeqCst) == 1).await;
    assert_eq!(*gateway.shared.events.lock().unwrap(), ["slow", "close-me"]);
}

#[tokio::test]
async fn what_is_queued_is_handed_out_after_the_heartbeats_deadline_too() {
    let config =
        Config { ping_interval: Duration::from_millis(100), ping_timeout: Duration::from_millis(100), ..config() };
    let gateway = gateway(config);
    let mut http = Http::connect(gateway.address).await;
    // Of Engine.IO 3, where there is a deadline at any time.
    let base = "/socket.io/?EIO=3&transport=polling&b64=1";
    let target = format!("{base}&sid={}", sid_of(http.get(base).await.text()));
    http.request("POST", &target, "", b"14:42[\"close-me\"]").await;
    until(|| gateway.shared.disconnected.load(Ordering::SeqCst) == 1).await;
    let ended = std::time::Instant::now();
    until(|| ended.elapsed() > Duration::from_millis(400)).await;
    let polled = http.get(&target).await;
    assert!(polled.text().ends_with("12:42[\"last\",2]"), "{}", polled.text());
    assert_eq!(http.get(&target).await.text(), "1:1");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_session_alone() {
    let gateway = gateway(config());
    let (mut bystander, _) = WebSocket::connected(gateway.address).await;
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send("42[\"panic\"]").await;
    assert_eq!(socket.closed().await, (vec![], Some(1011)));
    let sid = Http::connect(gateway.address).await.open().await;
    assert_eq!(post(gateway.address, &sid, "40\x1e42[\"panic\"]\x1e42[\"a\"]").await.text(), "ok");
    until(|| gateway.shared.disconnected.load(Ordering::SeqCst) == 2).await;
    assert!(poll(gateway.address, &sid).await.is_refusal(1));
    bystander.send("42[\"echo\"]").await;
    assert_eq!(bystander.text().await, "42[\"echo-back\"]");
    drop(bystander);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_worker_takes_no_more_sessions_than_it_may_and_none_while_it_drains() {
    let gateway = gateway(Config { sessions_per_worker_max: 1, ..config() });
    let mut first = Http::connect_to(gateway.address, 0).await;
    first.open().await;
    let refused = first.get("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(refused.status, 503, "its first session is there already");
    assert!(refused.head.to_lowercase().contains("retry-after"));

    let mut second = Http::connect(gateway.address).await;
    while second.get("/socket.io/?EIO=4&transport=polling").await.status == 503 {
        second = Http::connect(gateway.address).await;
    }
    gateway.drain(PATIENCE).await;
    assert_eq!(second.get("/socket.io/?EIO=4&transport=polling").await.status, 503);
    let upgrade = WebSocket::upgrade(Http::connect(gateway.address).await, "EIO=4").await;
    assert_eq!(upgrade.err(), Some(503));
}

#[tokio::test]
async fn sessions_that_are_open_go_on_while_the_gateway_drains() {
    let gateway = gateway(config());
    let mut http = Http::connect_to(gateway.address, 0).await;
    let sid = http.open().await;
    gateway.drain(PATIENCE).await;
    assert_eq!(post(gateway.address, &sid, "40").await.text(), "ok");
    assert!(poll(gateway.address, &sid).await.text().starts_with("40{"));
    let http = Http::connect(gateway.address).await;
    let mut socket = WebSocket::upgrade(http, &format!("EIO=4&sid={sid}")).await.unwrap();
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    socket.send("5").await;
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.text().await, "42[\"echo-back\"]");
}
