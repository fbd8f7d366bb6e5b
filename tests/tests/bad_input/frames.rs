//! Messages that are no requests, and bytes that are no messages.

use anyhow::{Context as _, Result};
use huddle_proto::gateway::v1::{ClientFrame, Hello, Ping, client_frame::Request};
use huddle_tests::raw_ws::{
    Opening, RawWs, Received, frame, frame_head,
    opcode::{BINARY, CLOSE, CONTINUATION, PING, TEXT, UNKNOWN},
};
use prost::Message as _;
use serde_json::json;

use crate::world::{MARK, MEMBER, TEAM, World, assert_closed, assert_closes, assert_refused};

/// Bad frames of one connection that are only answered; the next one closes it.
const BAD_FRAMES_TOLERATED: usize = 15;

/// A text, the id of the request in it that can be read, and the code of the answer.
type Case = (String, &'static str, &'static str);

fn texts() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("", "", "MALFORMED"),
        ("{", "", "MALFORMED"),
        ("null", "", "MALFORMED"),
        ("[]", "", "MALFORMED"),
        ("\"ping\"", "", "MALFORMED"),
        ("42", "", "MALFORMED"),
        ("{\"id\": \"1\", \"ping\": {}} {}", "", "MALFORMED"),
        ("{'id': '1', 'ping': {}}", "", "MALFORMED"),
        ("{\"id\": 1, \"ping\": {}}", "", "MALFORMED"),
        ("{\"id\": \"m1\", \"ping\": 5}", "m1", "MALFORMED"),
        ("{\"id\": \"m2\", \"send\": {\"team\": 5}}", "m2", "MALFORMED"),
        (
            "{\"id\": \"m3\", \"send\": {\"team\": \"bad-input\", \"body\": \"words-of-a-body \\ud800\"}}",
            "m3",
            "MALFORMED",
        ),
        ("{\"id\": \"m4\", \"send\": {\"team\": \"bad-input\", \"body\": [\"words-of-a-body\"]}}", "m4", "MALFORMED"),
        ("{\"id\": \"m5\", \"ping\": {}, \"unsubscribe\": {\"team\": \"bad-input\"}}", "m5", "MALFORMED"),
        ("{\"id\": \"m6\", \"subscribe\": {\"team\": \"bad-input\", \"after\": -1}}", "m6", "MALFORMED"),
        (
            "{\"id\": \"m7\", \"subscribe\": {\"team\": \"bad-input\", \"after\": \"18446744073709551616\"}}",
            "m7",
            "MALFORMED",
        ),
        ("{\"id\": \"m8\", \"subscribe\": {\"team\": \"bad-input\", \"after\": 1e300}}", "m8", "MALFORMED"),
        (
            "{\"id\": \"m9\", \"subscribe\": {\"team\": \"bad-input\", \"after\": \"words-of-a-body\"}}",
            "m9",
            "MALFORMED",
        ),
        ("{\"id\": \"u1\"}", "u1", "UNKNOWN_REQUEST"),
        ("{\"id\": \"u2\", \"fly\": {\"to\": \"words-of-a-body\"}}", "u2", "UNKNOWN_REQUEST"),
        ("{\"id\": \"u3\", \"ping\": null}", "u3", "UNKNOWN_REQUEST"),
        ("{\"ping\": {}}", "", "INVALID_ID"),
        ("{}", "", "INVALID_ID"),
    ]
    .map(|(text, id, code)| (text.to_owned(), id, code))
    .to_vec();
    let nested = format!("{{\"id\": \"1\", \"x\": {}", "[".repeat(10_000));
    cases.push((nested, "", "MALFORMED"));
    let ids = ["", " ", "a b", "a.b", "*", ">", "a\r\nb", "a\0b", "\u{2028}", "ä", "../x"].map(str::to_owned);
    for id in ids.into_iter().chain([65, 300].map(|length| "x".repeat(length))) {
        cases.push((json!({"id": id, "ping": {}}).to_string(), "", "INVALID_ID"));
    }
    cases
}

pub(crate) async fn undecodable_frames_are_answered(world: &mut World) -> Result<()> {
    let cases = texts();
    for some in cases.chunks(BAD_FRAMES_TOLERATED) {
        let mut socket = world.connect_as(MEMBER).await?;
        for (text, id, code) in some {
            socket.text(text).await?;
            assert_refused(text, &socket.reply_to(id).await?, id, code);
        }
        world.say(&mut socket, "as if nothing had happened").await?;
        world.retire(&socket);
    }

    let mut socket = world.connect_as(MEMBER).await?;
    for count in 1..=BAD_FRAMES_TOLERATED {
        socket.send(BINARY, b"{\"id\": \"1\", \"ping\": {}}").await?;
        assert_refused(&format!("binary frame {count}"), &socket.receive_frame().await?, "", "MALFORMED");
    }
    socket.text("the sixteenth").await?;
    assert_closes("one bad frame too many", &mut socket, Some("MALFORMED"), 4400).await?;
    world.retire(&socket);
    protobuf(world).await
}

