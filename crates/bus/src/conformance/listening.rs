//! Who hears what.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};

use super::{
    Fixture,
    support::{as_number, listen, next, number, team, within},
};

/// Listeners of the same handle and of others hear each signal of their team once, and none of another team.
pub async fn signals_reach_everyone_who_listens_and_no_other_team<F: Fixture>() {
    const SIGNALS: usize = 100;
    let fixture = F::start().await;
    let buses = [fixture.handle().await, fixture.handle().await, fixture.handle().await];
    let from: Vec<_> = buses.iter().collect();
    // Names that would be taken for another's where names are compared in part.
    let teams = ["a", "A", "aa", "a-b", "a_b"].map(team);
    let mut feeds = Vec::new();
    for (index, team) in teams.iter().enumerate() {
        for bus in &buses {
            feeds.push((index, listen::<F>(&from, bus, team).await));
        }
        feeds.push((index, listen::<F>(&from, &buses[0], team).await));
    }
    for round in 0..SIGNALS {
        for (index, team) in teams.iter().enumerate() {
            let payload = number(round * teams.len() + index);
            within("a signal", buses[round % buses.len()].signal(team, payload)).await.unwrap();
        }
    }
    for (index, feed) in &mut feeds {
        let mut heard = Vec::new();
        for _ in 0..SIGNALS {
            heard.push(as_number(&next(feed).await));
        }
        heard.sort_unstable();
        let expected: Vec<_> = (0..SIGNALS).map(|round| round * teams.len() + *index).collect();
        assert_eq!(heard, expected);
        assert!(feed.next().now_or_never().is_none(), "more than was said");
    }
}

/// A listener misses nothing that was said after it had begun to listen, over another handle too.
pub async fn what_is_signalled_after_listening_has_begun_arrives<F: Fixture>() {
    let fixture = F::start().await;
    let (saying, listening) = (fixture.handle().await, fixture.handle().await);
    for round in 0..300 {
        let team = team(&format!("team-{round}"));
        let mut feed = listen::<F>(&[&saying], &listening, &team).await;
        saying.signal(&team, number(round)).await.unwrap();
        assert_eq!(as_number(&next(&mut feed).await), round);
    }
}

/// What one task says to one team is heard in that order, without a hole while the listener keeps up.
pub async fn signals_of_one_task_arrive_in_their_order<F: Fixture>() {
    const SIGNALS: usize = 5_000;
    const AHEAD: usize = 100;
    let fixture = F::start().await;
    let (saying, listening) = (fixture.handle().await, fixture.handle().await);
    let team = team("a");
    let mut feed = listen::<F>(&[&saying], &listening, &team).await;
    for said in 0..SIGNALS + AHEAD {
        if said < SIGNALS {
            within("a signal", saying.signal(&team, number(said))).await.unwrap();
        }
        if let Some(expected) = said.checked_sub(AHEAD) {
            assert_eq!(as_number(&next(&mut feed).await), expected);
        }
    }
    assert_eq!(listening.losses().signals, 0);
}

/// A feed that comes and goes changes nothing for the others of its team.
pub async fn a_dropped_feed_of_signals_costs_the_others_nothing<F: Fixture>() {
    let fixture = F::start().await;
    let (saying, listening) = (fixture.handle().await, fixture.handle().await);
    let team = team("a");
    let mut kept = listen::<F>(&[&saying], &listening, &team).await;
    for round in 0..50 {
        let going = within("listening", listening.signals(&team)).await.unwrap();
        saying.signal(&team, number(round * 2)).await.unwrap();
        drop(going);
        saying.signal(&team, number(round * 2 + 1)).await.unwrap();
        for expected in [round * 2, round * 2 + 1] {
            assert_eq!(as_number(&next(&mut kept).await), expected);
        }
    }
    // Nothing of it comes twice.
    let silence = tokio::time::timeout(Duration::from_millis(100), kept.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}
