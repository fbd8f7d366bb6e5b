//! The page at `/` in a real browser: people chat on it, the server dies under them, and each of them ends up with
//! everything, once.

mod browser;

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use huddle_auth::{Minter, VerifierOptions};
use huddle_client::{Encoding, OutgoingMessage, Receipt, Sender, SenderOptions};
use huddle_domain::{TeamId, UserId};
use huddle_proto::history::v1::{ListMessagesRequest, Message, Order, list_messages_request::Position};
use huddle_tests::{SECRET, Single, SingleOptions};
use serde_json::json;
use tokio::time::timeout;

use browser::{Browser, Row};

/// The team and its members, which `huddle up` makes.
const TEAM: &str = "demo";
const PEOPLE: [&str; 2] = ["alice", "bob"];
/// Messages that each person sends while the server dies, and the pause between them.
const SAID: usize = 60;
const SAID_PAUSE_MS: u64 = 25;
/// Messages that a program sends at the same time.
const SENT: usize = 150;
/// What both see before the server dies: everyone is in full swing.
const SEEN_BEFORE_DEATH: usize = 40;
/// How often an event is lost, one comes twice, and one comes as it should.
const ROUNDS: usize = 8;
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(1);
/// Long enough to enter with, short enough to wait for its end.
const SHORT_TTL: Duration = Duration::from_secs(12);
/// Where the picture goes, instead of a temporary file.
const PICTURE: &str = "HUDDLE_PICTURE";
const PICTURE_SIZE: (u32, u32) = (1200, 800);

/// What must be seen as it is.
const MARKUP: &str =
    "<img src=x onerror=\"document.title='broken in'\"><b>bold</b> &amp; \u{202e}\u{1f600}\n<script>1</script>";

#[tokio::test(flavor = "multi_thread")]
async fn two_people_miss_nothing_and_see_nothing_twice_when_the_server_dies_under_them() -> Result<()> {
    let mut single = Box::pin(Single::start(SingleOptions { signs_in: true, ..SingleOptions::default() })).await?;
    let mut browser = Browser::start(single.files())?;
    let url = single.http_url(0);
    for who in PEOPLE {
        browser.open(who, &url).await?;
        browser.call(json!({"do": "until_connection", "who": who, "state": "online"})).await?;
    }
    Box::pin(what_is_said_is_seen_as_it_is(&mut browser)).await?;
    Box::pin(everybody_catches_up(&mut browser, &mut single, Death::Sudden)).await?;
    Box::pin(everybody_catches_up(&mut browser, &mut single, Death::Announced)).await?;

    // Somebody who comes later, or again, pages back to the same.
    for who in PEOPLE {
        browser.tell(who, "reload").await?;
        browser.tell(who, "until_settled").await?;
        browser.tell(who, "read_all").await?;
        assert_same(&browser.rows(who).await?, &messages(&single).await?, who);
    }
    browser.finish().await?;
    Box::pin(single.finish()).await
}

