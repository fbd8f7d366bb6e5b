//! Messages that are too large, in every way in which one can be.

use anyhow::{Context as _, Result};
use huddle_tests::raw_ws::{
    Opening, Received, frame, frame_head,
    opcode::{BINARY, CONTINUATION, TEXT},
};
use serde_json::json;

use crate::world::{FRAME_BYTES_MAX, MARK, MEMBER, World, assert_closed};

/// What a connection may take of the gateway's memory while it does its worst: its frame, its socket's buffer, and
/// what an allocator keeps of a few of them.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;
const FRAGMENTS: usize = 100_000;
/// What is sent of a frame that is announced as larger still.
const FLOOD_BYTES: usize = 96 * 1024 * 1024;

/// A ping as JSON of exactly `bytes` bytes.
fn ping_of(bytes: usize) -> Vec<u8> {
    let ping = |filling: &str| json!({"id": "large", "ping": {}, "x": filling}).to_string();
    let filling = bytes - ping("").len();
    ping(&format!("{MARK}{}", "x".repeat(filling - MARK.len()))).into_bytes()
}

pub(crate) async fn oversized_messages_end_the_connection(world: &mut World) -> Result<()> {
    let mut socket = world.connect_as(MEMBER).await?;
    let largest = ping_of(FRAME_BYTES_MAX);
    socket.send(TEXT, &largest).await?;
    assert_eq!(socket.receive_frame().await?, json!({"reply_to": "large", "pong": {}}));
    let parts = [frame(false, TEXT, &largest[..40_000]), frame(true, CONTINUATION, &largest[40_000..])];
    socket.send_bytes(&parts.concat()).await?;
    assert_eq!(socket.receive_frame().await?, json!({"reply_to": "large", "pong": {}}));

    let too_large = ping_of(FRAME_BYTES_MAX + 1);
    let halves = [frame(false, TEXT, &too_large[..40_000]), frame(true, CONTINUATION, &too_large[40_000..])].concat();
    for (what, bytes) in [
        ("a byte too many", frame(true, TEXT, &too_large)),
        ("two halves", halves),
        ("a part that is too large", frame(false, TEXT, &too_large)),
        ("ten MiB", frame(true, TEXT, &ping_of(10 * 1024 * 1024))),
        ("binary", frame(true, BINARY, &too_large)),
    ] {
        let mut socket = world.connect_as(MEMBER).await?;
        let said = socket.send_until_the_end(&bytes).await.context(what)?;
        assert_closed(what, &said, Some("TOO_LARGE"), 1009);
        world.retire(&socket);
    }
    let opening = Opening { protocol: Some("huddle.v1.proto"), ..Opening::default() };
    let mut before_hello = huddle_tests::raw_ws::RawWs::open_with(&world.url(), opening).await?;
    let said = before_hello.send_until_the_end(&frame(true, BINARY, &too_large)).await?;
    assert_closed("protobuf before hello", &said, Some("TOO_LARGE"), 1009);
    world.retire(&before_hello);
    Ok(())
}

pub(crate) async fn fragments_without_end_stay_bounded(world: &mut World) -> Result<()> {
    let before = world.gateway_peak_memory_bytes()?;
    let mut socket = world.connect_as(MEMBER).await?;
    let one_byte = [frame(false, TEXT, b"["), frame(false, CONTINUATION, b"[").repeat(FRAGMENTS)].concat();
    let said = socket.send_until_the_end(&one_byte).await?;
    assert_closed("one-byte fragments", &said, Some("TOO_LARGE"), 1009);
    world.retire(&socket);

    let mut socket = world.connect_as(MEMBER).await?;
    let empty = [frame(false, TEXT, b""), frame(false, CONTINUATION, b"").repeat(FRAGMENTS)].concat();
    socket.send_bytes(&empty).await?;
    socket.send(CONTINUATION, br#"{"id": "patient", "ping": {}}"#).await?;
    assert_eq!(socket.receive().await?, Received::Frame(json!({"reply_to": "patient", "pong": {}})));
    world.say(&mut socket, "after a hundred thousand fragments").await?;

    let growth = world.gateway_peak_memory_bytes()?.saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the gateway took {growth} bytes");
    Ok(())
}

pub(crate) async fn a_frame_that_is_only_announced_takes_no_memory(world: &mut World) -> Result<()> {
    for length in [1 << 40, u64::MAX >> 1, u64::MAX] {
        let what = format!("a frame of {length} bytes");
        let before = world.gateway_peak_memory_bytes()?;
        let mut socket = world.connect_as(MEMBER).await?;
        let mut flood = frame_head(true, BINARY, length);
        flood.resize(FLOOD_BYTES, b'x');
        let said = socket.send_until_the_end(&flood).await;
        let growth = world.gateway_peak_memory_bytes()?.saturating_sub(before);
        assert!(growth < GROWTH_BYTES_MAX, "{what}: the gateway took {growth} bytes");
        let said = said.context(what.clone())?;
        assert_closed(&what, &said, Some("TOO_LARGE"), 1009);
        world.retire(&socket);
    }
    Ok(())
}
