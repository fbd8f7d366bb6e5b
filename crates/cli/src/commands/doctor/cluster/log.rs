//! What NATS says about itself and the log.

use std::error::Error;

use huddle_log::LogError;
use huddle_log_nats::{InspectedMonitor, InspectedPartition, Inspection, MonitorFacts, StreamFacts, SyncPolicy};

use super::Nats;
use crate::commands::doctor::{
    check::Outcome,
    finding::{Finding, Id},
    text::{self, percent},
};

/// A partition that takes this much of what it may, in hundredths, is worth a warning, ...
const FILLING_PERCENT: u64 = 80;
/// ... and one that takes this much is as good as full.
const FULL_PERCENT: u64 = 97;
/// How the errors of the log begin; the finding says it already.
const PREFIX: &str = "the log is not fit for use: ";

/// What is said where nobody can look.
const SYNC_UNSEEN: &str = "cannot be seen from here: make sure that each server's configuration says `jetstream { sync_interval: always }`, or \
     has three copies on machines that do not lose power together; with `log.monitors` Huddle looks";
/// The same in production.
const SYNC_ASSERTED: &str = "`log.sync_always` is your word that each server's configuration says `jetstream { sync_interval: always }`; with \
     `log.monitors` Huddle looks";

/// `configured` are the servers of the configuration, with their passwords.
pub(super) async fn servers(configured: &[String], nats: &Nats) -> Outcome {
    let Some(answer) = nats.answer().await else { return broken_off() };
    let inspection = match &*answer {
        Ok(inspection) => inspection,
        Err(LogError::Unsuitable { problem, remedy }) => {
            return Finding::problem(Id::NatsUnfit, problem.clone(), remedy.clone()).into();
        }
        Err(error) => {
            let remedy = "start nats-server, and check that `log.servers` names it and no firewall is in between";
            // The address after the credentials.
            let addresses: Vec<&str> =
                configured.iter().map(|server| server.rsplit_once('@').map_or(&**server, |(_, host)| host)).collect();
            return Finding::problem(Id::NatsUnreachable, chain(error), remedy).about(addresses.join(", ")).into();
        }
    };
    let mut answering = Vec::new();
    let mut findings = Vec::new();
    for server in &inspection.servers {
        match &server.answer {
            Ok(facts) => answering.push(format!("{} ({}, version {})", server.address, facts.name, facts.version)),
            Err(reason) => {
                let remedy = "start it again, or take it out of `log.servers` when it is gone for good";
                findings.push(
                    Finding::warning(Id::NatsServerAway, format!("it does not answer: {reason}"), remedy)
                        .about(server.address.clone()),
                );
            }
        }
    }
    Outcome::found_or(findings, Id::Nats, answering.join(", "))
}

/// Whether the servers sync to disk before they acknowledge: clients of NATS cannot see it, its monitoring can.
pub(super) async fn sync(is_production: bool, nats: &Nats) -> Outcome {
    let inspection = match inspection(nats).await {
        Ok(inspection) => inspection,
        Err(outcome) => return outcome,
    };
    if inspection.monitors.is_empty() {
        return Outcome::ok(Id::NatsSync, if is_production { SYNC_ASSERTED } else { SYNC_UNSEEN });
    }
    let mut syncing = Vec::new();
    let mut findings = Vec::new();
    for monitor in &inspection.monitors {
        match judge_sync(is_production, monitor) {
            Ok(name) => syncing.push(name),
            Err(finding) => findings.push(finding),
        }
    }
    let fine = format!("these servers sync to disk before they acknowledge: {}", syncing.join(", "));
    Outcome::found_or(findings, Id::NatsSync, fine)
}

/// The name of a server that syncs, or what is to be said of it.
fn judge_sync(is_production: bool, monitor: &InspectedMonitor) -> Result<String, Finding> {
    let finding = match &monitor.answer {
        Ok(MonitorFacts { name, sync: Some(SyncPolicy::Always), .. }) => return Ok(name.clone()),
        Ok(MonitorFacts { name, sync: Some(SyncPolicy::Every(interval)), .. }) => {
            let found = format!("{name} syncs to disk every {interval:?}, and acknowledges before");
            let remedy = "write `jetstream { sync_interval: always }` into its configuration, and restart it";
            if is_production {
                Finding::problem(Id::NatsSyncLate, found, remedy)
            } else {
                Finding::warning(Id::NatsSyncLate, found, remedy)
            }
        }
        Ok(MonitorFacts { name, sync: None, .. }) => {
            let remedy = "let `log.monitors` name servers with JetStream only";
            Finding::warning(Id::NatsMonitorAway, format!("{name} has no JetStream"), remedy)
        }
        Err(reason) => {
            let remedy = "start that server, with `http: host:port` in its configuration, or correct `log.monitors`";
            Finding::warning(Id::NatsMonitorAway, format!("no NATS server's monitoring answers: {reason}"), remedy)
        }
    };
    Err(finding.about(monitor.address.clone()))
}