async fn what_is_said_is_seen_as_it_is(browser: &mut Browser) -> Result<()> {
    browser.call(json!({"do": "say", "who": "alice", "bodies": ["good morning", MARKUP]})).await?;
    browser.tell("alice", "said").await?;
    browser.call(json!({"do": "until_messages", "who": "bob", "count": 2})).await?;
    browser.tell("alice", "until_settled").await?;
    for who in PEOPLE {
        let rows = browser.rows(who).await?;
        let bodies: Vec<_> = rows.iter().map(|row| (row.body.as_str(), row.elements, row.own)).collect();
        let own = who == "alice";
        assert_eq!(bodies, [("good morning", 0, own), (MARKUP, 0, own)], "{who}");
        assert_eq!(browser.tell(who, "traces").await?["title"], "Huddle");
    }
    let seen = browser.tell("alice", "seen").await?;
    let states: BTreeMap<String, Vec<String>> = serde_json::from_value(seen["messages"].clone())?;
    assert_eq!(states.len(), 2, "{seen}");
    for states in states.values() {
        assert_eq!(states, &["sending", "accepted", "stored"]);
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// SIGKILL.
    Sudden,
    /// SIGTERM: clients are told before.
    Announced,
}

async fn everybody_catches_up(browser: &mut Browser, single: &mut Single, death: Death) -> Result<()> {
    let before = messages(single).await?.len();
    let said = |who: &str| (0..SAID).map(|number| format!("{who} {number} {death:?}")).collect::<Vec<_>>();
    for who in PEOPLE {
        let say = json!({"do": "say", "who": who, "bodies": said(who), "pause_ms": SAID_PAUSE_MS});
        browser.call(say).await?;
    }
    let client = single.client_options(0, "bob", Encoding::Proto)?;
    let sender = Sender::new(SenderOptions { client, in_flight_max: 8 });
    let sending = tokio::spawn(send_all(sender, format!("{death:?}")));

    for who in PEOPLE {
        let seen = json!({"do": "until_messages", "who": who, "count": before + SEEN_BEFORE_DEATH});
        browser.call(seen).await?;
    }
    match death {
        Death::Sudden => single.service.kill9()?,
        Death::Announced => single.service.terminate().await?,
    }
    for who in PEOPLE {
        browser.call(json!({"do": "until_connection", "who": who, "state": "offline"})).await?;
    }
    single.service.restart().await?;

    timeout(DELIVERY_TIMEOUT, sending).await.context("the program's messages are not stored")???;
    let expected = before + PEOPLE.len() * SAID + SENT;
    for who in PEOPLE {
        browser.tell(who, "said").await?;
        browser.tell(who, "until_settled").await?;
        browser.call(json!({"do": "until_messages", "who": who, "count": expected})).await?;
    }
    let stored = messages(single).await?;
    assert_eq!(stored.len(), expected, "{death:?}");
    for who in PEOPLE {
        let rows = browser.rows(who).await?;
        assert_same(&rows, &stored, who);
        let said = said(who);
        let own: Vec<_> = rows.iter().filter(|row| said.contains(&row.body)).collect();
        assert!(own.iter().all(|row| row.state.as_deref() == Some("stored")), "{who}: {own:?}");
        let bodies: Vec<_> = own.iter().map(|row| &row.body).collect();
        assert_eq!(bodies, said.iter().collect::<Vec<_>>(), "{who}'s messages in their order");
    }
    Ok(())
}

async fn send_all(sender: Sender, name: String) -> Result<()> {
    let team = TeamId::parse(TEAM)?;
    let mut pending = Vec::new();
    for number in 0..SENT {
        let message = OutgoingMessage::new(team.clone(), format!("program {number} {name}"));
        pending.push(sender.start_send(message, Receipt::Stored).await?);
    }
    for delivery in pending {
        delivery.receipt().await?;
    }
    Ok(())
}

/// All messages of the team, as history answers over gRPC, oldest first.
async fn messages(single: &Single) -> Result<Vec<Message>> {
    let mut history = single.history_client(&single.token("alice")?)?;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let request = ListMessagesRequest {
            team: TEAM.to_owned(),
            position: Some(Position::After(messages.last().map_or(0, |last| last.seq))),
            order: Order::OldestFirst.into(),
            ..ListMessagesRequest::default()
        };
        let page = history.list_messages(request).await?.into_inner();
        messages.extend(page.messages);
        if !page.has_newer {
            return Ok(messages);
        }
    }
}

