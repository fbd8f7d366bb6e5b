//! What honest services do is clean, however odd it looks.

use std::time::Duration;

use huddle_verify::recording::{Change, EventNote, Line, Note, Sees, digest};

use crate::model::{World, assert_clean};

/// Two users with a client each, and a Socket.IO client, in one team.
fn talk() -> World {
    let mut world = World::new();
    world.team("demo", &["ann", "bob"]);
    world.connect("ann-1", "ann", Sees::Events);
    world.connect("bob-1", "bob", Sees::Events);
    world.connect("bob-2", "bob", Sees::Messages);
    world.subscribe("ann-1", "demo", false);
    world.subscribe("bob-1", "demo", true);
    world.subscribe("bob-2", "demo", true);
    world
}

#[test]
fn a_quiet_run_is_clean_and_counted() {
    let mut world = talk();
    let seq = world.send("ann-1", "demo", "a1");
    world.stored("ann-1", "demo", seq);
    world.send("bob-2", "demo", "b1");
    world.deliver_all();
    world.read("ann-1", "demo", 0, seq, 100);
    world.read("bob-2", "demo", 0, seq, 1);
    world.note("world", Note::Fault { row: "F1".into(), what: "gateway-0 killed".into() });
    let counts = assert_clean(world.finish()).counts;
    assert_eq!((counts.clients, counts.connections, counts.teams), (3, 3, 1));
    assert_eq!((counts.sends, counts.attempts, counts.accepted, counts.unknown), (2, 2, 2, 0));
    assert_eq!((counts.reads, counts.history_events, counts.settled, counts.faults), (2, 4, 3, 1));
}

#[test]
fn reconnecting_from_a_cursor_is_clean() {
    let mut world = talk();
    world.send("ann-1", "demo", "a1");
    world.deliver_all();
    world.disconnect("bob-1");
    world.disconnect("bob-2");
    world.send("ann-1", "demo", "a2");
    world.change("demo", "cid", Change::Added);
    for client in ["bob-1", "bob-2"] {
        world.reconnect(client);
        world.subscribe(client, "demo", false);
    }
    // Cut again before anything new came, and again in the middle of what came.
    world.disconnect("bob-1");
    world.send("ann-1", "demo", "a3");
    world.send("ann-1", "demo", "a4");
    world.reconnect("bob-1");
    world.subscribe("bob-1", "demo", true);
    world.send("ann-1", "demo", "a5");
    world.send("ann-1", "demo", "a6");
    world.deliver("bob-1", "demo", 1);
    world.disconnect("bob-1");
    assert_clean(world.finish());
}

#[test]
fn seeing_more_than_the_stated_cursor_again_is_clean() {
    let mut world = talk();
    world.send("ann-1", "demo", "a1");
    world.deliver_all();
    let lines = world.finish();
    // bob-1 was shown a1, forgot it, and states an older cursor on its next connection.
    let shown = lines.iter().find(|line| line.client == "bob-1" && matches!(line.note, Note::Event(_))).unwrap();
    let Note::Event(event) = shown.note.clone() else { unreachable!() };
    let mut doctored = lines.clone();
    let end = lines.iter().position(|line| matches!(line.note, Note::Settled { .. })).unwrap();
    let note = |note| Line { connection: 1, note, ..shown.clone() };
    let user = "bob".to_owned();
    let again = [
        note(Note::Connected { user, gateway: "gateway-1".into(), sees: Sees::Events }),
        note(Note::Subscribe { team: "demo".into(), after: Some(event.prev_seq.unwrap()) }),
        note(Note::Event(event)),
    ];
    doctored.splice(end..end, again);
    assert_clean(doctored);
}

#[test]
fn outcomes_that_nobody_knows_may_be_there_or_not() {
    let mut world = talk();
    for (id, is_taken) in [("taken", true), ("not-taken", false)] {
        world.begin_send("ann-1", "demo", id);
        if is_taken {
            world.take("ann-1", "demo", id);
        }
    }
    world.begin_send("ann-1", "demo", "refused-but-taken");
    world.take("ann-1", "demo", "refused-but-taken");
    world.refuse("ann-1", "demo", "refused-but-taken", true);
    world.begin_send("ann-1", "demo", "refused");
    world.refuse("ann-1", "demo", "refused", false);
    world.deliver_all();
    assert_eq!(assert_clean(world.finish()).counts.unknown, 4);
}

