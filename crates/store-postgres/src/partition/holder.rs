//! Who holds a partition's lock, and whether it is still alive.
//!
//! An owner that is killed is no problem: its connection closes, and the lock is free at once. One that is paused, or cut
//! off from the network, keeps its connection and with it the lock, because the kernels at both ends go on answering for
//! it. It is told by its silence: an owner talks to Postgres at least once a second. A session that has been waiting for
//! its client for longer than [`HOLDER_SILENCE_MAX`] is ended by the next one who wants the partition. That fences the
//! old owner, too: whatever it still means to write would have to go over the connection that has just been closed.

use std::time::Duration;

use huddle_domain::Partition;
use sqlx::PgExecutor;

use super::claim::LOCK_CLASS;

/// How long an owner may say nothing before it loses its claim to whoever wants it.
pub(crate) const HOLDER_SILENCE_MAX: Duration = Duration::from_secs(3);

/// How long to wait for a session to end. It ends in milliseconds: it is idle.
const TERMINATION_WAIT: Duration = Duration::from_secs(1);

/// Who holds the lock of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody.
    Nobody,
    /// A session that works or has talked to Postgres lately.
    Alive,
    /// A session that had fallen silent, and has been ended.
    Ended,
}

/// Looks at the holder of the lock of `partition`, and ends it when it has fallen silent.
pub(super) async fn look_at_holder<'c>(
    executor: impl PgExecutor<'c>,
    partition: Partition,
) -> Result<Holder, sqlx::Error> {
    // Silence is measured by the server's clock alone. A session that is working, or waiting for a lock, is not idle.
    const LOOK_AT_HOLDER: &str = "
        SELECT CASE
            WHEN starts_with(activity.state, 'idle')
                 AND clock_timestamp() - activity.state_change > $3 * interval '1 millisecond'
            THEN pg_terminate_backend(holder.pid, $4)
            ELSE false
        END
        FROM pg_locks AS holder
        LEFT JOIN pg_stat_activity AS activity USING (pid)
        WHERE holder.locktype = 'advisory'
          AND holder.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND holder.classid = $1::integer::oid
          AND holder.objid = $2::integer::oid
          AND holder.objsubid = 2
          AND holder.granted";
    let ended = sqlx::query_scalar::<_, bool>(LOOK_AT_HOLDER)
        .bind(LOCK_CLASS)
        .bind(i32::from(partition.number()))
        .bind(milliseconds(HOLDER_SILENCE_MAX))
        .bind(milliseconds(TERMINATION_WAIT))
        .fetch_optional(executor)
        .await?;
    Ok(match ended {
        None => Holder::Nobody,
        Some(true) => Holder::Ended,
        Some(false) => Holder::Alive,
    })
}

pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
