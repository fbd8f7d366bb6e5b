//! What users are in teams: a bounded cache in front of the directory, kept current by the teams' own live events.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use huddle_domain::{Event, EventKind, Role, Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::time::Instant;

use crate::upstream::{Directory, Membership};

/// How long an answer of the directory is used without asking again.
const FRESH: Duration = Duration::from_secs(2);
/// How long it is used when the directory does not answer: the bound within which a removal takes effect at the latest.
const STALE_MAX: Duration = Duration::from_mins(1);
/// Most teams of which answers are kept; beyond it the teams without a fresh answer are forgotten, and when there is
/// none, all. The answers of one team are bounded by its members.
const TEAMS_MAX: usize = 100_000;

/// Answers of the directory, by team and user.
#[derive(Debug)]
pub(crate) struct Memberships {
    directory: Directory,
    // A plain mutex: held for a look-up or an insert, never across an await.
    known: Mutex<HashMap<TeamId, HashMap<UserId, Known>>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    membership: Membership,
    at: Instant,
    // Events up to here are part of the answer.
    as_of: Seq,
}

impl Memberships {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory, known: Mutex::default() }
    }

    /// What `user` is in `team`, for a send. At most [`FRESH`] old, and current with the live events seen here; while
    /// the directory cannot be reached, at most [`STALE_MAX`] old.
    pub(crate) async fn check(&self, team: &TeamId, user: &UserId) -> Result<Membership, Refusal> {
        let known = self.get(team, user);
        if let Some(known) = known.filter(|known| known.at.elapsed() < FRESH) {
            return Ok(known.membership);
        }
        match self.ask(team, user, Seq::ZERO).await {
            Err(refusal) if refusal.code.is_retryable() => match known {
                Some(known) if known.at.elapsed() < STALE_MAX => Ok(known.membership),
                _ => Err(refusal),
            },
            answer => answer,
        }
    }

    /// What `user` is in `team` as of `min_seq` or later, for a subscription: always asks the directory, so that
    /// everything up to `min_seq` is part of the answer and everything after it is seen live.
    pub(crate) async fn check_as_of(&self, team: &TeamId, user: &UserId, min_seq: Seq) -> Result<Membership, Refusal> {
        self.ask(team, user, min_seq).await
    }

    /// Takes note of a live event. Called for each event of a team with subscribers here, in order.
    pub(crate) fn observe(&self, event: &Event) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(members) = known.get_mut(&event.team) else { return };
        match &event.kind {
            EventKind::MemberRemoved { user } => {
                members.remove(user);
            }
            EventKind::MemberAdded { user, role, .. } | EventKind::MemberRoleChanged { user, role } => {
                update(members, user, event.seq, *role);
            }
            EventKind::TeamArchived => members.values_mut().for_each(|known| known.membership.team_archived = true),
            EventKind::Posted { .. } | EventKind::TeamCreated { .. } | EventKind::TeamRenamed { .. } => {}
        }
        if members.is_empty() {
            known.remove(&event.team);
        }
    }

    async fn ask(&self, team: &TeamId, user: &UserId, min_seq: Seq) -> Result<Membership, Refusal> {
        let asked_at = Instant::now();
        let answer = self.directory.membership(team, user, min_seq).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Some(membership) => {
                make_room(&mut known);
                known
                    .entry(team.clone())
                    .or_default()
                    .insert(user.clone(), Known { membership, at: asked_at, as_of: min_seq });
                Ok(membership)
            }
            None => {
                if let Some(members) = known.get_mut(team) {
                    members.remove(user);
                }
                Err(not_found())
            }
        }
    }

    fn get(&self, team: &TeamId, user: &UserId) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(team)?.get(user).copied()
    }
}

/// What a stranger and a user who asks for a team that does not exist are told alike.
pub(crate) fn not_found() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such team, or you are not a member of it")
}

fn update(members: &mut HashMap<UserId, Known>, user: &UserId, seq: Seq, role: Role) {
    if let Some(known) = members.get_mut(user).filter(|known| seq > known.as_of) {
        known.membership.role = role;
        known.as_of = seq;
    }
}

fn make_room(known: &mut HashMap<TeamId, HashMap<UserId, Known>>) {
    if known.len() < TEAMS_MAX {
        return;
    }
    known.retain(|_, members| members.values().any(|known| known.at.elapsed() < FRESH));
    if known.len() >= TEAMS_MAX {
        known.clear();
    }
}
