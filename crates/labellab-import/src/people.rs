//! Owns who is what in a team: LabelLab's project owner, project admins and team members as Huddle's owner, admins and
//! members.

use std::collections::{HashMap, HashSet};

use huddle_domain::{Name, Role, TeamId, UserId};

use crate::{
    message::{team_id, user_id},
    names::clean,
    report::{Reason, Report},
    tables::{MemberRow, People, TeamRow, UserRow},
};

/// The `role` of the one team of a project whose members are the project's admins.
const ADMIN_TEAM_ROLE: &str = "admin";

/// A team as it will be made.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    /// LabelLab's id.
    pub(crate) number: i64,
    pub(crate) id: TeamId,
    pub(crate) name: Name,
    pub(crate) owner: UserId,
    /// The owner first unless the services own the team, then by id; each user once.
    pub(crate) members: Vec<Member>,
}

/// A member as it will be added.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) role: Role,
    pub(crate) name: Option<Name>,
}

/// The teams, ascending by LabelLab's id. What does not fit goes into `report`.
pub(crate) fn arrange(mut people: People, report: &mut Report) -> Vec<Team> {
    let mut rows: Vec<(TeamRow, TeamId)> = Vec::new();
    people.teams.sort_by_key(|row| row.id);
    for row in std::mem::take(&mut people.teams) {
        if rows.last().is_some_and(|(earlier, _)| earlier.id == row.id) {
            report.note(Reason::TeamRepeated, row.id);
        } else if let Some(id) = team_id(row.id) {
            rows.push((row, id));
        } else {
            report.note(Reason::TeamId, row.id);
        }
    }
    let members = members_by_team(&mut people, &rows.iter().map(|(row, _)| row.id).collect(), report);
    let projects = Projects::new(&people, &rows, &members);
    let users = Users::new(people.users);
    let mut named = HashSet::new();
    rows.into_iter()
        .map(|(row, id)| {
            let members = members.get(&row.id).map_or(&[][..], Vec::as_slice);
            let owner = projects.owner(&row, members);
            let listed = list(&row, owner, members, &projects, &users, &mut named, report);
            let (name, changed) = clean(&row.name, row.id);
            if changed {
                report.note(Reason::TeamName, row.id);
            }
            // The id is a valid one: it is a constant of the domain.
            let service = || UserId::parse(UserId::SERVICE).expect("the services' id is an id");
            let owner = owner.and_then(user_id).unwrap_or_else(service);
            Team { number: row.id, id, name, owner, members: listed }
        })
        .collect()
}

/// The rows of each known team, oldest first, each user once.
fn members_by_team(people: &mut People, teams: &HashSet<i64>, report: &mut Report) -> HashMap<i64, Vec<MemberRow>> {
    let mut members: HashMap<i64, Vec<MemberRow>> = HashMap::new();
    let mut seen = HashSet::new();
    people.members.sort_by_key(|row| row.id);
    for row in std::mem::take(&mut people.members) {
        if user_id(row.user).is_none() {
            report.note(Reason::MemberUser, row.id);
        } else if !teams.contains(&row.team) {
            report.note(Reason::MemberTeam, row.id);
        } else if !seen.insert((row.team, row.user)) {
            report.note(Reason::MemberRepeated, row.id);
        } else {
            members.entry(row.team).or_default().push(row);
        }
    }
    members
}

/// The members of one team with role and name.
fn list(
    team: &TeamRow,
    owner: Option<i64>,
    rows: &[MemberRow],
    projects: &Projects,
    users: &Users,
    named: &mut HashSet<i64>,
    report: &mut Report,
) -> Vec<Member> {
    let mut ids: Vec<(i64, Option<i64>)> = rows.iter().map(|row| (row.user, Some(row.id))).collect();
    match owner {
        None => report.note(Reason::TeamOwnerless, team.id),
        Some(owner) if rows.iter().all(|row| row.user != owner) => {
            report.note(Reason::TeamOwnerAdded, team.id);
            ids.push((owner, None));
        }
        Some(_) => {}
    }
    ids.sort_unstable_by_key(|(user, _)| (Some(*user) != owner, *user));
    let member = |(number, row): (i64, Option<i64>)| {
        let user = user_id(number)?;
        let role = match team.project {
            _ if Some(number) == owner => Role::Owner,
            Some(project) if projects.admins.contains(&(project, number)) => Role::Admin,
            _ => Role::Member,
        };
        let name = match users.names.get(&number) {
            Some(username) => {
                let (name, changed) = clean(username, number);
                if changed && named.insert(number) {
                    report.note(Reason::UserName, number);
                }
                Some(name)
            }
            None => {
                if let Some(row) = row {
                    report.note(Reason::MemberUnnamed, row);
                }
                None
            }
        };
        Some(Member { user, role, name })
    };
    ids.into_iter().filter_map(member).collect()
}

/// Who owns and who administers a project.
#[derive(Debug)]
struct Projects {
    owners: HashMap<i64, i64>,
    admins: HashSet<(i64, i64)>,
}

