//! What Huddle talks about: ids, positions, events, roles and limits. No I/O, no async, no wire format.
#![deny(missing_docs)]

mod contiguity;
mod event;
mod id;
pub mod limits;
mod partition;
mod role;
mod seq;
mod tags;

pub use contiguity::{Contiguity, Step};
pub use event::{Body, BodyError, Event, EventKind, Name, NameError, NewEvent, SendKey};
pub use id::{ClientId, EntityId, EntityKind, IdError, TeamId, UserId};
pub use partition::{Partition, Partitions, PartitionsError};
pub use role::Role;
pub use seq::{Seq, UnixMillis};
pub use tags::{Entity, Tags, TagsError};
