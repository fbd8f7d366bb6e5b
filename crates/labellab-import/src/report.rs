//! Owns the account of what an import carries over and what it does not.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// Ids that a finding lists. All are counted.
const IDS_LISTED_MAX: usize = 100_000;

/// Ids that the text of a [`Treatment::Changed`] finding shows. Those of what is not imported are all there.
const CHANGED_IDS_SHOWN_MAX: usize = 20;

/// What is known of LabelLab's data before any of it is imported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The database or the directory; holds no credentials.
    pub place: String,
    /// Teams that will be imported.
    pub teams: u64,
    /// Messages that will be imported.
    pub messages: u64,
    /// Memberships that will be imported, owners included.
    pub members: u64,
    /// What is not imported as it stands there.
    pub findings: BTreeMap<Reason, Finding>,
}

/// The rows that something applies to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many.
    pub count: u64,
    /// Their ids in the table that [`Reason::table`] names, ascending: of those that were read first, at most 100,000.
    pub ids: Vec<i64>,
}

/// What becomes of a row that is not imported as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// It is not imported.
    LeftOut,
    /// It is imported with a change.
    Changed,
}

/// Why something is not imported as it stands. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The message's id is 0 or below: no position.
    MessageId,
    /// Another message has the id (CSV only): the first one counts.
    MessageRepeated,
    /// There is no team of the message's `team_id`.
    MessageTeam,
    /// The message's `user_id` is 0 or below.
    MessageSender,
    /// The message's timestamp is missing or is none.
    MessageTime,
    /// The message's body is empty.
    BodyEmpty,
    /// The message's body is longer than Huddle takes.
    BodyTooLong,
    /// The message's body holds a NUL.
    BodyNul,
    /// The type of what the message points to is none that Huddle takes; the message comes without it.
    Entity,
    /// The team's id is 0 or below.
    TeamId,
    /// Another team has the id (CSV only): the first one counts.
    TeamRepeated,
    /// The team's name is none that Huddle takes: it is cleaned, or the id takes its place.
    TeamName,
    /// The team's owner is no member of it in LabelLab: the owner becomes one.
    TeamOwnerAdded,
    /// Nobody is known who could own the team: the services do.
    TeamOwnerless,
    /// The member's `user_id` is 0 or below.
    MemberUser,
    /// There is no team of the member's `team_id`.
    MemberTeam,
    /// The user is a member of the team already.
    MemberRepeated,
    /// There is no user of the member's `user_id`: the member comes without a name.
    MemberUnnamed,
    /// The user's name is none that Huddle takes: it is cleaned, or the id takes its place.
    UserName,
}

impl Reason {
    /// What becomes of the row.
    pub const fn treatment(self) -> Treatment {
        match self {
            Self::MessageId
            | Self::MessageRepeated
            | Self::MessageTeam
            | Self::MessageSender
            | Self::MessageTime
            | Self::BodyEmpty
            | Self::BodyTooLong
            | Self::BodyNul
            | Self::TeamId
            | Self::TeamRepeated
            | Self::MemberUser
            | Self::MemberTeam
            | Self::MemberRepeated => Treatment::LeftOut,
            Self::Entity
            | Self::TeamName
            | Self::TeamOwnerAdded
            | Self::TeamOwnerless
            | Self::MemberUnnamed
            | Self::UserName => Treatment::Changed,
        }
    }

