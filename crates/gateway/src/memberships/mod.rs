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
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

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
/// How long a send waits for the directory where there is an answer of before to go on with.
const PATIENCE_WITH_ANSWER: Duration = Duration::from_secs(1);
/// How often a directory that did not answer is asked again, beside the sends; until it does they go on with the answers of
/// before.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Most teams that are not followed and of which answers are kept; beyond it all of those are forgotten. The answers of
/// one team are bounded by its members.
const TEAMS_MAX: usize = 100_000;
/// How often the directory is asked again because the team's members changed while it was asked.
const ASKS_MAX: usize = 5;

/// Answers of the directory, by team and user.
#[derive(Debug)]
pub(crate) struct Memberships {
    directory: Directory,
    /// Apart, because reads wait for positions that sends need not.
    for_sends: Arc<Questions>,
    for_reads: Arc<Questions>,
    runtime: Handle,
    /// While the directory is silent: when it is asked again. Held for a look and an assignment.
    retry_at: Mutex<Option<Instant>>,
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
        let questions = || Arc::new(Questions::new(directory.clone()));
        Self {
            for_sends: questions(),
            for_reads: questions(),
            runtime: Handle::current(),
            retry_at: Mutex::default(),
            directory,
            teams: Mutex::default(),
        }
    }

    /// What `user` is in `team`, for a send: from the cache while that is fresh, and for a bounded time while the
    /// directory does not answer.
    pub(crate) async fn check(self: &Arc<Self>, team: &TeamId, user: &UserId) -> Result<Membership, Refusal> {
        let Some((known, followed)) = self.known(team, user) else {
            return self.ask(&self.for_sends, team, user, Seq::ZERO).await;
        };
        let (fresh, stale_max) = if followed { (FRESH_FOLLOWED, STALE_FOLLOWED_MAX) } else { (FRESH, STALE_MAX) };
        let age = known.asked.elapsed();
        if age < fresh {
            return Ok(known.membership);
        }
        if age >= stale_max {
            return self.ask(&self.for_sends, team, user, Seq::ZERO).await;
        }
        if self.is_silent() {
            if self.takes_retry() {
                let (this, team, user) = (Arc::clone(self), team.clone(), user.clone());
                self.runtime.spawn(async move { this.ask(&this.for_sends, &team, &user, Seq::ZERO).await });
            }
            return Ok(known.membership);
        }
        let refusal = match timeout(PATIENCE_WITH_ANSWER, self.ask(&self.for_sends, team, user, Seq::ZERO)).await {
            Ok(Err(refusal)) if refusal.code.is_retryable() => refusal,
            Ok(answer) => return answer,
            Err(_elapsed) => {
                self.set_silent(true);
                Refusal::new(ErrorCode::Unavailable, "who is a member cannot be told just now; retry")
            }
        };
        // Looked up again: the user may have been removed meanwhile.
        self.known(team, user).map(|(known, _)| known.membership).ok_or(refusal)
    }

    /// What `user` is in `team`, which is followed, as of `position` or later; everything up to there has been
    /// [observed](Self::observe). The directory is asked when nothing is known, or nothing new enough.
    pub(crate) async fn check_seen(&self, team: &TeamId, user: &UserId, position: Seq) -> Result<Membership, Refusal> {
        match self.known(team, user) {
            // What changed since it was asked for would have made it void.
            Some((known, true)) if known.asked.elapsed() < FRESH_FOLLOWED => Ok(known.membership),
            _ => self.check_as_of(team, user, position).await,
        }
    }

    /// What `user` is in `team` as of `min_seq` or later, which is a position that the log has reached. Always asks the
    /// directory.
    pub(crate) async fn check_as_of(&self, team: &TeamId, user: &UserId, min_seq: Seq) -> Result<Membership, Refusal> {
        self.ask(&self.for_reads, team, user, min_seq).await
    }

    async fn ask(
        &self,
        questions: &Arc<Questions>,
        team: &TeamId,
        user: &UserId,
        min_seq: Seq,
    ) -> Result<Membership, Refusal> {
        for _ in 0..ASKS_MAX {
            let last_change = self.last_change(team);
            let asked = Instant::now();
            let answer = questions.ask(team, user, min_seq.max(last_change)).await?;
            self.set_silent(false);
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

    /// What is known of `user`, and whether the team is followed.
    fn known(&self, team: &TeamId, user: &UserId) -> Option<(Known, bool)> {
        let teams = self.teams();
        let entry = teams.get(team)?;
        Some((*entry.members.get(user)?, entry.followed))
    }

    /// Whether the directory did not answer when it was asked last.
    fn is_silent(&self) -> bool {
        self.retry_at().is_some()
    }

    fn set_silent(&self, silent: bool) {
        let mut retry_at = self.retry_at();
        *retry_at = silent.then(|| retry_at.unwrap_or_else(|| Instant::now() + RETRY_INTERVAL));
    }

    /// Whether it is for the caller to ask the silent directory again now. One of all who come in each interval does.
    fn takes_retry(&self) -> bool {
        let (mut retry_at, now) = (self.retry_at(), Instant::now());
        let is_due = retry_at.is_some_and(|due| now >= due);
        if is_due {
            *retry_at = Some(now + RETRY_INTERVAL);
        }
        is_due
    }

    fn retry_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.retry_at.lock().unwrap_or_else(PoisonError::into_inner)
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