/// Asserts that a page shows exactly what the store has, in its order.
fn assert_same(rows: &[Row], stored: &[Message], who: &str) {
    let shown: Vec<_> = rows.iter().map(|row| (row.seq.clone().unwrap_or_default(), &row.body, row.own)).collect();
    let held = stored.iter().map(|message| (message.seq.to_string(), &message.body, message.sender == who));
    let held: Vec<_> = held.collect();
    assert_eq!(shown, held, "what {who} sees, and what is stored");
    let ids = rows.iter().zip(stored).filter(|(row, _)| row.own);
    for (row, message) in ids {
        assert_eq!(row.client_id.as_ref(), Some(&message.client_id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_lost_on_the_way_is_noticed_and_one_that_comes_twice_is_shown_once() -> Result<()> {
    let single = Box::pin(Single::start(SingleOptions { signs_in: true, ..SingleOptions::default() })).await?;
    let mut browser = Browser::start(single.files())?;
    let url = single.http_url(0);
    let open = json!({"do": "open", "who": "alice", "url": url, "member": "alice", "lossy": true});
    browser.call(open).await?;
    browser.open("bob", &url).await?;
    for who in PEOPLE {
        browser.call(json!({"do": "until_connection", "who": who, "state": "online"})).await?;
    }
    let mut said = Vec::new();
    for number in 0..ROUNDS {
        for kind in ["lost", "twice", "whole"] {
            said.push(format!("{kind} {number}"));
        }
    }
    browser.call(json!({"do": "say", "who": "bob", "bodies": said})).await?;
    browser.tell("bob", "said").await?;
    browser.call(json!({"do": "until_messages", "who": "alice", "count": said.len()})).await?;
    let bodies: Vec<_> = browser.rows("alice").await?.into_iter().map(|row| row.body).collect();
    assert_eq!(bodies, said);
    // An event that comes while the page catches up is not lost: not each round loses one.
    let meddled = browser.call(json!({"do": "meddled", "who": "alice"})).await?;
    let count = |kind: &str| meddled[kind].as_u64().unwrap_or_default();
    assert!(count("lost") > 0 && count("twice") >= ROUNDS as u64, "{meddled}");
    browser.finish().await?;
    Box::pin(single.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_is_renewed_or_asked_for_and_is_left_nowhere() -> Result<()> {
    let settings = vec![("auth.leeway".to_owned(), "0s".to_owned())];
    let single =
        Box::pin(Single::start(SingleOptions { settings, signs_in: true, ..SingleOptions::default() })).await?;
    let mut browser = Browser::start(single.files())?;
    let url = single.http_url(0);
    let options = VerifierOptions { secret: Some(SECRET.to_owned()), ..VerifierOptions::default() };
    let minter = Minter::new(options)?;
    let short = |user: &str| anyhow::Ok(minter.mint(&UserId::parse(user)?, None, SHORT_TTL, SystemTime::now())?);

    let token = short("alice")?;
    browser.call(json!({"do": "open", "who": "alice", "url": url, "member": "alice", "token": token})).await?;
    browser.call(json!({"do": "until_connection", "who": "alice", "state": "online"})).await?;
    // It ends later than Alice's.
    let token = short("bob")?;
    browser.call(json!({"do": "open", "who": "bob", "url": url, "token": token, "team": TEAM})).await?;
    browser.call(json!({"do": "until_connection", "who": "bob", "state": "online"})).await?;
    let traces = browser.tell("bob", "traces").await?;
    assert!(!traces.to_string().contains(&token), "{traces}");
    assert_eq!((&traces["local"], &traces["cookie"]), (&json!([]), &json!("")), "{traces}");

    let reason = browser.tell("bob", "until_sent_away").await?;
    assert!(reason.as_str().unwrap_or_default().contains("expired"), "{reason}");
    browser.call(json!({"do": "say", "who": "alice", "bodies": ["still here"]})).await?;
    browser.tell("alice", "said").await?;
    browser.tell("alice", "until_settled").await?;
    let connection = &browser.tell("alice", "seen").await?["connection"];
    assert_eq!(connection, &json!(["connecting", "online"]), "Alice's connection lived on");

    for (token, team, refusal) in
        [("no token".to_owned(), TEAM, "not a JSON Web Token"), (single.token("bob")?, "elsewhere", "no such team")]
    {
        let enter = json!({"do": "enter", "who": "bob", "token": token, "team": team, "refused": 404});
        browser.call(enter).await?;
        let reason = browser.tell("bob", "until_sent_away").await?;
        assert!(reason.as_str().unwrap_or_default().contains(refusal), "{reason}");
    }
    browser.call(json!({"do": "enter", "who": "bob", "token": single.token("bob")?, "team": TEAM})).await?;
    browser.call(json!({"do": "until_messages", "who": "bob", "count": 1})).await?;
    assert_same(&browser.rows("bob").await?, &messages(&single).await?, "bob");
    browser.finish().await?;
    Box::pin(single.finish()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_pictured_as_it_is() -> Result<()> {
    let single = Box::pin(Single::start(SingleOptions { signs_in: true, ..SingleOptions::default() })).await?;
    let mut browser = Browser::start(single.files())?;
    let url = single.http_url(0);
    for who in PEOPLE {
        browser.call(json!({"do": "open", "who": who, "url": url, "member": who, "picture": true})).await?;
        browser.call(json!({"do": "until_connection", "who": who, "state": "online"})).await?;
    }
    let talk = [
        ("bob", "Morning! Did the gateway really die on you yesterday?"),
        ("alice", "kill -9, in the middle of a release. The page said Offline for a second."),
        ("bob", "And the messages that you were sending?"),
        ("alice", "All there. Each one once."),
        ("bob", "How?"),
        ("alice", "It repeats what has no receipt, under the same client_id, and goes on from its cursor."),
        ("alice", "Have a look at the frames →"),
    ];
    for (index, (who, body)) in talk.into_iter().enumerate() {
        browser.call(json!({"do": "say", "who": who, "bodies": [body]})).await?;
        browser.tell(who, "said").await?;
        for who in PEOPLE {
            browser.call(json!({"do": "until_messages", "who": who, "count": index + 1})).await?;
            browser.tell(who, "until_settled").await?;
        }
    }
    let file = env::var_os(PICTURE).map_or_else(|| single.files().join("page.png"), Into::into);
    browser.call(json!({"do": "picture", "who": "alice", "file": file})).await?;
    assert_eq!(png_size(&file)?, PICTURE_SIZE);
    browser.finish().await?;
    Box::pin(single.finish()).await
}

/// Width and height, which every PNG has at the same place.
fn png_size(file: &Path) -> Result<(u32, u32)> {
    let bytes = fs::read(file).with_context(|| format!("no picture in {}", file.display()))?;
    let number = |at: usize| {
        let number = bytes.get(at..at + 4).context("cut off")?;
        anyhow::Ok(u32::from_be_bytes(number.try_into()?))
    };
    Ok((number(16)?, number(20)?))
}
