//! `huddle tail`: prints a team's messages as they come.

use std::io::{self, Write as _};

use anyhow::{Context as _, anyhow};
use huddle_client::{Followed, Follower};
use huddle_domain::{Event, EventKind, Seq, TeamId};
use huddle_proto::event::v1 as wire;

use super::connection::ConnectionArgs;
use crate::{
    config::ConfigArgs,
    failure::Failure,
    terminal::{escaped, escaped_json, time_text},
};

/// Print a team's messages live; resumes by itself and misses nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints time, sender and text, one message a line; control characters are shown as escapes. What happens to the
connection is told on standard error.

Examples:
  huddle tail --team demo --token \"$TOKEN\"                    from now on
  huddle tail --team demo --token \"$TOKEN\" --after 0           from the beginning
  huddle tail --team demo --after 1000042 --count 10 --json     the next ten after a position, as JSON")]
pub(crate) struct Args {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The team.
    #[arg(long)]
    team: TeamId,
    /// Begin after this position; 0 is the beginning. Default: only what happens from now on.
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// End after this many lines.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Also print members that come and go, renames and the like.
    #[arg(long)]
    events: bool,
    /// Print each event as one JSON object (huddle.event.v1.Event).
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    config.init_quiet_telemetry()?;
    let team = args.team;
    let mut follower = Follower::new(args.connection.options()?, team.clone(), args.after.map(Seq::new));
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        match follower.next().await.map_err(|error| Failure::failed(anyhow!(escaped(&error.to_string()))))? {
            Followed::Event(event) => {
                if !args.events && !matches!(event.kind, EventKind::Posted { .. }) {
                    continue;
                }
                let line = if args.json { json_of(&event)? } else { line_of(&event) };
                match writeln!(io::stdout().lock(), "{line}") {
                    // Whoever read the output has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.context("cannot write to standard output")?,
                }
                left -= 1;
            }
            Followed::UnknownEvent { seq } => {
                eprintln!("huddle: event {seq} is of a kind that this version does not know");
            }
            Followed::Connected { last_seq } => eprintln!("huddle: following {team} (its last event is {last_seq})"),
            Followed::Disconnected { reason, retry_in } => {
                eprintln!("huddle: {}; reconnecting in {:.1} s", escaped(&reason), retry_in.as_secs_f32());
            }
            Followed::TokenExpiring { time } => eprintln!("huddle: the token expires at {}", time_text(time)),
            Followed::CaughtUp { .. } => {}
        }
    }
    Ok(())
}

fn json_of(event: &Event) -> Result<String, Failure> {
    let json = serde_json::to_string(&wire::Event::from(event)).context("cannot write an event as JSON")?;
    Ok(escaped_json(&json))
}

fn line_of(event: &Event) -> String {
    let sender = &event.sender;
    let what = match &event.kind {
        EventKind::Posted { body, .. } => format!("{sender}: {}", escaped(body.as_str())),
        EventKind::TeamCreated { name, owner } => {
            format!("* {sender} created the team \"{}\", owned by {owner}", escaped(name.as_str()))
        }
        EventKind::TeamRenamed { name } => format!("* {sender} renamed the team to \"{}\"", escaped(name.as_str())),
        EventKind::TeamArchived => format!("* {sender} archived the team"),
        EventKind::MemberAdded { user, role, .. } => format!("* {sender} added {user} as {role}"),
        EventKind::MemberRemoved { user } => format!("* {sender} removed {user}"),
        EventKind::MemberRoleChanged { user, role } => format!("* {sender} made {user} {role}"),
    };
    format!("{}  {what}", time_text(event.time))
}

#[cfg(test)]
mod tests {
    use huddle_domain::{Body, ClientId, UnixMillis, UserId};

    use super::*;

    #[test]
    fn a_line_says_when_who_and_what_and_stays_one_line() {
        let event = Event {
            team: TeamId::parse("demo").unwrap(),
            seq: Seq::new(7),
            prev_seq: Seq::new(6),
            time: UnixMillis(0),
            sender: UserId::parse("alice").unwrap(),
            client_id: ClientId::parse("c").unwrap(),
            kind: EventKind::posted(Body::parse("hi\nbob: I agree\u{1b}[2J").unwrap()),
        };
        assert_eq!(line_of(&event), "1970-01-01 00:00:00Z  alice: hi\\nbob: I agree\\u{1b}[2J");
        let json: serde_json::Value = serde_json::from_str(&json_of(&event).unwrap()).unwrap();
        assert_eq!(json["posted"]["body"], "hi\nbob: I agree\u{1b}[2J");
    }
}
