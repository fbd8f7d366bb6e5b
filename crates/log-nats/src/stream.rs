//! The settings of a partition's stream: how it is created, and what is wrong with one that exists.

use std::time::Duration;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config as Settings, DiscardPolicy, Info, Republish, RetentionPolicy, StorageType},
};
use huddle_domain::{Partition, Seq, limits::SEQ_GAP_OF_NEW_LOG};
use huddle_log::LogError;
use tokio::time::Instant;

use crate::{
    advance,
    config::Config,
    connect::Link,
    floor::{self, End},
    production,
    retry::{Cause, Miss, until_answered},
    subject,
};

/// How long a leader that is new may take to find all that it has. Less than whoever looks after readiness waits.
pub(crate) const APPLYING_MAX: Duration = Duration::from_secs(3);
/// How long the server remembers the idempotency keys of events.
pub(crate) const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// Largest event in a stream, with its headers.
pub(crate) const MESSAGE_BYTES_MAX: i32 = 256 * 1024;
/// Under this key a stream's metadata hold the number of partitions of the log that it belongs to.
const PARTITIONS_KEY: &str = "huddle_partitions";

/// Creates the stream of `partition` if it is missing and checks it if not; see [`huddle_log::Log::prepare`].
pub(crate) async fn prepare(
    link: &Link,
    config: &Config,
    partition: Partition,
    highest_stored: Seq,
) -> Result<(), LogError> {
    let (settings, began) = (settings(config, partition), Instant::now());
    advance::mend(link, partition, highest_stored).await?;
    until_answered("preparing a partition", || async {
        if let Some(info) = find(link, partition).await? {
            if advance::fence_of(&info.config).is_some() {
                return Err(Miss::Retry(advance::fenced()));
            }
            check_settings(&info.config, &settings, Scope::All).map_err(Miss::Final)?;
            return check_position(&info, highest_stored).map_err(|error| {
                if began.elapsed() < APPLYING_MAX { Miss::Retry(Cause::of(&error)) } else { Miss::Final(error) }
            });
        }
        let first = highest_stored.get().saturating_add(SEQ_GAP_OF_NEW_LOG).saturating_add(1);
        match link.jetstream.create_stream(Settings { first_sequence: Some(first), ..settings.clone() }).await {
            Ok(_) => {
                tracing::info!(%partition, first_seq = first, "created a partition of the log");
                Ok(())
            }
            Err(error) => Err(match error.kind() {
                CreateStreamErrorKind::JetStream(error) => creation_refused(&error, config),
                _ => Miss::Retry(Cause::of(&error)),
            }),
        }
    })
    .await
}

/// Checks that the stream of `partition` is there and usable by this version. Sizes are the business of whoever
/// prepares it.
pub(crate) async fn check(link: &Link, config: &Config, partition: Partition) -> Result<(), LogError> {
    let (settings, began) = (settings(config, partition), Instant::now());
    until_answered("checking a partition", || async {
        let taken = link.floors.of(partition);
        match find(link, partition).await? {
            Some(info) if advance::fence_of(&info.config).is_some() => {
                Err(Miss::Final(advance::fenced().unavailable("checking a partition")))
            }
            Some(info) => {
                check_settings(&info.config, &settings, Scope::Structure)
                    .and_then(|()| production::check_stream(config, &info.config))
                    .map_err(Miss::Final)?;
                // A leader that is new may not have found all that it has; and what is to be done where it has really lost
                // its end is for whoever prepares the partition to say, who knows what is stored.
                let last = Seq::new(info.state.last_sequence);
                let cause = || floor::cause(End::WentBack { last, taken });
                if last >= taken {
                    Ok(())
                } else if began.elapsed() < APPLYING_MAX {
                    Err(Miss::Retry(cause()))
                } else {
                    Err(Miss::Final(cause().unavailable("checking a partition")))
                }
            }
            None => Err(Miss::Final(LogError::Missing { partition })),
        }
    })
    .await
}

/// What is wrong with the settings of `partition`'s stream, sizes included; a fence is not.
pub(crate) fn unfit(config: &Config, partition: Partition, found: &Settings) -> Option<LogError> {
    let mut found = found.clone();
    if advance::fence_of(&found).is_some() {
        found.max_message_size = MESSAGE_BYTES_MAX;
    }
    check_settings(&found, &settings(config, partition), Scope::All).err()
}

/// The stream's state, `None` when the server says that there is no such stream.
pub(crate) async fn find(link: &Link, partition: Partition) -> Result<Option<Info>, Miss> {
    match link.jetstream.get_stream(subject::stream(partition)).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(Miss::Retry(Cause::of(&error))),
        },
    }
}

/// Whether several servers hold the stream.
pub(crate) fn is_replicated(info: &Info) -> bool {
    info.cluster.as_ref().is_some_and(|cluster| !cluster.replicas.is_empty())
}