impl Projects {
    fn new(people: &People, teams: &[(TeamRow, TeamId)], members: &HashMap<i64, Vec<MemberRow>>) -> Self {
        let mut owners = HashMap::new();
        let mut admins = HashSet::new();
        for (team, _) in teams {
            let is_admins = team.role.as_deref().is_some_and(|role| role.eq_ignore_ascii_case(ADMIN_TEAM_ROLE));
            let (true, Some(project)) = (is_admins, team.project) else { continue };
            let rows = members.get(&team.id).map_or(&[][..], Vec::as_slice);
            admins.extend(rows.iter().map(|row| (project, row.user)));
            // LabelLab makes a project's owner the first member of its admin team, and they cannot leave.
            if let Some(first) = rows.first() {
                owners.entry(project).or_insert(first.user);
            }
        }
        owners.extend(people.projects.iter().filter(|row| user_id(row.admin).is_some()).map(|row| (row.id, row.admin)));
        Self { owners, admins }
    }

    /// The owner of the team's project, or else its longest-standing member.
    fn owner(&self, team: &TeamRow, members: &[MemberRow]) -> Option<i64> {
        let of_project = team.project.and_then(|project| self.owners.get(&project).copied());
        of_project.or_else(|| members.first().map(|row| row.user))
    }
}

/// The users' names.
#[derive(Debug)]
struct Users {
    names: HashMap<i64, String>,
}

impl Users {
    fn new(rows: Vec<UserRow>) -> Self {
        Self { names: rows.into_iter().map(|row| (row.id, row.username)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::ProjectRow;

    fn team(id: i64, role: &str, project: i64) -> TeamRow {
        TeamRow { id, name: format!("team {id}"), role: Some(role.to_owned()), project: Some(project) }
    }

    fn member(id: i64, team: i64, user: i64) -> MemberRow {
        MemberRow { id, user, team }
    }

    fn user(id: i64, username: &str) -> UserRow {
        UserRow { id, username: username.to_owned(), since: None }
    }

    /// Project 1 belongs to user 10; 11 is its second admin.
    fn people() -> People {
        People {
            teams: vec![team(1, "admin", 1), team(2, "images", 1)],
            members: vec![
                member(1, 1, 10),
                member(2, 2, 12),
                member(3, 1, 11),
                member(4, 2, 11),
                member(5, 2, 12),
                member(6, 9, 12),
                member(7, 2, 0),
                member(8, 2, 99),
            ],
            users: vec![user(10, "ann"), user(11, "bo\u{202e}b"), user(12, "cleo")],
            projects: Vec::new(),
        }
    }

    fn roles(team: &Team) -> Vec<(String, Role, Option<String>)> {
        let name = |member: &Member| member.name.as_ref().map(|name| name.as_str().to_owned());
        team.members.iter().map(|member| (member.user.to_string(), member.role, name(member))).collect()
    }

    #[test]
    fn the_projects_owner_owns_its_teams_and_its_admins_administer_those_they_are_in() {
        let mut report = Report::default();
        let teams = arrange(people(), &mut report);
        let entry = |id: &str, role, name: Option<&str>| (id.to_owned(), role, name.map(str::to_owned));
        let expected = [entry("10", Role::Owner, Some("ann")), entry("11", Role::Admin, Some("bob"))];
        assert_eq!(roles(&teams[0]), expected);
        let expected = [
            entry("10", Role::Owner, Some("ann")),
            entry("11", Role::Admin, Some("bob")),
            entry("12", Role::Member, Some("cleo")),
            entry("99", Role::Member, None),
        ];
        assert_eq!(roles(&teams[1]), expected);
        let found: Vec<_> = report.findings.iter().map(|(reason, finding)| (*reason, finding.ids.clone())).collect();
        assert_eq!(
            found,
            [
                (Reason::TeamOwnerAdded, vec![2]),
                (Reason::MemberUser, vec![7]),
                (Reason::MemberTeam, vec![6]),
                (Reason::MemberRepeated, vec![5]),
                (Reason::MemberUnnamed, vec![8]),
                (Reason::UserName, vec![11]),
            ]
        );
    }

    #[test]
    fn the_project_table_has_the_last_word_about_the_owner() {
        let mut people = people();
        people.projects = vec![ProjectRow { id: 1, admin: 11 }];
        let teams = arrange(people, &mut Report::default());
        assert_eq!(teams[0].owner.as_str(), "11");
        assert_eq!(teams[0].members[1].role, Role::Admin);
    }

    #[test]
    fn without_a_project_owner_the_first_member_owns_and_without_members_the_services_do() {
        let mut report = Report::default();
        let people = People {
            teams: vec![team(5, "images", 7), team(3, "images", 8), team(0, "images", 8), team(5, "again", 7)],
            members: vec![member(2, 5, 30), member(1, 5, 31)],
            ..People::default()
        };
        let teams = arrange(people, &mut report);
        let owners: Vec<_> = teams.iter().map(|team| (team.number, team.owner.as_str().to_owned())).collect();
        assert_eq!(owners, [(3, UserId::SERVICE.to_owned()), (5, "31".to_owned())]);
        assert!(teams[0].members.is_empty());
        assert_eq!(report.findings[&Reason::TeamOwnerless].ids, [3]);
        assert_eq!(report.findings[&Reason::TeamId].ids, [0]);
        assert_eq!(report.findings[&Reason::TeamRepeated].ids, [5]);
    }
}