    /// The table whose ids a finding lists.
    pub const fn table(self) -> &'static str {
        match self {
            Self::MessageId
            | Self::MessageRepeated
            | Self::MessageTeam
            | Self::MessageSender
            | Self::MessageTime
            | Self::BodyEmpty
            | Self::BodyTooLong
            | Self::BodyNul
            | Self::Entity => "message",
            Self::TeamId | Self::TeamRepeated | Self::TeamName | Self::TeamOwnerAdded | Self::TeamOwnerless => "team",
            Self::MemberUser | Self::MemberTeam | Self::MemberRepeated | Self::MemberUnnamed => "projectmember",
            Self::UserName => "user",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessageId | Self::TeamId => "the id is 0 or below",
            Self::MessageRepeated | Self::TeamRepeated => "an earlier row has the same id",
            Self::MessageTeam | Self::MemberTeam => "there is no such team",
            Self::MessageSender | Self::MemberUser => "the user's id is 0 or below",
            Self::MessageTime => "the timestamp is missing or cannot be read",
            Self::BodyEmpty => "the body is empty",
            Self::BodyTooLong => "the body is longer than 4,000 characters",
            Self::BodyNul => "the body holds a NUL character",
            Self::Entity => "the type of what it points to is none that Huddle takes; the message comes without it",
            Self::TeamName | Self::UserName => "the name is cleaned, or replaced by the id",
            Self::TeamOwnerAdded => "the project's owner becomes a member",
            Self::TeamOwnerless => "no owner is known; the services own the team",
            Self::MemberRepeated => "the user is a member already",
            Self::MemberUnnamed => "there is no such user; the member comes without a name",
        })
    }
}

impl Report {
    pub(crate) fn note(&mut self, reason: Reason, id: i64) {
        let finding = self.findings.entry(reason).or_default();
        finding.count += 1;
        if finding.ids.len() < IDS_LISTED_MAX {
            finding.ids.push(id);
        }
    }

    /// Brings the ids into order: a file may hold its rows in any.
    pub(crate) fn sort(&mut self) {
        for finding in self.findings.values_mut() {
            finding.ids.sort_unstable();
        }
    }

    /// How many rows are not imported.
    pub fn left_out(&self) -> u64 {
        let left_out = self.findings.iter().filter(|(reason, _)| reason.treatment() == Treatment::LeftOut);
        left_out.map(|(_, finding)| finding.count).sum()
    }
}

/// Lines for people: the counts, then each finding with its ids.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, teams, messages, members, findings } = self;
        writeln!(f, "{place}: {messages} messages and {members} members in {teams} teams")?;
        for (title, treatment) in [("not imported", Treatment::LeftOut), ("imported with a change", Treatment::Changed)]
        {
            for (reason, finding) in findings.iter().filter(|(reason, _)| reason.treatment() == treatment) {
                write!(f, "{title}: {} of {}: {reason}", finding.count, reason.table())?;
                let shown = if treatment == Treatment::LeftOut { IDS_LISTED_MAX } else { CHANGED_IDS_SHOWN_MAX };
                write_ids(f, finding, shown)?;
            }
        }
        Ok(())
    }
}

fn write_ids(f: &mut fmt::Formatter<'_>, finding: &Finding, shown: usize) -> fmt::Result {
    let ids: Vec<_> = finding.ids.iter().take(shown).map(i64::to_string).collect();
    let rest = match finding.count - ids.len() as u64 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    writeln!(f, " (id {}{rest})", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_by_reason_and_lists_the_ids() {
        let mut report = Report { place: "here".to_owned(), teams: 1, messages: 2, members: 3, ..Report::default() };
        report.note(Reason::Entity, 4);
        report.note(Reason::BodyEmpty, 7);
        report.note(Reason::BodyEmpty, 9);
        assert_eq!(report.left_out(), 2);
        assert_eq!(
            report.to_string(),
            "here: 2 messages and 3 members in 1 teams\n\
             not imported: 2 of message: the body is empty (id 7, 9)\n\
             imported with a change: 1 of message: the type of what it points to is none that Huddle takes; the message \
             comes without it (id 4)\n"
        );
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let mut report = Report::default();
        for id in 1..=100_002 {
            report.note(Reason::BodyEmpty, id);
            report.note(Reason::Entity, id);
        }
        let finding = &report.findings[&Reason::BodyEmpty];
        assert_eq!((finding.count, finding.ids.len()), (100_002, 100_000));
        let text = report.to_string();
        assert!(text.contains(" 100000, and 2 more)\n"));
        assert!(text.ends_with(" 20, and 99982 more)\n"));
    }
}
