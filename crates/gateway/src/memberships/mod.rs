//! What users are in teams: a bounded cache in front of the directory, kept current by the live events of the teams that
//! this gateway follows.

mod questions;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use huddle_domain::{Event, EventKind, Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::time::Instant;

use self::questions::Questions;
use crate::upstream::{Directory, Membership};

/// How long an answer is used without asking again, for a team whose live events are not followed here.
const FRESH: Duration = Duration::from_secs(2);
/// The same for a team that is followed: its events say what changes, and this bounds the harm of one that went missing.
const FRESH_FOLLOWED: Duration = Duration::from_mins(1);
/// How long an answer is used while the directory does not answer.
const STALE_MAX: Duration = Duration::from_mins(1);
/// The same for a team that is followed.
const STALE_FOLLOWED_MAX: Duration = Duration::from_mins(10);
/// Most teams that are not followed and of which answers are kept; beyond it all of those are forgotten. The answers of
/// one team are bounded by its members.
const TEAMS_MAX: usize = 100_000;
/// How often the directory is asked again because the team's members changed while it was asked.
const ASKS_MAX: usize = 5;

/// Answers of the directory, by team and user.
#[derive(Debug)]
pub(crate) struct Memberships {
    directory: Directory,
    questions: Arc<Questions>,
    // A plain mutex: held for a look-up or an insert, never across an await.
    teams: Mutex<HashMap<TeamId, Team>>,
}

#[derive(Debug, Default)]
struct Team {
    /// Whether the team's live events are followed here.
    followed: bool,
    /// Answers from before this position are void: the last event seen that changed something, or where following began.
    last_change: Seq,
    members: HashMap<UserId, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    membership: Membership,
    asked: Instant,
}

impl Memberships {
    /// Must be called within the runtime that the directory is to be asked on.
    pub(crate) fn new(directory: Directory) -> Self {
        Self { questions: Arc::new(Questions::new(directory.clone())), directory, teams: Mutex::default() }
    }

    /// What `user` is in `team`, for a send: from the cache while that is fresh, and for a bounded time while the
    /// directory does not answer.
    pub(crate) async fn check(&self, team: &TeamId, user: &UserId) -> Result<Membership, Refusal> {
        let known = self.teams().get(team).and_then(|entry| Some((*entry.members.get(user)?, entry.followed)));
        let Some((known, followed)) = known else { return self.check_as_of(team, user, Seq::ZERO).await };
        let (fresh, stale_max) = if followed { (FRESH_FOLLOWED, STALE_FOLLOWED_MAX) } else { (FRESH, STALE_MAX) };
        if known.asked.elapsed() < fresh {
            return Ok(known.membership);
        }
        match self.check_as_of(team, user, Seq::ZERO).await {
            Err(refusal) if refusal.code.is_retryable() && known.asked.elapsed() < stale_max => Ok(known.membership),
            answer => answer,
        }
    }

    /// What `user` is in `team`, which is followed, as of `position` or later; everything up to there has been
    /// [observed](Self::observe). The directory is asked when nothing is known, or nothing new enough.
    pub(crate) async fn check_seen(&self, team: &TeamId, user: &UserId, position: Seq) -> Result<Membership, Refusal> {
        let known =
            self.teams().get(team).filter(|entry| entry.followed).and_then(|entry| entry.members.get(user).copied());
        match known {
            // What changed since it was asked for would have made it void.
            Some(known) if known.asked.elapsed() < FRESH_FOLLOWED => Ok(known.membership),
            _ => self.check_as_of(team, user, position).await,
        }
    }

    /// What `user` is in `team` as of `min_seq` or later. Always asks the directory.
    pub(crate) async fn check_as_of(&self, team: &TeamId, user: &UserId, min_seq: Seq) -> Result<Membership, Refusal> {
        for _ in 0..ASKS_MAX {
            let last_change = self.last_change(team);
            let asked = Instant::now();
            let answer = self.questions.ask(team, user, min_seq.max(last_change)).await?;
            let mut teams = self.teams();
            make_room(&mut teams, team);
            let entry = teams.entry(team.clone()).or_default();
            if entry.last_change != last_change {
                // The answer may be from before the change.
                continue;
            }
            let Some(membership) = answer else {
                entry.members.remove(user);
                return Err(not_found());
            };
            entry.members.insert(user.clone(), Known { membership, asked });
            return Ok(membership);
        }
        Err(Refusal::new(ErrorCode::Overloaded, "the team's members change too fast; retry"))
    }

    /// The teams of `user`, by team id, and at most `teams_max` of them. Always asks the directory.
    pub(crate) async fn teams_of(&self, user: &UserId, teams_max: usize) -> Result<Vec<TeamId>, Refusal> {
        self.directory.teams_of(user, teams_max).await
    }

    /// From now on every live event of `team` after `position` is [observed](Self::observe), until
    /// [`Memberships::unfollow`].
    pub(crate) fn follow(&self, team: &TeamId, position: Seq) {
        // Changes up to the position have not been seen: answers from before it are void.
        self.teams().insert(team.clone(), Team { followed: true, last_change: position, members: HashMap::new() });
    }

    /// The live events of `team` are no longer observed.
    pub(crate) fn unfollow(&self, team: &TeamId) {
        self.teams().remove(team);
    }

    /// Takes note of a live event. Called in order.
    pub(crate) fn observe(&self, event: &Event) {
        let changed = match &event.kind {
            EventKind::Posted { .. } | EventKind::TeamCreated { .. } | EventKind::TeamRenamed { .. } => return,
            EventKind::MemberAdded { user, .. }
            | EventKind::MemberRemoved { user }
            | EventKind::MemberRoleChanged { user, .. } => Some(user),
            EventKind::TeamArchived => None,
        };
        let mut teams = self.teams();
        let Some(entry) = teams.get_mut(&event.team) else { return };
        entry.last_change = event.seq;
        match changed {
            Some(user) => {
                entry.members.remove(user);
            }
            None => entry.members.clear(),
        }
    }

    fn last_change(&self, team: &TeamId) -> Seq {
        self.teams().get(team).map_or(Seq::ZERO, |entry| entry.last_change)
    }

    fn teams(&self) -> MutexGuard<'_, HashMap<TeamId, Team>> {
        self.teams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stranger and a user who asks for a team that does not exist are told alike.
pub(crate) fn not_found() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such team, or you are not a member of it")
}

fn make_room(teams: &mut HashMap<TeamId, Team>, team: &TeamId) {
    if teams.len() >= TEAMS_MAX && !teams.contains_key(team) {
        teams.retain(|_, entry| entry.followed);
    }
}
