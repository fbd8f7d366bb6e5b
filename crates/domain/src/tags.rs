//! What a message points to beside its text: the users whom it mentions, and one thing of another application.

use crate::{EntityId, EntityKind, UserId, limits::MENTIONS_MAX};

/// The users whom a message mentions, and the thing that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    mentions: Vec<UserId>,
    entity: Option<Entity>,
}

/// A thing of another application that a message is about, such as an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// What it is: the application's word for things of its kind.
    pub kind: EntityKind,
    /// Which one.
    pub id: EntityId,
}

/// Why users and a thing are not a message's tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagsError {
    /// More than [`MENTIONS_MAX`] different users.
    #[error("a message mentions at most {MENTIONS_MAX} users")]
    TooManyMentions,
}

impl Tags {
    /// Tags with each user once, in the order of their first mention.
    pub fn new(mentions: impl IntoIterator<Item = UserId>, entity: Option<Entity>) -> Result<Self, TagsError> {
        let mut each = Vec::new();
        for user in mentions {
            if each.contains(&user) {
                continue;
            }
            if each.len() >= MENTIONS_MAX {
                return Err(TagsError::TooManyMentions);
            }
            each.push(user);
        }
        Ok(Self { mentions: each, entity })
    }

    /// The users, each once.
    pub fn mentions(&self) -> &[UserId] {
        &self.mentions
    }

    /// The thing.
    pub fn entity(&self) -> Option<&Entity> {
        self.entity.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(count: usize) -> impl Iterator<Item = UserId> {
        (0..count).map(|number| UserId::parse(&number.to_string()).unwrap())
    }

    #[test]
    fn a_user_is_mentioned_once_however_often_the_sender_names_them() {
        let tags = Tags::new(users(2).chain(users(3)).chain(users(2)), None).unwrap();
        assert_eq!(tags.mentions(), users(3).collect::<Vec<_>>());
    }

    #[test]
    fn the_number_of_mentions_is_bounded() {
        assert!(Tags::new(users(MENTIONS_MAX).chain(users(MENTIONS_MAX)), None).is_ok());
        assert_eq!(Tags::new(users(MENTIONS_MAX + 1), None), Err(TagsError::TooManyMentions));
    }
}
