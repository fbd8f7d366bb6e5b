//! Questions to the directory: of those who ask about one team while a question is under way, the next one asks for all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use huddle_domain::{Seq, TeamId, UserId};
use huddle_proto::{Refusal, gateway::v1::ErrorCode};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

use crate::upstream::{Directory, Membership, USERS_PER_QUESTION_MAX};

/// Who may wait for answers about one team; beyond it those who ask are refused.
const WAITING_MAX: usize = 20_000;

/// How long anybody waits for an answer, the questions before it included.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Result<Option<Membership>, Refusal>;

/// The questions that are under way, and those that wait for them. One who asks waits for the positions that the others
/// need, too: whoever asks for another reason has questions of their own.
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
                let serving = Serving { questions: Arc::clone(self), team: team.clone(), is_over: false };
                self.runtime.spawn(serving.run(vec![waiting]));
            }
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            // The task ends without an answer when its runtime does.
            Ok(Err(_)) | Err(_) => {
                Err(Refusal::new(ErrorCode::Unavailable, "who is a member cannot be told just now; retry"))
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

/// The asking about one team.
struct Serving {
    questions: Arc<Questions>,
    team: TeamId,
    is_over: bool,
}

impl Serving {
    /// Asks for `waiting`, then for those who have come meanwhile, until there are none.
    async fn run(mut self, mut waiting: Vec<Waiting>) {
        while !waiting.is_empty() {
            for share in chunks(waiting) {
                self.questions.ask_for(&self.team, share).await;
            }
            let mut teams = self.questions.teams();
            waiting = teams.get_mut(&self.team).map(std::mem::take).unwrap_or_default();
            if waiting.is_empty() {
                teams.remove(&self.team);
                self.is_over = true;
            }
        }
    }
}

impl Drop for Serving {
    /// Nobody waits for one that is gone before its end.
    fn drop(&mut self) {
        if !self.is_over {
            self.questions.teams().remove(&self.team);
        }
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
