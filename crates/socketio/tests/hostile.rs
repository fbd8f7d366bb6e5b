//! Clients that mean harm: each hurts itself alone, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use huddle_bus::{Bus, LocalBus};
use huddle_socketio::Config;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

mod harness;

use harness::{Gateway, Http, WebSocket, config, poll, post, soon, until};

const CLOSE_PROTOCOL_ERROR: Option<u16> = Some(1002);
const CLOSE_TOO_BIG: Option<u16> = Some(1009);
/// What memory may grow by while a client floods, in bytes: what waits in queues and buffers, and what allocators keep.
const GROWTH_MAX: usize = 24 * 1024 * 1024;

fn gateway(config: Config) -> Gateway {
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new());
    Gateway::start(config, &bus)
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// A connection whose bytes are the test's own.
async fn bare_websocket(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("maxPayload\":65536}") {
        assert!(soon(stream.read_buf(&mut answer)).await.unwrap() > 0);
    }
    stream
}

/// Waits for the close frame and returns its code.
async fn close_code(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    while let Ok(1..) = soon(stream.read_buf(&mut answer)).await {}
    let at = answer.iter().position(|byte| *byte == 0x88)?;
    Some(u16::from_be_bytes([*answer.get(at + 2)?, *answer.get(at + 3)?]))
}

/// A masked frame (with a mask of zeros) of up to 125 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