/// The partitions with one trouble each become one finding per trouble.
pub(super) async fn partitions(nats: &Nats) -> Outcome {
    let inspection = match inspection(nats).await {
        Ok(inspection) => inspection,
        Err(outcome) => return outcome,
    };
    let mut troubles = Vec::new();
    for partition in &inspection.partitions {
        match &partition.found {
            None => troubles.push((Trouble::missing(), partition)),
            Some(stream) => troubles.extend(troubles_of(stream).into_iter().map(|trouble| (trouble, partition))),
        }
    }
    let fine = format!("{} partition(s), each with its copies", inspection.partitions.len());
    Outcome::found_or(gathered(&troubles), Id::Log, fine)
}

/// Something about a partition. Partitions with equal troubles share a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    id: Id,
    found: String,
    remedy: String,
}

impl Trouble {
    fn new(id: Id, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { id, found: found.into(), remedy: remedy.into() }
    }

    fn missing() -> Self {
        Self::new(Id::PartitionMissing, "does not exist", "start `huddle persistence` or run `huddle migrate`")
    }
}

fn troubles_of(stream: &StreamFacts) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let Some(unfit) = &stream.unfit {
        let text = unfit.strip_prefix(PREFIX).unwrap_or(unfit);
        let (problem, remedy) = text.split_once("; ").unwrap_or((text, "set the stream as Huddle needs it"));
        troubles.push(Trouble::new(Id::PartitionUnfit, problem, remedy));
    }
    if stream.replicas > 1 && stream.leader.is_none() {
        let remedy = "start NATS servers until more than half of the partition's copies are there";
        troubles.push(Trouble::new(Id::PartitionLeaderless, "no server leads it", remedy));
    }
    if stream.is_fenced {
        let remedy = "wait for the import that does this; if no import runs, start `huddle persistence` or run `huddle \
                      migrate`, and it goes on";
        let found = "refuses new messages while an import moves its positions on";
        troubles.push(Trouble::new(Id::PartitionFenced, found, remedy));
    }
    if !stream.servers_away.is_empty() {
        let found = format!("without {}", stream.servers_away.join(", "));
        troubles.push(Trouble::new(
            Id::PartitionServerAway,
            found,
            "start those servers; a copy that lags catches up by itself",
        ));
    }
    if stream.replicas == 1 {
        let remedy = "in production, run three NATS servers and set `log.replicas = 3` (`nats stream edit --replicas 3` \
                      for a stream that exists)";
        troubles.push(Trouble::new(Id::PartitionOneCopy, "has one copy", remedy));
    }
    troubles
}

fn gathered(troubles: &[(Trouble, &InspectedPartition)]) -> Vec<Finding> {
    let mut groups: Vec<(&Trouble, Vec<u16>)> = Vec::new();
    for (trouble, partition) in troubles {
        let number = partition.partition.number();
        match groups.iter_mut().find(|(known, _)| *known == trouble) {
            Some((_, numbers)) => numbers.push(number),
            None => groups.push((trouble, vec![number])),
        }
    }
    let finding = |(trouble, numbers): (&Trouble, Vec<u16>)| {
        let Trouble { id, found, remedy } = trouble.clone();
        let finding = match id {
            Id::PartitionServerAway | Id::PartitionOneCopy => Finding::warning(id, found, remedy),
            _ => Finding::problem(id, found, remedy),
        };
        finding.about(text::partitions(&numbers))
    };
    groups.into_iter().map(finding).collect()
}

