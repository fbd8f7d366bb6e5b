//! Pieces that stores over SQL tables have in common: what their rows mean, and what becomes of a batch. For
//! implementations; nothing here talks to a database.

mod columns;
mod directory;
mod insertion;
mod mentions;
mod page;
mod tally;

pub use columns::{EventColumns, KindColumns, Unreadable, from_bigint, to_bigint};
pub use directory::{MemberColumns, TeamColumns, membership, role, user_name};
pub use insertion::{Insertion, NewRows, concerns_directory, ends_of_changes, judge};
pub use mentions::{MentionRow, mention_bound, mention_rows};
pub use page::{MessageWindow, event_page, message_page, truncate};
pub use tally::{Names, Tally, is_in_order};
