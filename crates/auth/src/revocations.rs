//! The list of revoked tokens, shared by everyone who checks one. It knows neither when it changes nor where it comes from.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

/// The ids (`jti`) of the tokens that are revoked, although they have not expired. Starts empty. Cheap to clone; clones
/// share the list.
#[derive(Clone, Default)]
pub struct Revocations {
    // Locked for one look-up, or to exchange the list: one of a million ids is never built or freed under the lock, nor freed
    // by whoever checks a token.
    ids: Arc<RwLock<HashSet<Box<str>>>>,
}

impl Revocations {
    /// Whether the token `id` is revoked now.
    pub fn contains(&self, id: &str) -> bool {
        self.read().contains(id)
    }

    /// Puts `ids` in the place of the whole list. It holds for every check that begins afterwards.
    pub fn replace(&self, ids: HashSet<Box<str>>) {
        // The lock is held to the end of this line only.
        let before = std::mem::replace(&mut *self.ids.write().unwrap_or_else(PoisonError::into_inner), ids);
        drop(before);
    }

    /// How many tokens are revoked now.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether no token is.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashSet<Box<str>>> {
        self.ids.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).finish_non_exhaustive()
    }
}