pub(super) async fn size(nats: &Nats) -> Outcome {
    let inspection = match inspection(nats).await {
        Ok(inspection) => inspection,
        Err(outcome) => return outcome,
    };
    let mut fullest = 0;
    let mut findings = Vec::new();
    for partition in &inspection.partitions {
        let Some(StreamFacts { bytes, max_bytes: Some(max), .. }) = &partition.found else { continue };
        let used = percent(*bytes, *max);
        fullest = fullest.max(used);
        let found = format!("{} of {}, {used} %", text::size(*bytes), text::size(*max));
        let remedy = "make sure that persistence keeps up (see `storing`); then raise `log.max_bytes`, or lower \
                      `log.max_age`, in the configuration and with `nats stream edit`";
        let finding = match used {
            FULL_PERCENT.. => Finding::problem(Id::LogFull, found, remedy),
            FILLING_PERCENT.. => Finding::warning(Id::LogFilling, found, remedy),
            _ => continue,
        };
        findings.push(finding.about(text::partitions(&[partition.partition.number()])));
    }
    Outcome::found_or(findings, Id::LogSize, format!("the fullest partition takes {fullest} % of what it may"))
}

/// The inspection, or why there is none.
pub(super) async fn inspection(nats: &Nats) -> Result<Inspection, Outcome> {
    let Some(answer) = nats.answer().await else { return Err(broken_off()) };
    match &*answer {
        Ok(inspection) => Ok(inspection.clone()),
        Err(_) => Err(Outcome::Skipped("NATS cannot be used".to_owned())),
    }
}

fn broken_off() -> Outcome {
    Outcome::Skipped("asking NATS broke off".to_owned())
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_text = source.to_string();
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use huddle_domain::{Partition, Seq};

    use super::*;
    use crate::commands::doctor::finding::Severity;

    fn stream() -> StreamFacts {
        StreamFacts {
            replicas: 3,
            leader: Some("n1".to_owned()),
            servers_away: Vec::new(),
            last_seq: Seq::new(1),
            messages: 1,
            bytes: 1,
            max_bytes: Some(100),
            is_fenced: false,
            unfit: None,
        }
    }

    fn ids(stream: &StreamFacts) -> Vec<Id> {
        troubles_of(stream).iter().map(|trouble| trouble.id).collect()
    }

    #[test]
    fn each_trouble_of_a_partition_is_told() {
        assert_eq!(ids(&stream()), []);
        assert_eq!(ids(&StreamFacts { replicas: 1, leader: None, ..stream() }), [Id::PartitionOneCopy]);
        assert_eq!(ids(&StreamFacts { leader: None, ..stream() }), [Id::PartitionLeaderless]);
        assert_eq!(ids(&StreamFacts { is_fenced: true, ..stream() }), [Id::PartitionFenced]);
        assert_eq!(ids(&StreamFacts { servers_away: vec!["n2".to_owned()], ..stream() }), [Id::PartitionServerAway]);
        let unfit = StreamFacts { unfit: Some(format!("{PREFIX}it is wrong; mend it")), ..stream() };
        let expected = Trouble::new(Id::PartitionUnfit, "it is wrong", "mend it");
        assert_eq!(troubles_of(&unfit), [expected]);
    }

    #[test]
    fn servers_that_sync_late_or_do_not_say_are_told_apart() {
        let judged = |is_production, answer| {
            let monitor = InspectedMonitor { address: "http://n1:8222".to_owned(), answer };
            judge_sync(is_production, &monitor).map_err(|finding| (finding.id, finding.severity))
        };
        let facts = |sync| Ok(MonitorFacts { name: "n1".to_owned(), id: "I".to_owned(), sync });
        let late = || facts(Some(SyncPolicy::Every(Duration::from_mins(2))));
        assert_eq!(judged(true, facts(Some(SyncPolicy::Always))), Ok("n1".to_owned()));
        assert_eq!(judged(true, late()), Err((Id::NatsSyncLate, Severity::Problem)));
        assert_eq!(judged(false, late()), Err((Id::NatsSyncLate, Severity::Warning)));
        assert_eq!(judged(true, facts(None)), Err((Id::NatsMonitorAway, Severity::Warning)));
        assert_eq!(judged(true, Err("refused".to_owned())), Err((Id::NatsMonitorAway, Severity::Warning)));
    }

    #[test]
    fn equal_troubles_of_many_partitions_are_one_finding() {
        let partitions: Vec<_> = (0..3)
            .map(|number| InspectedPartition { partition: Partition::new(number), stream: String::new(), found: None })
            .collect();
        let troubles: Vec<_> = partitions.iter().map(|partition| (Trouble::missing(), partition)).collect();
        let findings = gathered(&troubles);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].subject.as_deref(), Some("partitions 0, 1, 2"));
    }
}
