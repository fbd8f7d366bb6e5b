//! A reader that does not read.

use anyhow::{Context as _, Result, bail};
use huddle_tests::raw_ws::{Opening, Received};
use serde_json::{Value, json};

use crate::world::{MEMBER, OUTBOX_BYTES_MAX, OWNER, TEAM, World};

const RECEIVE_BUFFER_BYTES: u32 = 4 * 1024;
/// Sends between two looks at whether the gateway has had enough of the reader.
const SENDS_AT_ONCE: usize = 16;
/// More than any kernel buffers for one connection: 32 MB.
const SENDS_MAX: usize = 2_000;
/// What the gateway may take beyond the reader's outbox: what is on its way to the others.
const GROWTH_BYTES_MAX: u64 = OUTBOX_BYTES_MAX as u64 + 32 * 1024 * 1024;

pub(crate) async fn a_slow_reader_hurts_only_itself_and_misses_nothing(world: &mut World) -> Result<()> {
    let opening = Opening { receive_buffer_bytes: Some(RECEIVE_BUFFER_BYTES), ..Opening::default() };
    let mut slow = world.connect_with(OWNER, opening).await?;
    let mut sender = world.connect_as(MEMBER).await?;
    let reply = slow.request(json!({"subscribe": {"team": TEAM}})).await?;
    let mut cursor: u64 = reply["subscribed"]["last_seq"].as_str().with_context(|| format!("{reply}"))?.parse()?;
    let (memory, closes) = (world.gateway_peak_memory_bytes()?, world.closes("SLOW_CONSUMER").await?);

    // The team talks until the gateway lets go of the reader, and a little longer.
    let large = "😀".repeat(3_900);
    let mut sent = Vec::new();
    while world.closes("SLOW_CONSUMER").await? <= closes {
        assert!(sent.len() < SENDS_MAX, "the reader that does not read is still there after {} sends", sent.len());
        for _ in 0..SENDS_AT_ONCE {
            sent.push(world.say(&mut sender, &large).await?.0);
        }
    }
    for _ in 0..SENDS_AT_ONCE {
        sent.push(world.say(&mut sender, "without the slow one").await?.0);
    }
    let last = *sent.last().context("nothing was sent")?;
    world.wait_until_heard(last).await?;
    let growth = world.gateway_peak_memory_bytes()?.saturating_sub(memory);
    assert!(growth < GROWTH_BYTES_MAX, "the gateway took {growth} bytes");

    // What it finds when it reads at last: a beginning without a gap, and the end.
    let mut received = Vec::new();
    let mut close = None;
    for said in slow.until_the_end().await? {
        match said {
            Received::Frame(frame) if frame.get("event").is_some() => take(&frame, &mut cursor, &mut received)?,
            Received::Frame(frame) if frame.get("caught_up").is_some() => {}
            Received::Close(code) => close = Some(code),
            other => bail!("{other:?}"),
        }
    }
    // Cut off without a word is fine as well: the peer did not read.
    assert!(matches!(close, None | Some(Some(4000))), "{close:?}");
    assert!(received.len() < sent.len(), "the reader was closed although it had everything");

    let mut again = world.connect_as(OWNER).await?;
    again.request(json!({"subscribe": {"team": TEAM, "after": cursor.to_string()}})).await?;
    while cursor < last {
        let frame = again.receive_frame().await?;
        if frame.get("event").is_some() {
            take(&frame, &mut cursor, &mut received)?;
        }
    }
    assert_eq!(received, sent, "what the slow reader received over both connections");
    for socket in [&slow, &again, &sender] {
        world.retire(socket);
    }
    Ok(())
}

/// Takes the next event, which must follow on `cursor`.
fn take(frame: &Value, cursor: &mut u64, received: &mut Vec<u64>) -> Result<()> {
    let number = |field: &str| anyhow::Ok(frame["event"][field].as_str().context("no text")?.parse::<u64>()?);
    let (seq, prev_seq) = (number("seq")?, number("prev_seq")?);
    assert!(prev_seq == *cursor && seq > *cursor, "{prev_seq} and {seq} after {cursor}");
    *cursor = seq;
    received.push(seq);
    Ok(())
}
