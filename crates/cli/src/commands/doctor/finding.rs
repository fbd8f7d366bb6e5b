//! What a check can find: the closed list of ids, and why each matters.

use serde::Serialize;

/// How bad a finding is. Later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// It works, and there is a risk that the operator should know of.
    Warning,
    /// It does not work, or will lose something.
    Problem,
}

impl Severity {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) id: Id,
    pub(crate) severity: Severity,
    /// What it is about, where there are several: a file, a partition, a service.
    pub(crate) subject: Option<String>,
    pub(crate) found: String,
    /// What to do; `None` when nothing is to be done.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    /// All is well with what the check `id` looks at.
    pub(crate) fn ok(id: Id, found: impl Into<String>) -> Self {
        Self { id, severity: Severity::Ok, subject: None, found: found.into(), remedy: None }
    }

    pub(crate) fn warning(id: Id, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, severity: Severity::Warning, subject: None, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn problem(id: Id, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, severity: Severity::Problem, subject: None, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

macro_rules! ids {
    ($($variant:ident = $name:literal: $why:literal;)*) => {
        /// What is found, by a name that stays the same from version to version. What is well is named by its check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Id {
            $($variant,)*
        }

        impl Id {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Why it matters.
            pub(crate) const fn why(self) -> &'static str {
                match self {
                    $(Self::$variant => $why,)*
                }
            }
        }
    };
}

