//! A reader that hardly reads.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use huddle_tests::raw_ws::{Opening, RawWs, Received, frame, opcode};
use serde_json::{Value, json};

use crate::world::{MEMBER, OUTBOX_BYTES_MAX, OWNER, TEAM, World};

/// The reader reads a byte this often.
const READING_INTERVAL: Duration = Duration::from_secs(1);
/// Events that it asks for at once, later on.
const PAGE_EVENTS: usize = 50;
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

    // The team talks until the gateway lets go of the reader, and hears everything meanwhile.
    let large = "😀".repeat(3_900);
    let mut sent = Vec::new();
    let mut reads_at = Instant::now();
    while world.closes("SLOW_CONSUMER").await? <= closes {
        assert!(sent.len() < SENDS_MAX, "the reader that hardly reads is still there after {} sends", sent.len());
        for _ in 0..SENDS_AT_ONCE {
            sent.push(world.say(&mut sender, &large).await?.0);
        }
        world.wait_until_heard(*sent.last().context("nothing was sent")?).await?;
        if Instant::now() >= reads_at {
            slow.read_a_byte().await?;
            reads_at += READING_INTERVAL;
        }
    }
    let growth = world.gateway_peak_memory_bytes()?.saturating_sub(memory);
    assert!(growth < GROWTH_BYTES_MAX, "the gateway took {growth} bytes");

    // What it finds when it reads at last: a beginning without a gap, and the end.
    let mut received = Vec::new();
    let mut close = None;
    for said in slow.until_the_end().await? {
        match said {
            Received::Frame(frame) if frame.get("event").is_some() => {
                take(&frame["event"], &mut cursor, &mut received)?;
            }
            Received::Frame(frame) if frame.get("caught_up").is_some() => {}
            Received::Close(code) => close = Some(code),
            other => bail!("{other:?}"),
        }
    }
    assert_eq!(close, Some(Some(4000)));
    assert!(slow.close_reason().contains("resync from your cursor"), "{:?}", slow.close_reason());
    assert!(received.len() < sent.len(), "the reader was closed although it had everything");

    for _ in 0..SENDS_AT_ONCE {
        sent.push(world.say(&mut sender, "without the slow one").await?.0);
    }
    world.deployment.wait_until_stored().await?;
    let mut again = world.connect_with(OWNER, opening).await?;
    pull(&mut again, &mut cursor, &mut received).await?;
    assert_eq!(received, sent, "what the slow reader received, sent and pulled");

    // The pages lead up to where a subscription goes on.
    again.request(json!({"subscribe": {"team": TEAM, "after": cursor.to_string()}})).await?;
    let caught_up = again.receive_frame().await?;
    assert_eq!(caught_up["caught_up"]["seq"], cursor.to_string(), "{caught_up}");
    one_page_at_a_time(&mut again).await?;
    for socket in [&slow, &again, &sender] {
        world.retire(socket);
    }
    Ok(())
}

/// Reads pages until there are no more.
async fn pull(socket: &mut RawWs, cursor: &mut u64, received: &mut Vec<u64>) -> Result<()> {
    loop {
        let asked = json!({"list_events": {"team": TEAM, "after": cursor.to_string(), "limit": PAGE_EVENTS}});
        let page = socket.request(asked).await?["events"].take();
        let events = page["events"].as_array().with_context(|| format!("no page: {page}"))?;
        let bytes = serde_json::to_string(&page)?.len();
        assert!(events.len() <= PAGE_EVENTS && bytes <= OUTBOX_BYTES_MAX / 2, "{} in {bytes} bytes", events.len());
        for event in events {
            take(event, cursor, received)?;
        }
        if page["has_more"] != true {
            return Ok(());
        }
        assert!(!events.is_empty(), "nothing, and yet there is more");
    }
}

/// Of two requests at once, one is refused, and worth a retry.
async fn one_page_at_a_time(socket: &mut RawWs) -> Result<()> {
    let request =
        |id: &str| frame(true, opcode::TEXT, json!({"id": id, "list_events": {"team": TEAM}}).to_string().as_bytes());
    socket.send_bytes(&[request("one"), request("two")].concat()).await?;
    let refused = socket.reply_to("two").await?;
    assert_eq!(refused["error"]["code"], "ERROR_CODE_OVERLOADED", "{refused}");
    assert_eq!(refused["error"]["retryable"], true, "{refused}");
    let page = socket.reply_to("one").await?;
    assert!(page["events"]["events"].is_array(), "{page}");
    let page = socket.request(json!({"list_events": {"team": TEAM, "limit": 1}})).await?;
    assert_eq!(page["events"]["events"].as_array().map(Vec::len), Some(1), "{page}");
    let refused = socket.request(json!({"list_events": {"team": TEAM, "limit": 201}})).await?;
    assert_eq!(refused["error"]["code"], "ERROR_CODE_INVALID_ARGUMENT", "{refused}");
    Ok(())
}

/// Takes the next event, which must follow on `cursor`.
fn take(event: &Value, cursor: &mut u64, received: &mut Vec<u64>) -> Result<()> {
    let number = |field: &str| anyhow::Ok(event[field].as_str().context("no text")?.parse::<u64>()?);
    let (seq, prev_seq) = (number("seq")?, number("prev_seq")?);
    assert!(prev_seq == *cursor && seq > *cursor, "{prev_seq} and {seq} after {cursor}");
    *cursor = seq;
    received.push(seq);
    Ok(())
}