#[test]
fn retries_are_clean_wherever_they_go() {
    let mut world = talk();
    // Taken, the receipt lost, sent again on the next connection.
    world.begin_send("ann-1", "demo", "a1");
    world.take("ann-1", "demo", "a1");
    world.disconnect("ann-1");
    world.reconnect("ann-1");
    world.send("ann-1", "demo", "a1");
    world.subscribe("ann-1", "demo", false);
    // Refused first, then taken, then taken again by another client of the same user.
    world.begin_send("bob-1", "demo", "b1");
    world.refuse("bob-1", "demo", "b1", true);
    let other = world.send("bob-2", "demo", "b0");
    world.send("bob-1", "demo", "b1");
    world.send("bob-2", "demo", "b1");
    // Not taken, retried after later sends were: it stands behind them.
    world.begin_send("bob-1", "demo", "b2");
    world.send("bob-1", "demo", "b3");
    world.send("bob-1", "demo", "b2");
    world.stored("bob-2", "demo", other);
    // Two clients of one user race with one key: either may be told that it was first.
    world.begin_send("bob-1", "demo", "b4");
    world.begin_send("bob-2", "demo", "b4");
    let (seq, _) = world.take("bob-1", "demo", "b4");
    world.receipt("bob-2", "demo", "b4", (seq, false));
    world.receipt("bob-1", "demo", "b4", (seq, true));
    world.deliver_all();
    let counts = assert_clean(world.finish()).counts;
    assert_eq!((counts.sends, counts.attempts, counts.duplicates), (6, 11, 3));
}

#[test]
fn another_content_under_a_taken_key_is_clean_when_it_is_refused() {
    let mut world = talk();
    let other = |id: &str| Note::Send { team: "demo".into(), client_id: id.into(), digest: digest("something else") };
    world.send("ann-1", "demo", "a1");
    world.note("ann-1", other("a1"));
    world.refuse("ann-1", "demo", "a1", false);
    // The refusal may come before the receipt.
    world.begin_send("ann-1", "demo", "a2");
    world.note("ann-1", other("a2"));
    let taken = world.take("ann-1", "demo", "a2");
    world.refuse("ann-1", "demo", "a2", false);
    world.receipt("ann-1", "demo", "a2", taken);
    assert_clean(world.finish());
}

#[test]
fn being_removed_and_added_again_is_clean() {
    let mut world = talk();
    world.send("bob-1", "demo", "b1");
    world.change("demo", "bob", Change::Removed);
    // The gateway has not heard yet: a send is taken within the bound.
    world.begin_send("bob-1", "demo", "b2");
    let taken = world.take("bob-1", "demo", "b2");
    world.receipt("bob-1", "demo", "b2", taken);
    world.send("ann-1", "demo", "a1");
    world.deliver_all();
    world.subscribe("bob-1", "demo", false);
    world.wait(Duration::from_mins(5));
    world.begin_send("bob-1", "demo", "b3");
    world.refuse("bob-1", "demo", "b3", false);
    world.change("demo", "bob", Change::Added);
    world.send("ann-1", "demo", "a2");
    // A member again: everything is there, the time between included.
    world.subscribe("bob-1", "demo", false);
    world.read("bob-1", "demo", 0, 0, 100);
    world.send("bob-1", "demo", "b3");
    world.deliver_all();
    let report = assert_clean(world.finish());
    assert!(report.counts.sent_after_removal_max > Duration::ZERO);
    assert!(report.counts.sent_after_removal_max < Duration::from_secs(1));
}

#[test]
fn who_was_removed_for_good_need_not_settle() {
    let mut world = talk();
    world.send("ann-1", "demo", "a1");
    world.change("demo", "bob", Change::Removed);
    world.send("ann-1", "demo", "a2");
    world.deliver_all();
    assert_eq!(assert_clean(world.finish()).counts.settled, 1);
}

#[test]
fn a_long_history_may_come_in_several_lines() {
    let mut world = talk();
    for number in 0..10 {
        world.send("ann-1", "demo", &format!("a{number}"));
    }
    let mut lines = world.finish();
    let history = lines.pop().unwrap();
    let Note::History { team, events } = &history.note else { panic!("{history:?}") };
    for events in events.chunks(3) {
        let note = Note::History { team: team.clone(), events: events.to_vec() };
        lines.push(Line { note, ..history.clone() });
    }
    assert_clean(lines);
}

#[test]
fn a_client_that_pulls_pages_settles_where_they_end() {
    let mut world = talk();
    world.disconnect("bob-1");
    let seqs: Vec<u64> = (0..5).map(|number| world.send("ann-1", "demo", &format!("a{number}"))).collect();
    world.reconnect("bob-1");
    let lines = {
        world.read("bob-1", "demo", 0, 0, 4);
        world.read("bob-1", "demo", seqs[1], seqs[4], 4);
        let mut lines = world.finish();
        // It never subscribes again.
        lines.retain(|line| {
            let is_pushed = matches!(
                line.note,
                Note::Subscribe { .. }
                    | Note::Subscribed { .. }
                    | Note::CaughtUp { .. }
                    | Note::Event(EventNote { .. })
            );
            !(line.client == "bob-1" && line.connection == 1 && is_pushed)
        });
        lines
    };
    assert_clean(lines);
}