ids! {
    // Any installation.
    Configuration = "configuration": "every service reads these settings, and refuses to start with a mistake in them";
    Addresses = "addresses": "whoever reaches an address can try it, and what crosses a network in the clear can be read";
    AddressPublic = "address-public": "Huddle has no TLS of its own: tokens and messages would cross the network in the clear";
    AddressExposed = "address-exposed": "this address is meant for a private network: it shows inner workings, or trusts its callers more";
    Secrets = "secrets": "whoever has the secrets can act as anybody";
    SecretReadable = "secret-readable": "whoever can read the secret can act as anybody";
    SecretGuessable = "secret-guessable": "a secret that can be guessed protects nothing";
    SecretDamaged = "secret-damaged": "without the secret, tokens can be neither made nor checked";
    RevokedTokens = "revoked-tokens": "tokens that somebody else may have must not let anybody in until they expire";
    RevokedUnreadable = "revoked-unreadable": "no service starts without its list, and those that run keep the one they have";
    RevokedWritable = "revoked-writable": "whoever can write the list can let revoked tokens in again, or lock users out";
    Disk = "disk": "nothing can be accepted or stored on a full disk";
    DiskLow = "disk-low": "a full disk refuses new messages";
    DiskFull = "disk-full": "a full disk refuses new messages";
    NotReady = "not-ready": "a process that is not ready gets no traffic, or cannot do its work";
    AdminUnreachable = "admin-unreachable": "without the admin endpoint nobody sees whether the process is well";
    Storing = "storing": "what is accepted becomes readable history, and gets its second receipt, once it is stored";
    StoringBehind = "storing-behind": "history and resuming clients see messages late, and an unstored message that ages out of the log is lost";
    StoringStalled = "storing-stalled": "new messages do not reach history, no second receipt is sent, and clients cannot resume beyond the stall";
    DeadLetters = "dead-letters": "an entry of the log that cannot be stored is set aside, so that it holds up nothing behind it";
    DeadLettersFound = "dead-letters-found": "these messages were shown live, perhaps, and are not in history";
    PositionTaken = "position-taken": "two different messages had one position: the log was replaced by another one, and clients may have seen what history does not show";
    LogGaps = "log-gaps": "a log never forgets in its middle: what is missing there was accepted, perhaps, and lost";
    LogGapsFound = "log-gaps-found": "messages that were accepted may be missing from history";
    CheckTimeout = "check-timeout": "what was asked gives no answer, or the machine is too busy to hear it; this check says nothing";
    CheckFailed = "check-failed": "this check could not be made and says nothing";

    // The embedded instance.
    File = "file": "the file holds everything: log, history, teams and members";
    FileMissing = "file-missing": "without the file there is no instance";
    FileUnreadable = "file-unreadable": "what this user cannot read, neither doctor nor a server of this user can use";
    FileForeign = "file-foreign": "Huddle leaves the files of other programs alone, and does not start over them";
    FileDamaged = "file-damaged": "a part of the data cannot be read, and more may be lost when it is written on";
    SchemaOlder = "schema-older": "this version works with its own schema only";
    SchemaNewer = "schema-newer": "this version does not know what a newer one keeps, and refuses to touch it";
    PartitionsDiffer = "partitions-differ": "a log keeps its number of partitions for life, and does not open with another one";
    Permissions = "permissions": "the files hold everything that people wrote";
    FileExposed = "file-exposed": "other users of this machine can read what people wrote";
    Process = "process": "one process at a time writes to a directory";
    Integrity = "integrity": "a page that a disk has damaged is noticed when it is read, which may be too late for the last good backup";
    IntegrityUnfinished = "integrity-unfinished": "what was not checked may be damaged";
    FileSize = "file-size": "a file that has reached its largest size refuses new messages";
    FileFilling = "file-filling": "a file that has reached its largest size refuses new messages";
    FileFull = "file-full": "a file that has reached its largest size refuses new messages";
    FileSystem = "file-system": "the file's write-ahead log needs memory shared between processes and locks that hold";
    FileSystemNetwork = "file-system-network": "the write-ahead log does not work over a network: the file can be damaged";
    FileSystemFuse = "file-system-fuse": "whether locks and syncs hold depends on the program behind it";
    FileSystemMemory = "file-system-memory": "what is in memory is gone when the machine stops";
    Wal = "wal": "the write-ahead log is read at every start, and takes disk space of its own";
    WalLarge = "wal-large": "something has been reading for long, or has stopped while reading, and keeps the write-ahead log from being cut back";
    Readiness = "readiness": "a process that is not ready gets no traffic, or cannot do its work";

    // The log of a cluster.
    Nats = "nats": "NATS carries every message; without it nothing is accepted";
    NatsUnreachable = "nats-unreachable": "without NATS nothing is accepted and nobody sees anything live";
    NatsUnfit = "nats-unfit": "services refuse to start with a log that does not keep its promises";
    NatsServerAway = "nats-server-away": "with one server less, the next failure may stop everything";
    NatsSync = "nats-sync": "NATS syncs to disk every 2 minutes unless told otherwise: a power cut then takes acknowledged messages";
    NatsSyncLate = "nats-sync-late": "a power cut takes what this server has acknowledged and not yet synced; if it takes all copies, it is lost";
    NatsMonitorAway = "nats-monitor-away": "whether this server syncs to disk is not known, and in production no service starts";
    Log = "log": "each partition is a stream of NATS; its settings are a part of the guarantees";
    PartitionMissing = "partition-missing": "teams of this partition can be neither read nor written";
    PartitionUnfit = "partition-unfit": "services refuse a partition that does not keep its promises, or is not what the configuration says";
    PartitionLeaderless = "partition-leaderless": "nothing is accepted for teams of this partition";
    PartitionFenced = "partition-fenced": "nothing is accepted for teams of this partition";
    PartitionServerAway = "partition-server-away": "with one copy less, the next failure may stop the partition";
    PartitionOneCopy = "partition-one-copy": "the loss of one disk takes what was accepted and not yet stored, and nothing is accepted while the one server is away";
    LogSize = "log-size": "a full log refuses new messages";
    LogFilling = "log-filling": "a full log refuses new messages";
    LogFull = "log-full": "a full log refuses new messages";
    LogBehindStore = "log-behind-store": "the log would give out positions that are taken already";
    ClockNats = "clock-nats": "tokens are judged by this machine's clock, and the times of messages are those of NATS";
    ClockOff = "clock-off": "tokens are refused too early or accepted too long, and the times of messages are wrong";

    // The store of a cluster.
    Postgres = "postgres": "Postgres is the record: history, teams and members";
    PostgresUnreachable = "postgres-unreachable": "nothing is stored, and history, teams and resuming clients wait";
    PostgresUnfit = "postgres-unfit": "services refuse to start with a store that they cannot use";
    PostgresStandby = "postgres-standby": "a standby cannot be written: nothing is stored";
    Schema = "schema": "services start with the schema of their version only";
    SchemaMissing = "schema-missing": "services refuse to start without their tables";
    Durability = "durability": "`stored` promises that a message survives a crash of Postgres and a power cut";
    FsyncOff = "fsync-off": "a power cut can lose messages that were reported as stored, and damage the whole database";
    FullPageWritesOff = "full-page-writes-off": "a power cut in the middle of a write can damage the database";
    Connections = "connections": "a service that gets no connection answers nothing";
    ConnectionsLow = "connections-low": "a service that gets no connection answers nothing";
    Owners = "owners": "one process of `huddle persistence` owns each partition and carries it into the store";
    PartitionUnowned = "partition-unowned": "nobody carries this partition into the store: no second receipts, no new history";
    OwnerSilent = "owner-silent": "the owner is paused or cut off; it is replaced only when another process of persistence runs";
    ClockPostgres = "clock-postgres": "what Postgres records about its sessions and rows is compared with other clocks";

    // The services of a cluster.
    History = "history": "gateways read history there, and clients resume from it";
    Directory = "directory": "gateways ask there who is a member of what";
    ServiceUnreachable = "service-unreachable": "gateways cannot let clients resume, or cannot tell who is a member";
    ServiceNotServing = "service-not-serving": "the service runs and cannot answer";
    ServiceSlow = "service-slow": "every resume and every new subscription waits for it";
    ServiceTokenMissing = "service-token-missing": "a gateway asks history and directory with it, and does not start without";
    ServiceTokenRefused = "service-token-refused": "gateways with this token are refused by the service";
    Gateway = "gateway": "clients connect there";
    GatewayUnreachable = "gateway-unreachable": "clients cannot connect";
    AdminGateway = "admin-gateway": "the admin endpoint says whether the gateway is ready, and why not";
    AdminHistory = "admin-history": "the admin endpoint says whether history is ready, and why not";
    AdminDirectory = "admin-directory": "the admin endpoint says whether the directory is ready, and why not";
    AdminPersistence = "admin-persistence": "the admin endpoint says whether persistence is ready, and why not";
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_id_is_in_the_reference_and_no_other() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/doctor.md");
        let page = fs::read_to_string(page).unwrap();
        let (_, page) = page.split_once("## Findings").unwrap();
        // The first column of the tables.
        let listed: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(id, _)| id).collect();
        let known: BTreeSet<&str> = Id::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), known);
        assert_eq!(listed.len(), known.len(), "one of them is listed twice");
        assert_eq!(Id::ALL.len(), known.len(), "two have one name");
    }
}