#[tokio::test]
async fn a_breach_of_the_protocol_ends_the_session_alone() {
    let gateway = gateway(config());
    let (mut bystander, _) = WebSocket::connected(gateway.address).await;
    let deep = format!("42[\"a\",{}", "[".repeat(10_000));
    let deep_connect = format!("40/custom,{}", "{\"a\":".repeat(10_000));
    let many = format!("42[\"a\"{}]", ",0".repeat(1_000));
    let long_namespace = format!("40/{}", "n".repeat(1_000));
    let breaches: &[(&str, &[&str])] = &[
        ("socket_packet", &["4abc"]),
        ("socket_packet", &["44{\"message\":\"x\"}"]),
        ("socket_packet", &["4"]),
        ("engine_packet", &["0{}"]),
        ("engine_packet", &["7"]),
        ("engine_packet", &[""]),
        ("engine_packet", &["5"]),
        ("heartbeat_direction", &["2"]),
        ("event_payload", &["42{}"]),
        ("event_payload", &["42[]"]),
        ("event_payload", &["42[1]"]),
        ("event_payload", &["42[[\"a\"]]"]),
        ("event_payload", &["42abc[\"a\"]"]),
        ("event_payload", &["42"]),
        ("event_payload", &[&many]),
        ("event_payload", &["431{}"]),
        ("depth", &[&deep]),
        ("depth", &[&deep_connect]),
        ("reserved_event", &["42[\"connect\"]"]),
        ("reserved_event", &["42[\"connect_error\"]"]),
        ("reserved_event", &["42[\"disconnect\"]"]),
        ("reserved_event", &["42[\"disconnecting\"]"]),
        ("reserved_event", &["42[\"newListener\"]"]),
        ("reserved_event", &["42[\"removeListener\"]"]),
        ("ack_id", &["4299999999999999999999[\"echo\"]"]),
        ("ack_id", &["43[]"]),
        ("second_connect", &["40"]),
        ("connect_payload", &["40/custom,[]"]),
        ("connect_payload", &["40/custom,\"token\""]),
        ("namespace_name", &[&long_namespace]),
        ("not_connected", &["42/custom,[\"echo\"]"]),
        ("not_connected", &["42/nowhere,[\"echo\"]"]),
        ("not_connected", &["41/custom,"]),
        ("attachment_limit", &["4511-[\"echo\"]"]),
        ("attachment_limit", &["4599999999999999999999999-[\"echo\"]"]),
        ("attachment_order", &["451-[\"echo\"]", "42[\"echo\"]"]),
        ("attachment_order", &["451-[\"echo\"]", "451-[\"echo\"]"]),
        ("attachment_order", &["bAQID"]),
    ];
    for (reason, texts) in breaches {
        let metric = format!("protocol_errors_total{{reason=\"{reason}\"}}");
        let before = gateway.metric(&metric);
        let (mut socket, _) = WebSocket::connected(gateway.address).await;
        for text in *texts {
            socket.send(text).await;
        }
        assert_eq!(socket.closed().await.1, CLOSE_PROTOCOL_ERROR, "{reason}: {:.60}", texts.join(" "));
        assert_eq!(gateway.metric(&metric), before + 1, "{reason}: {:.60}", texts.join(" "));
    }
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send("453-[\"echo\"]").await;
    for _ in 0..2 {
        socket.send_binary(&vec![0; 40_000]).await;
    }
    assert_eq!(socket.closed().await.1, CLOSE_PROTOCOL_ERROR);
    assert_eq!(gateway.metric("protocol_errors_total{reason=\"attachment_limit\"}"), 3);

    bystander.send("42[\"__proto__\",1]").await;
    bystander.send("421[\"echo\",{\"__proto__\":{\"a\":1}}]").await;
    assert_eq!(bystander.text().await, "42[\"echo-back\",{\"__proto__\":{\"a\":1}}]");
    drop(bystander);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_breach_by_post_is_refused_and_ends_the_session() {
    let gateway = gateway(config());
    let many = vec!["6"; 257].join("\x1e");
    for body in ["abc", "", "4a\x1e", "2", "5", "bAQI", &many] {
        let sid = Http::connect(gateway.address).await.open().await;
        assert!(post(gateway.address, &sid, body).await.is_refusal(3), "{body:.20}");
        assert!(poll(gateway.address, &sid).await.is_refusal(1), "{body:.20}");
    }
    let sid = Http::connect(gateway.address).await.open().await;
    post(gateway.address, &sid, "40\x1e42[\"slow\",1000]\x1e42[\"slow\",1]").await;
    let mut waiting = Http::connect(gateway.address).await;
    waiting.send("POST", &format!("/socket.io/?EIO=4&transport=polling&sid={sid}"), "", b"6").await;
    until(|| gateway.metric("posts_total") >= 7 + 2).await;
    assert!(post(gateway.address, &sid, "6").await.is_refusal(3), "two posts at once");
    assert_eq!(gateway.metric("protocol_errors_total{reason=\"post_overlap\"}"), 1);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_query_that_would_be_kept_is_bounded() {
    let gateway = gateway(config());
    let base = "/socket.io/?EIO=4&transport=polling";
    let (token, rest) = ("t".repeat(8 * 1024), "r".repeat(8 * 1024));
    let long_token = format!("Authorization: Bearer {token}t\r\n");
    for (query, headers) in [
        (format!("{base}{}", "&a".repeat(31)), ""),
        (format!("{base}{}", "&a".repeat(30_000)), ""),
        (format!("{base}&a={rest}{token}"), ""),
        (format!("{base}&token={token}t"), ""),
        (base.to_owned(), &*long_token),
    ] {
        let refused = Http::connect(gateway.address).await.request("GET", &query, headers, b"").await;
        assert!(refused.is_refusal(3), "{query:.100}: {}", refused.text());
    }
    assert_eq!(gateway.session_count().await, 0);
    for query in [format!("{base}{}", "&a".repeat(30)), format!("{base}&token={token}&a={}", &rest[100..])] {
        assert_eq!(Http::connect(gateway.address).await.get(&query).await.status, 200, "{query:.100}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_without_being_gathered() {
    let gateway = gateway(config());
    let sid = Http::connect(gateway.address).await.open().await;
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let before = resident_bytes();

    let mut announced = Http::connect(gateway.address).await;
    let head = format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n");
    announced.write(head.as_bytes()).await;
    assert_eq!(announced.receive().await.status, 413, "not one byte of it was sent");

    let mut streamed = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!("POST {target} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    streamed.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..4_000 {
        // The server stops reading sooner or later, or ends the connection.
        match timeout(Duration::from_millis(500), streamed.write_all(chunk.as_bytes())).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    assert!(resident_bytes() < before + GROWTH_MAX);
    assert_eq!(post(gateway.address, &sid, "3").await.text(), "ok", "the session is none the worse for it");
    let exactly = format!("4{}", "x".repeat(65_535));
    assert!(post(gateway.address, &sid, &exactly).await.status != 413);
}

#[tokio::test]
async fn a_websocket_message_that_is_too_long_is_refused_by_its_head() {
    let gateway = gateway(config());
    let before = resident_bytes();
    let mut stream = bare_websocket(&gateway).await;
    stream.write_all(&[&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes()].concat()).await.unwrap();
    assert_eq!(close_code(&mut stream).await, CLOSE_TOO_BIG);

    let mut stream = bare_websocket(&gateway).await;
    let part = [&[0x01, 0xfe, 0x40, 0x00, 0, 0, 0, 0][..], &[b'4'; 0x4000]].concat();
    let next = [&[0x00, 0xfe, 0x40, 0x00, 0, 0, 0, 0][..], &[b'4'; 0x4000]].concat();
    stream.write_all(&part).await.unwrap();
    for _ in 0..8 {
        let _ = stream.write_all(&next).await;
    }
    assert_eq!(close_code(&mut stream).await, CLOSE_TOO_BIG, "in pieces too");
    gateway.is_empty().await;
    assert!(resident_bytes() < before + GROWTH_MAX);
}

#[tokio::test]
async fn fragments_without_end_take_bounded_memory() {
    let gateway = gateway(config());
    let before = resident_bytes();
    let mut empty = bare_websocket(&gateway).await;
    empty.write_all(&frame(0x01, b"4")).await.unwrap();
    empty.write_all(&frame(0x00, b"").repeat(100_000)).await.unwrap();
    empty.write_all(&frame(0x80, b"0")).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("40{\"sid\"") {
        assert!(soon(empty.read_buf(&mut answer)).await.unwrap() > 0, "they amount to one packet");
    }

    let mut tiny = bare_websocket(&gateway).await;
    tiny.write_all(&frame(0x01, b"4")).await.unwrap();
    let _ = tiny.write_all(&frame(0x00, b"x").repeat(100_000)).await;
    assert_eq!(close_code(&mut tiny).await, CLOSE_TOO_BIG);
    assert!(resident_bytes() < before + GROWTH_MAX);
}

#[tokio::test]
async fn floods_of_packets_that_say_nothing_take_no_memory() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    let before = resident_bytes();
    for packet in ["3", "6"] {
        for _ in 0..200_000 {
            socket.0.feed(Message::text(packet)).await.unwrap();
        }
        socket.send("42[\"echo\"]").await;
        let mut text = socket.text().await;
        while text == "2" {
            text = socket.text().await;
        }
        assert_eq!(text, "42[\"echo-back\"]");
    }
    assert!(resident_bytes() < before + GROWTH_MAX);
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_to_those_who_read_and_ends_the_others() {
    let gateway = gateway(Config { outbox_frames_max: 256, ..config() });
    let (socket, _) = WebSocket::open(gateway.address, "EIO=3").await;
    let before = resident_bytes();
    let (mut send, mut receive) = socket.0.split();
    let sending = tokio::spawn(async move {
        for _ in 0..50_000 {
            // Cut loose at some point: nothing is read meanwhile.
            if send.feed(Message::text("2")).await.is_err() {
                break;
            }
        }
    });
    soon(sending).await.unwrap();
    let mut answers = 0;
    while let Some(Ok(Message::Text(_))) = soon(receive.next()).await {
        answers += 1;
    }
    drop(receive);
    assert!(answers > 0);
    assert!(resident_bytes() < before + GROWTH_MAX);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_thousand_namespaces_are_a_thousand_refusals() {
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    for number in 0..1_000 {
        socket.send(&format!("40/n{number},")).await;
        assert_eq!(socket.text().await, format!("44/n{number},{{\"message\":\"Invalid namespace\"}}"));
    }
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.text().await, "42[\"echo-back\"]");

    let sid = Http::connect(gateway.address).await.open().await;
    let mut body = String::from("40");
    for number in 0..200 {
        write!(body, "\x1e40/n{number},").unwrap();
    }
    let mut posts = 0;
    while post(gateway.address, &sid, &body.replace("40\x1e", "")).await.status == 200 {
        posts += 1;
        assert!(posts < 100, "what nobody polls for must not pile up");
    }
    drop(socket);
    gateway.is_empty().await;
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_loose_and_nobody_else() {
    let gateway = gateway(Config { outbox_max: 256 * 1024, ..config() });
    let before = resident_bytes();
    let (mut bystander, _) = WebSocket::connected(gateway.address).await;
    let (mut slow, _) = WebSocket::connected(gateway.address).await;
    let unpolled = Http::connect(gateway.address).await.open().await;
    post(gateway.address, &unpolled, "40\x1e42[\"flood\",1000,20000]").await;
    for _ in 0..100 {
        slow.send("42[\"flood\",10,20000]").await;
    }
    until(|| gateway.shared.disconnected.load(Ordering::SeqCst) == 2).await;
    assert!(poll(gateway.address, &unpolled).await.is_refusal(1));
    bystander.send("42[\"echo\"]").await;
    assert_eq!(bystander.text().await, "42[\"echo-back\"]");
    assert!(resident_bytes() < before + GROWTH_MAX);
    drop((bystander, slow));
    gateway.is_empty().await;
}

#[tokio::test]
async fn an_application_that_waits_for_room_goes_on_when_nobody_reads_any_more() {
    let config = Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(300),
        outbox_max: 64 * 1024,
        ..config()
    };
    let gateway = gateway(config);
    let sid = Http::connect(gateway.address).await.open().await;
    post(gateway.address, &sid, "40\x1e42[\"fill\"]").await;
    until(|| gateway.shared.handlers.load(Ordering::SeqCst) == 1).await;
    gateway.is_empty().await;
    assert_eq!(gateway.shared.handlers.load(Ordering::SeqCst), 0);
    assert_eq!(*gateway.shared.events.lock().unwrap(), ["fill"]);
}

#[tokio::test]
async fn what_never_comes_is_not_waited_for_for_ever() {
    const COMES_TO_AN_END: Duration = Duration::from_secs(20);
    let gateway = gateway(config());
    let (mut socket, _) = WebSocket::connected(gateway.address).await;
    socket.send("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
    let attachment = async {
        while let Some(Ok(message)) = socket.0.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    };
    let sid = Http::connect(gateway.address).await.open().await;
    post(gateway.address, &sid, "40").await;
    let body = async {
        let mut http = Http::connect(gateway.address).await;
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        http.write(format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n4").as_bytes()).await;
        let mut stream = http.into_stream();
        let mut answer = Vec::new();
        stream.read_buf(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let (closed, answer) = timeout(COMES_TO_AN_END, async { tokio::join!(attachment, body) }).await.unwrap();
    assert_eq!(closed, Some(1001));
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn sessions_that_come_and_go_leave_nothing_behind() {
    const WARM_UP: usize = 300;
    const CYCLES: usize = 3_000;
    let gateway = gateway(config());
    let mut before = 0;
    for cycle in 0..WARM_UP + CYCLES {
        if cycle == WARM_UP {
            gateway.is_empty().await;
            before = resident_bytes();
        }
        if cycle % 2 == 0 {
            let (mut socket, _) = WebSocket::connected(gateway.address).await;
            socket.send("42[\"echo\",1]").await;
            socket.text().await;
        } else {
            let mut http = Http::connect(gateway.address).await;
            let sid = http.open().await;
            http.post(&sid, "40\x1e42[\"echo\",1]").await;
            http.poll(&sid).await;
            http.post(&sid, "1").await;
        }
    }
    gateway.is_empty().await;
    let growth = resident_bytes().saturating_sub(before);
    assert!(growth < CYCLES * 2_048, "{growth} bytes");
}
