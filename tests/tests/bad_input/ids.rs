//! Ids and bodies out of bounds, on the native protocol.

use anyhow::Result;
use serde_json::json;

use crate::world::{MARK, MEMBER, TEAM, World, accepted_seq, assert_refused};

/// What would break a subject or a header, and what is too long.
pub(crate) fn bad_ids() -> Vec<String> {
    let texts = [
        ".",
        "..",
        "a.b",
        " ",
        "a b",
        "a\tb",
        "*",
        ">",
        "a.>",
        "a\r\nb",
        "\r\nNats-Msg-Id: x",
        "a\0b",
        "\0",
        "a\u{2028}b",
        "ä",
        "ａ",
        "a/b",
        "../x",
        "a'b",
        "a\"b",
        "%2e",
        "\u{202e}a",
        "a\u{200b}b",
        "😀",
    ];
    let long = [65, 300].map(|length| "x".repeat(length));
    texts.map(str::to_owned).into_iter().chain(long).collect()
}

pub(crate) async fn ids_outside_the_alphabet_are_refused(world: &mut World) -> Result<()> {
    let mut socket = world.connect_as(MEMBER).await?;
    let mut requests = 1;
    let body = format!("{MARK} under a bad id");
    for id in bad_ids() {
        for request in [
            json!({"subscribe": {"team": id}}),
            json!({"subscribe": {"team": id, "after": "0"}}),
            json!({"unsubscribe": {"team": id}}),
            json!({"send": {"team": id, "client_id": "good", "body": body}}),
            json!({"send": {"team": TEAM, "client_id": id, "body": body}}),
        ] {
            requests += 1;
            let reply = socket.request(request.clone()).await?;
            assert_refused(&request.to_string(), &reply, &format!("r{requests}"), "INVALID_ID");
        }
    }
    for request in [
        json!({"subscribe": {"team": ""}}),
        json!({"subscribe": {}}),
        json!({"unsubscribe": {}}),
        json!({"send": {"team": "", "client_id": "good", "body": body}}),
    ] {
        requests += 1;
        let reply = socket.request(request.clone()).await?;
        assert_refused(&request.to_string(), &reply, &format!("r{requests}"), "INVALID_ID");
    }
    // An empty client_id is none: the gateway makes one each time.
    for _ in 0..2 {
        let reply = world.send(&mut socket, "", &format!("{MARK} without an id")).await?;
        assert_eq!(reply["accepted"]["client_id"].as_str().unwrap_or_default().len(), 32, "{reply}");
    }
    // The longest one, of all kinds of characters.
    let longest = format!("{}_-aZ09", "x".repeat(58));
    let reply = world.send(&mut socket, &longest, &format!("{MARK} with a long id")).await?;
    assert_eq!(reply["accepted"]["client_id"], longest, "{reply}");
    world.retire(&socket);
    Ok(())
}

pub(crate) async fn bodies_out_of_bounds_are_refused_and_all_others_come_through_as_sent(
    world: &mut World,
) -> Result<()> {
    let mut socket = world.connect_as(MEMBER).await?;
    let filled = |character: &str, count: usize| format!("{MARK}{}", character.repeat(count - MARK.len()));
    for body in [
        String::new(),
        "\0".to_owned(),
        format!("{MARK}\0"),
        filled("x", 4_001),
        filled("ä", 4_001),
        filled("😀", 4_001),
    ] {
        let reply = world.send(&mut socket, "bad-body", &body).await?;
        let id = reply["reply_to"].as_str().unwrap_or_default().to_owned();
        assert_refused(&format!("{body:.40?}"), &reply, &id, "INVALID_BODY");
    }
    let reply = socket.request(json!({"send": {"team": TEAM, "client_id": "bad-body"}})).await?;
    assert_eq!(reply["error"]["code"], "ERROR_CODE_INVALID_BODY", "{reply}");

    // The `client_id` of what was refused is not used up.
    let mut last = 0;
    for (index, body) in [
        filled("x", 4_000),
        filled("😀", 4_000),
        format!("{MARK}'; DROP TABLE events; --"),
        format!("{MARK}\r\nNats-Msg-Id: x\r\n\r\n"),
        format!(" {MARK}\t\u{1}\u{7f}\u{feff} "),
        format!("{MARK} e\u{301} is not \u{e9}, \u{202e}right to left\u{202c}, \u{200b}\u{e0041}"),
        format!("{MARK} \\u0000 \\ \" \u{2028} <img src=x onerror=alert(1)> ${{jndi:ldap://x}} {{0}} %s %n"),
    ]
    .iter()
    .enumerate()
    {
        let client_id = if index == 0 { "bad-body".to_owned() } else { format!("odd-body-{index}") };
        let reply = world.send(&mut socket, &client_id, body).await?;
        last = accepted_seq(&reply).unwrap_or_else(|| panic!("{body:.40?}: {reply}"));
    }
    world.retire(&socket);
    world.wait_until_heard(last).await
}