async fn protobuf(world: &mut World) -> Result<()> {
    let opening = Opening { protocol: Some("huddle.v1.proto"), ..Opening::default() };
    let mut socket = RawWs::open_with(&world.url(), opening).await?;
    let request = |id: &str, request| ClientFrame { id: id.to_owned(), request: Some(request) }.encode_to_vec();
    let hello = Hello { token: world.token(MEMBER)? };
    socket.send(BINARY, &request("h", Request::Hello(hello))).await?;
    assert!(socket.reply_to("h").await?.get("welcome").is_some());

    let good = request("p1", Request::Ping(Ping {}));
    let without_request = ClientFrame { id: "p2".to_owned(), request: None }.encode_to_vec();
    // A field of number 99 that holds a text.
    let unknown_request = [without_request.as_slice(), &[0x9a, 0x06, 2, b'h', b'i']].concat();
    let cut_off = &good[..good.len() - 1];
    let not_unicode = [0x0a, 2, 0xc3, 0x28];
    for (what, opcode, payload, id, code) in [
        ("a text", TEXT, &b"{\"id\": \"1\", \"ping\": {}}"[..], "", "MALFORMED"),
        ("random bytes", BINARY, &[0xff; 3], "", "MALFORMED"),
        ("a cut off frame", BINARY, cut_off, "", "MALFORMED"),
        ("an id that is no text", BINARY, &not_unicode, "", "MALFORMED"),
        ("nothing", BINARY, &[], "", "INVALID_ID"),
        ("no request", BINARY, &without_request, "p2", "UNKNOWN_REQUEST"),
        ("an unknown request", BINARY, &unknown_request, "p2", "UNKNOWN_REQUEST"),
        ("a bad id", BINARY, &request("a b", Request::Ping(Ping {})), "", "INVALID_ID"),
    ] {
        socket.send(opcode, payload).await?;
        assert_refused(what, &socket.reply_to(id).await?, id, code);
    }
    socket.send(BINARY, &good).await?;
    assert_eq!(socket.receive_frame().await?, json!({"reply_to": "p1", "pong": {}}));
    world.retire(&socket);
    Ok(())
}

pub(crate) async fn broken_websocket_frames_end_the_connection(world: &mut World) -> Result<()> {
    let ping = br#"{"id": "1", "ping": {}}"#;
    let not_unicode = [&b"{\"id\": \"1\", \"x\": \"words-of-a-body "[..], &[0xc3, 0x28], b"\"}"].concat();
    let mut unmasked = frame(true, TEXT, ping);
    unmasked[1] &= 0x7f;
    let mut reserved_bit = frame(true, TEXT, ping);
    reserved_bit[0] |= 0x40;
    let join = |frames: &[Vec<u8>]| frames.concat();
    for (what, bytes) in [
        ("text that is not UTF-8", frame(true, TEXT, &not_unicode)),
        (
            "text in parts that is not UTF-8",
            join(&[frame(false, TEXT, &not_unicode[..20]), frame(true, CONTINUATION, &not_unicode[20..])]),
        ),
        ("a frame that is not masked", unmasked),
        ("a reserved bit", reserved_bit),
        ("an unknown opcode", frame(true, UNKNOWN, ping)),
        ("a part of nothing", frame(true, CONTINUATION, ping)),
        ("a message within a message", join(&[frame(false, TEXT, &ping[..5]), frame(true, TEXT, ping)])),
        ("a ping in parts", frame(false, PING, b"half")),
        ("a ping that is too long", frame(true, PING, &[b'x'; 126])),
        ("a close code of one byte", frame(true, CLOSE, &[3])),
        ("a close code that is none", frame(true, CLOSE, &999_u16.to_be_bytes())),
        ("a close reason that is not UTF-8", frame(true, CLOSE, &[3, 0xe8, 0xc3, 0x28])),
    ] {
        let mut socket = world.connect_as(MEMBER).await?;
        socket.send_bytes(&bytes).await?;
        assert_closes(what, &mut socket, Some("MALFORMED"), 4400).await?;
        world.retire(&socket);
    }

    // An orderly end is answered in kind. One without a word is nobody's error, and ends the connection all the same,
    // even of a client that goes on to listen.
    let mut socket = world.connect_as(MEMBER).await?;
    let said = socket.send_until_the_end(&frame(true, CLOSE, &4_321_u16.to_be_bytes())).await?;
    assert_closed("the client's own close", &said, None, 1000);
    let mut cut_off = world.connect_as(MEMBER).await?;
    cut_off.send_bytes(&frame_head(true, TEXT, 100)).await?;
    drop(cut_off);
    let mut silent = world.connect_as(MEMBER).await?;
    silent.stop_sending().await?;
    let said = silent.until_the_end().await.context("the end of what the client sends")?;
    assert_eq!(said, [], "the end of what the client sends");
    Ok(())
}

pub(crate) async fn pings_are_answered_with_their_payload(world: &mut World) -> Result<()> {
    let mut socket = world.connect_as(MEMBER).await?;
    for payload in [&b""[..], b"are you there?", &[0xff; 125]] {
        socket.send(PING, payload).await?;
        assert_eq!(socket.receive().await?, Received::Pong(payload.to_vec()));
    }
    // Between the parts of a message, too, and the message comes through.
    let send = json!({"id": "parts", "send": {"team": TEAM, "client_id": "parts", "body": format!("{MARK} in parts")}});
    let send = send.to_string();
    let (first, last) = send.as_bytes().split_at(20);
    socket.send_bytes(&frame(false, TEXT, first)).await?;
    socket.send(PING, b"between").await?;
    assert_eq!(socket.receive().await?, Received::Pong(b"between".to_vec()));
    socket.send(CONTINUATION, last).await?;
    let reply = socket.reply_to("parts").await?;
    let seq = crate::world::accepted_seq(&reply).unwrap_or_else(|| panic!("{reply}"));
    world.note_accepted(seq, &format!("{MARK} in parts"));
    Ok(())
}
