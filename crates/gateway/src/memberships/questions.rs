//! Questions to the directory: of those who ask about one team while a question is under way, the next one asks for all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::{runtime::Handle, sync::oneshot};

use crate::upstream::{Directory, Membership, USERS_PER_QUESTION_MAX};

/// Who may wait for answers about one team; beyond it those who ask are refused.
const WAITING_MAX: usize = 20_000;

type Answer = Result<Option<Membership>, Refusal>;

/// The questions that are under way, and those that wait for them.
#[derive(Debug)]
pub(super) struct Questions {
    directory: Directory,
    runtime: Handle,
    // A plain mutex: held for look-ups and inserts, never across an await. A team is here while it is asked about.
    teams: Mutex<HashMap<TeamId, Vec<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    user: UserId,
    min_seq: Seq,
    reply: oneshot::Sender<Answer>,
}

impl Questions {
    /// Must be called within the runtime that questions are to be asked on.
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, runtime: Handle::current(), teams: Mutex::default() }
    }

    /// What `user` is in `team`, as of `min_seq` or later, asked after this is called. Cancel safe.
    pub(super) async fn ask(self: &Arc<Self>, team: &TeamId, user: &UserId, min_seq: Seq) -> Answer {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { user: user.clone(), min_seq, reply };
        {
            let mut teams = self.teams();
            if let Some(others) = teams.get_mut(team) {
                if others.len() >= WAITING_MAX {
                    return Err(Refusal::new(ErrorCode::Overloaded, "too many ask about this team; retry"));
                }
                others.push(waiting);
            } else {
                teams.insert(team.clone(), Vec::new());
                let (this, team) = (Arc::clone(self), team.clone());
                self.runtime.spawn(async move { this.serve(&team, vec![waiting]).await });
            }
        }
        // The task ends without an answer only with its runtime.
        answer
            .await
            .unwrap_or_else(|_| Err(Refusal::new(ErrorCode::Unavailable, "the gateway shuts down; retry elsewhere")))
    }

    /// Asks for `waiting`, then for those who have come meanwhile, until there are none.
    async fn serve(&self, team: &TeamId, mut waiting: Vec<Waiting>) {
        while !waiting.is_empty() {
            for share in chunks(waiting) {
                self.ask_for(team, share).await;
            }
            let mut teams = self.teams();
            waiting = teams.get_mut(team).map(std::mem::take).unwrap_or_default();
            if waiting.is_empty() {
                teams.remove(team);
            }
        }
    }

    async fn ask_for(&self, team: &TeamId, waiting: Vec<Waiting>) {
        let min_seq = waiting.iter().map(|one| one.min_seq).max().unwrap_or(Seq::ZERO);
        let users: Vec<UserId> = waiting.iter().map(|one| one.user.clone()).collect();
        let answer = self.directory.memberships(team, &users, min_seq).await;
        for Waiting { user, reply, .. } in waiting {
            // Whoever asked may have gone.
            let _ = reply.send(answer.as_ref().map(|members| members.get(&user).copied()).map_err(Clone::clone));
        }
    }

    fn teams(&self) -> MutexGuard<'_, HashMap<TeamId, Vec<Waiting>>> {
        self.teams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn chunks(mut waiting: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut chunks = Vec::new();
    while waiting.len() > USERS_PER_QUESTION_MAX {
        let rest = waiting.split_off(USERS_PER_QUESTION_MAX);
        chunks.push(std::mem::replace(&mut waiting, rest));
    }
    chunks.push(waiting);
    chunks
}
