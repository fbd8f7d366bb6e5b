//! How people call users: a bounded cache in front of the directory. A name is for showing: where it cannot be had in
//! time, the user's id is shown in its place.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use huddle_domain::{Event, EventKind, Name, UserId};
use tokio::{runtime::Handle, time::Instant};

use crate::upstream::{Directory, NAMES_PER_QUESTION_MAX};

/// How long an answer is used before the directory is asked again, beside the readers.
const FRESH: Duration = Duration::from_mins(1);
/// How long nobody waits for the directory after it did not answer in time.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Most users that are kept; beyond it all of them are forgotten.
const USERS_MAX: usize = 100_000;

/// Names of users, as the directory knows them.
#[derive(Debug)]
pub(crate) struct Names {
    directory: Directory,
    runtime: Handle,
    // A plain mutex: held for look-ups and inserts, never across an await.
    users: Mutex<HashMap<UserId, Known>>,
    // Held for a copy or an assignment.
    silent_until: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone)]
struct Known {
    /// `None` = the directory knows none.
    name: Option<Name>,
    /// From when on the directory is to be asked again.
    stale: Instant,
}

impl Names {
    /// Must be called within the runtime that stale names are to be asked for on.
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory, runtime: Handle::current(), users: Mutex::default(), silent_until: Mutex::default() }
    }

    /// The names of `users`, as far as there are any. Waits only for users that were never asked about, for half a
    /// second at most for each thousand of them; when that was in vain, nobody waits for two seconds.
    pub(crate) async fn of<'a>(self: &Arc<Self>, users: impl IntoIterator<Item = &'a UserId>) -> HashMap<UserId, Name> {
        let (mut named, mut unknown, mut stale) = (HashMap::new(), Vec::new(), Vec::new());
        {
            let now = Instant::now();
            let mut known = self.users();
            for user in users {
                match known.get_mut(user) {
                    None if unknown.contains(user) => {}
                    None => unknown.push(user.clone()),
                    Some(entry) => {
                        if now >= entry.stale {
                            // One asks for all who come meanwhile.
                            entry.stale = now + FRESH;
                            stale.push(user.clone());
                        }
                        if let Some(name) = &entry.name {
                            named.insert(user.clone(), name.clone());
                        }
                    }
                }
            }
        }
        if !stale.is_empty() {
            let this = Arc::clone(self);
            self.runtime.spawn(async move { this.ask(&stale).await });
        }
        if !unknown.is_empty() && !self.is_silent() {
            named.extend(self.ask(&unknown).await);
        }
        named
    }

    /// Takes note of a live event.
    pub(crate) fn observe(&self, event: &Event) {
        if let EventKind::MemberAdded { user, name: Some(name), .. } = &event.kind {
            self.keep([(user.clone(), Some(name.clone()))]);
        }
    }

    async fn ask(&self, users: &[UserId]) -> HashMap<UserId, Name> {
        let mut named = HashMap::new();
        for question in users.chunks(NAMES_PER_QUESTION_MAX) {
            match self.directory.user_names(question).await {
                Ok(answer) => {
                    self.keep(question.iter().map(|user| (user.clone(), answer.get(user).cloned())));
                    named.extend(answer);
                }
                Err(refusal) => {
                    tracing::debug!(reason = %refusal, "names cannot be had");
                    let silent_until = Instant::now() + PAUSE_AFTER_FAILURE;
                    *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(silent_until);
                    return named;
                }
            }
        }
        named
    }

    fn keep(&self, answers: impl IntoIterator<Item = (UserId, Option<Name>)>) {
        let stale = Instant::now() + FRESH;
        let mut known = self.users();
        for (user, name) in answers {
            if known.len() >= USERS_MAX && !known.contains_key(&user) {
                known.clear();
            }
            known.insert(user, Known { name, stale });
        }
    }

    /// Whether the directory has just failed to answer.
    fn is_silent(&self) -> bool {
        let silent_until = *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
        silent_until.is_some_and(|silent_until| Instant::now() < silent_until)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserId, Known>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
