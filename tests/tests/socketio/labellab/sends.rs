//! What becomes of a text: whole, as it was sent, once, and there when its reader comes back.

use anyhow::Result;
use huddle_tests::Backend;
use serde_json::{Value, json};

use super::{ANNA, App, BERT, LabelLab, OTHER_TEAM, TEAM, members::assert_not_found, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_4000_characters_stays_whole() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Cluster).await?;
    let (anna, mut bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    let bodies = ["x".repeat(201), "<>&\"'".repeat(800), "ä漢🎉\n".repeat(1_000)];
    for body in &bodies {
        anna.send(TEAM, body).await?;
        assert_eq!(&bert.hears_body().await?, body);
    }
    assert_eq!(labellab.stored_bodies(TEAM).await?, bodies);
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_stored_and_delivered_as_it_was_sent_and_nothing_is_made_of_it() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Embedded).await?;
    let (mut anna, mut bert) = (labellab.web(ANNA).await?, labellab.mobile(BERT).await?);
    let bodies = [
        "<strong><i>@bert</i></strong> <img src=x onerror=alert(1)>",
        "<script>alert('&lt;')</script> &amp; &#60;",
        "  spaces, tabs\tand\r\nlines \u{2028}\u{2029}",
        "\u{202e}upside\u{0301} \u{fffd} \u{10ffff} \u{1e} \u{1b}[31m",
        "\\u0041 %41 \\\" ' ` $(x) {{x}}",
        "451-[\"x\",{\"_placeholder\":true,\"num\":0}]",
    ];
    for (number, body) in bodies.iter().enumerate() {
        let sender = if number % 2 == 0 { &anna } else { &bert };
        sender.send(TEAM, body).await?;
        for app in [&mut anna, &mut bert] {
            assert_eq!(&app.hears_body().await?, body);
        }
    }
    assert_eq!(labellab.stored_bodies(TEAM).await?, bodies);
    let mut loaded = labellab.history(ANNA, TEAM).await?;
    loaded.reverse();
    let loaded: Vec<_> = loaded.iter().map(|message| message["body"].as_str().unwrap_or_default()).collect();
    assert_eq!(loaded, bodies);
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_is_repeated_is_one_message() -> Result<()> {
    let mut labellab = LabelLab::start(Backend::Embedded).await?;
    let mut apps = [labellab.web(ANNA).await?, labellab.mobile(BERT).await?];
    for sender in 0..apps.len() {
        let app = &mut apps[sender];
        let mut message = app.message(TEAM, "once");
        message["client_id"] = json!("once");
        let first = app.socket.ask("send_message", &message).await?;
        assert!(first["id"].is_u64() && first["id"] == first["seq"] && first["stored"].is_boolean(), "{first}");
        let said = (&first["team_id"], &first["client_id"], &first["duplicate"]);
        assert_eq!(said, (&json!(TEAM), &json!("once"), &json!(false)), "{first}");
        if first["stored"] == false {
            let stored = app.socket.next("message_stored").await?;
            assert!(stored["team_id"] == TEAM && stored["seq"].as_u64() >= first["seq"].as_u64(), "{stored}");
        }
        let again = app.socket.ask("send_message", &message).await?;
        assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
        message["body"] = json!("another");
        let other = app.socket.ask("send_message", &message).await?;
        assert_eq!(other["error"]["code"], "ERROR_CODE_CONFLICT", "{other}");
        // The next one is another, without an id of its own and without an answer.
        app.send(TEAM, "next").await?;
        for app in &mut apps {
            assert_eq!([app.hears_body().await?, app.hears_body().await?], ["once", "next"]);
        }
    }
    assert_eq!(labellab.stored_bodies(TEAM).await?, ["once", "next", "once", "next"]);
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_gets_what_it_missed_in_order() -> Result<()> {
    let labellab = LabelLab::start(Backend::Cluster).await?;
    let mut anna = labellab.web(ANNA).await?;
    let mut bert = labellab.mobile(BERT).await?;
    anna.send(TEAM, "seen").await?;
    let seen = bert.hears().await?["seq"].clone();
    bert.socket.close().await?;
    let missed: Vec<String> = (0..40).map(|number| format!("missed {number}")).collect();
    for body in &missed {
        anna.send(TEAM, body).await?;
    }
    for expected in ["seen"].into_iter().chain(missed.iter().map(String::as_str)) {
        assert_eq!(anna.hears_body().await?, expected);
    }

    // As it connects, in the payload, or in the query in version 2; or with an event right after that.
    let resume = json!({ TEAM.to_string(): seen });
    let mut with_query = App::mobile_opening(&token(BERT)?);
    with_query.options["query"]["resume"] = json!(resume.to_string());
    let mut with_query = labellab.app(BERT, with_query).await?;
    let mut with_payload = App::web_opening(&token(BERT)?);
    with_payload.options["auth"]["resume"] = resume.clone();
    let mut with_payload = labellab.app(BERT, with_payload).await?;
    let mut with_event = labellab.mobile(BERT).await?;
    let answer = with_event.socket.ask("resume", &resume).await?;
    assert!(answer["teams"][TEAM.to_string()]["last_seq"].is_u64(), "{answer}");
    for app in [&mut with_payload, &mut with_query, &mut with_event] {
        for body in &missed {
            assert_eq!(&app.hears_body().await?, body);
        }
        let caught_up = app.socket.next("caught_up").await?;
        assert_eq!(caught_up["team_id"], TEAM);
        assert!(caught_up["seq"].as_u64() > seen.as_u64(), "{caught_up}");
    }
    anna.send(TEAM, "live again").await?;
    for app in [&mut with_payload, &mut with_query, &mut with_event] {
        assert_eq!(app.hears_body().await?, "live again");
        assert_eq!(app.socket.left("receive_message"), Vec::<Value>::new());
    }

    // One that says it later gets what has come meanwhile a second time, in order.
    let mut late = labellab.mobile(BERT).await?;
    anna.send(TEAM, "live").await?;
    assert_eq!(late.hears_body().await?, "live");
    let answer = late.socket.ask("resume", &resume).await?;
    assert!(answer["teams"][TEAM.to_string()]["last_seq"].is_u64(), "{answer}");
    for expected in missed.iter().map(String::as_str).chain(["live again", "live"]) {
        assert_eq!(late.hears_body().await?, expected);
    }
    anna.send(TEAM, "the end").await?;
    assert_eq!(late.hears_body().await?, "the end");
    labellab.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_team_of_a_resume_is_answered_by_itself() -> Result<()> {
    const NO_TEAM: u64 = 99;
    let labellab = LabelLab::start(Backend::Embedded).await?;
    let mut anna = labellab.web(ANNA).await?;
    anna.send(TEAM, "missed").await?;
    assert_eq!(anna.hears_body().await?, "missed");

    // With an event right after connecting, in the payload, and in the query.
    let foreign = [OTHER_TEAM, NO_TEAM];
    let resume: Value = [TEAM, OTHER_TEAM, NO_TEAM].map(|team| (team.to_string(), json!(0))).into_iter().collect();
    let mut with_event = labellab.open(App::mobile_opening(&token(BERT)?)).await?;
    let answer = with_event.ask("resume", &resume).await?;
    assert!(answer["teams"][TEAM.to_string()]["last_seq"].is_u64(), "{answer}");
    for team in foreign {
        let error = &answer["teams"][team.to_string()]["error"];
        assert_eq!((&error["code"], &error["retryable"]), (&json!("ERROR_CODE_NOT_FOUND"), &json!(false)), "{answer}");
    }
    let mut with_payload = App::web_opening(&token(BERT)?);
    with_payload.options["auth"]["resume"] = resume.clone();
    let mut with_query = App::mobile_opening(&token(BERT)?);
    with_query.options["query"]["resume"] = json!(resume.to_string());
    let mut sockets = [with_event, labellab.open(with_payload).await?, labellab.open(with_query).await?];
    for socket in &mut sockets {
        assert_eq!(socket.next("receive_message").await?["body"], "missed");
        assert_eq!(socket.next("caught_up").await?["team_id"], TEAM);
        let mut ended = [socket.next("subscription_ended").await?, socket.next("subscription_ended").await?];
        ended.sort_by_key(|ended| ended["team_id"].as_u64());
        for (ended, team) in ended.iter().zip(foreign) {
            assert_not_found(ended, team);
        }
    }

    // A cursor that the team has not come to yet: nothing is heard until the client says something better.
    let mut ahead = labellab.open(App::web_opening(&token(BERT)?)).await?;
    let answer = ahead.ask("resume", &json!({ TEAM.to_string(): 1_u64 << 50 })).await?;
    assert_eq!(answer["teams"][TEAM.to_string()]["error"]["code"], "ERROR_CODE_INVALID_CURSOR", "{answer}");
    assert_eq!(ahead.next("subscription_ended").await?["error"]["code"], "ERROR_CODE_INVALID_CURSOR");
    anna.send(TEAM, "live").await?;
    for socket in &mut sockets {
        assert_eq!(socket.next("receive_message").await?["body"], "live");
        assert_eq!(socket.left("receive_message"), Vec::<Value>::new());
    }
    let answer = ahead.ask("join", &json!({ "team_id": TEAM, "after": 0 })).await?;
    assert!(answer["last_seq"].is_u64(), "{answer}");
    for body in ["missed", "live"] {
        assert_eq!(ahead.next("receive_message").await?["body"], body);
    }
    labellab.finish().await
}