fn settings(config: &Config, partition: Partition) -> Settings {
    Settings {
        name: subject::stream(partition),
        subjects: vec![subject::log_all(partition)],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        num_replicas: usize::from(config.replicas),
        max_age: config.max_age,
        // Validated: fits.
        max_bytes: i64::try_from(config.max_bytes.as_u64()).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: MESSAGE_BYTES_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        allow_atomic_publish: true,
        deny_delete: true,
        republish: Some(Republish {
            source: subject::log_all(partition),
            destination: subject::live_template(partition),
            headers_only: false,
        }),
        metadata: [(PARTITIONS_KEY.to_owned(), config.partitions.to_string())].into(),
        ..Settings::default()
    }
}

/// The settings that differ: name, found, expected.
macro_rules! comparisons {
    ($found:ident, $wanted:ident; $($name:literal => $field:ident),+ $(,)?) => {
        [$(($found.$field != $wanted.$field)
            .then(|| ($name, format!("{:?}", $found.$field), format!("{:?}", $wanted.$field)))),+]
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What every process relies on.
    Structure,
    /// Sizes and copies too.
    All,
}

/// Compares setting by setting, under the names that the server uses for them.
fn check_settings(found: &Settings, wanted: &Settings, scope: Scope) -> Result<(), LogError> {
    let partitions = |settings: &Settings| settings.metadata.get(PARTITIONS_KEY).cloned().unwrap_or_default();
    let (found_partitions, wanted_partitions) = (partitions(found), partitions(wanted));
    if found_partitions != wanted_partitions {
        return Err(LogError::Unsuitable {
            problem: format!(
                "stream {} belongs to a log of {} partitions, and `partitions` is {wanted_partitions}",
                wanted.name,
                if found_partitions.is_empty() { "an unknown number of" } else { &found_partitions },
            ),
            remedy: "set `partitions` to what the log was created with: it is fixed for the life of the log".to_owned(),
        });
    }
    let structure = comparisons! { found, wanted;
        "subjects" => subjects, "retention" => retention, "storage" => storage, "discard" => discard,
        "discard_new_per_subject" => discard_new_per_subject, "max_msgs" => max_messages,
        "max_msgs_per_subject" => max_messages_per_subject, "max_msg_size" => max_message_size,
        "duplicate_window" => duplicate_window, "allow_direct" => allow_direct,
        "allow_atomic" => allow_atomic_publish, "allow_rollup_hdrs" => allow_rollup,
        "allow_msg_ttl" => allow_message_ttl, "deny_delete" => deny_delete, "no_ack" => no_ack, "sealed" => sealed,
        "republish" => republish, "mirror" => mirror, "sources" => sources, "subject_transform" => subject_transform,
    };
    let sizes = comparisons! { found, wanted;
        "num_replicas" => num_replicas, "max_age" => max_age, "max_bytes" => max_bytes,
    };
    if let Some((setting, found, expected)) = structure.into_iter().flatten().next() {
        return Err(LogError::Unsuitable {
            problem: format!("stream {} has {setting} = {found}, and Huddle needs {expected}", wanted.name),
            remedy: format!(
                "set it with `nats stream edit {0}`, or, once everything in it is stored, delete the stream and start \
                 `huddle persistence`, which creates it anew",
                wanted.name
            ),
        });
    }
    match sizes.into_iter().flatten().next() {
        Some((setting, found, expected)) if scope == Scope::All => Err(LogError::Unsuitable {
            problem: format!("stream {} has {setting} = {found}, and the configuration says {expected}", wanted.name),
            remedy: format!("change the configuration, or the stream with `nats stream edit {}`", wanted.name),
        }),
        _ => Ok(()),
    }
}

/// A log that ends before what is stored has lost its data, or belongs to another store.
fn check_position(info: &Info, taken: Seq) -> Result<(), LogError> {
    let last = info.state.last_sequence;
    if last >= taken.get() {
        return Ok(());
    }
    Err(LogError::Unsuitable {
        problem: format!(
            "stream {} ends at position {last}, and position {taken} is stored already: the stream has lost \
             its end (without `sync_interval: always` a power cut does that), was restored from an old copy, or belongs to \
             another store",
            info.config.name
        ),
        remedy: format!(
            "connect the store that belongs to it, or delete the stream with `nats stream rm {}`: it is then created \
             anew above what is stored",
            info.config.name
        ),
    })
}

fn creation_refused(error: &jetstream::Error, config: &Config) -> Miss {
    let unsuitable = |remedy: String| {
        Miss::Final(LogError::Unsuitable {
            problem: format!("the NATS server refuses to create the stream: {error}"),
            remedy,
        })
    };
    match error.error_code() {
        // Somebody else was faster; what they made is looked at next.
        ErrorCode::STREAM_NAME_EXIST => Miss::Retry(Cause::of(error)),
        ErrorCode::STREAM_SUBJECT_OVERLAP => {
            unsuitable("delete the stream that takes the subjects `huddle.log.>`".to_owned())
        }
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => unsuitable("set `replicas` to 1, or run a NATS cluster".to_owned()),
        ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED => unsuitable(format!(
            "lower `max_bytes` ({} for each partition), or raise `max_file_store` in the server's `jetstream` \
             section",
            config.max_bytes
        )),
        code if error.code() < 500 && code != ErrorCode::CLUSTER_NO_PEERS => {
            unsuitable("see the server's log".to_owned())
        }
        // A cluster that is just starting has too few peers for a while.
        _ => Miss::Retry(Cause::of(error)),
    }
}
