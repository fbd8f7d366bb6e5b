//! Owns who is in a fleet: names, teams, gateways to begin with.

use std::collections::BTreeMap;

use huddle_client::Encoding;

use crate::{
    Transport,
    faults::{board::Place, front::Front},
};

/// Teams with their members, the owner first.
pub type Teams = BTreeMap<String, Vec<String>>;

/// One client in so many follows from now on only, instead of from a team's beginning.
const ONE_IN_WITHOUT_CURSOR: usize = 5;

/// How much each client sends that is no member: enough to be refused now and then.
const OUTSIDE_PER_SECOND: f64 = 2.0;

/// Who is in a fleet.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Teams.
    pub teams: usize,
    /// Clients of the native protocol, half of them with each encoding; each follows two teams and sends to them.
    pub native: usize,
    /// Clients of Socket.IO, of several versions and transports; each follows two teams and sends to them.
    pub socketio: usize,
    /// Clients that follow a team over gRPC, a team each.
    pub followers: usize,
    /// Clients that read events over gRPC, of all teams.
    pub readers: usize,
    /// Native clients that are added to a team and removed from it, again and again.
    pub guests: usize,
    /// Native clients that are removed from their team for good as soon as something of theirs was accepted, and go on.
    pub leavers: usize,
    /// Native clients that are no members of the team that they ask for and send to.
    pub outsiders: usize,
    /// How many messages all members send together, per second.
    pub messages_per_second: f64,
    /// What stands between the clients and the gateways.
    pub front: Front,
}

impl Default for FleetOptions {
    /// About 20 clients in 4 teams that send 100 messages per second.
    fn default() -> Self {
        Self {
            teams: 4,
            native: 12,
            socketio: 4,
            followers: 2,
            readers: 2,
            guests: 1,
            leavers: 1,
            outsiders: 1,
            messages_per_second: 100.0,
            front: Front::Direct,
        }
    }
}

/// A client.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Its name in the recording, which is its user too.
    pub(super) name: String,
    pub(super) teams: Vec<String>,
    pub(super) messages_per_second: f64,
    /// The gateway that it tries first.
    pub(super) gateway: usize,
    pub(super) seed: u64,
    pub(super) kind: Kind,
    pub(super) is_guest: bool,
    /// Whether it is no member, but perhaps at first.
    pub(super) is_outside: bool,
    /// Whether it begins with what happens from now on.
    pub(super) from_now: bool,
}

/// What a client is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Native(Encoding),
    /// The version of `socket.io-client`, and how it talks.
    SocketIo(u8, Transport),
    Grpc,
}

impl Plan {
    pub(super) fn place(&self) -> Place {
        // Nobody outside comes to have anything: there is nothing to wait for.
        let teams = if self.is_outside { Vec::new() } else { self.teams.clone() };
        let sends = !matches!(self.kind, Kind::Grpc);
        Place { teams, is_guest: self.is_guest, sends, is_outside: self.is_outside }
    }
}

/// Adds and removes guests, and removes who leaves.
#[derive(Debug, Clone)]
pub(super) struct AdminPlan {
    pub(super) name: String,
    /// Team and guest.
    pub(super) guests: Vec<(String, String)>,
    /// Team and who is removed from it for good.
    pub(super) leavers: Vec<(String, String)>,
    pub(super) seed: u64,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) members: Teams,
    pub(super) natives: Vec<Plan>,
    pub(super) socketio: Vec<Plan>,
    pub(super) followers: Vec<Plan>,
    pub(super) readers: Vec<Plan>,
    pub(super) admin: Option<AdminPlan>,
}

impl Cast {
    pub(super) fn of(options: &FleetOptions, segment: u32, seed: u64) -> Self {
        let teams: Vec<String> = (0..options.teams).map(|index| format!("team-{segment}-{index}")).collect();
        let senders = options.native + options.socketio + options.guests;
        #[expect(clippy::cast_precision_loss, reason = "there are few clients")]
        let each_per_second = options.messages_per_second / senders.max(1) as f64;
        let plan = |name: String, index: usize, kind: Kind, teams: Vec<String>| Plan {
            // FNV-1a: the same for the same name on every machine.
            seed: name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }),
            name,
            teams,
            messages_per_second: each_per_second,
            gateway: index,
            kind,
            is_guest: false,
            is_outside: false,
            from_now: index % ONE_IN_WITHOUT_CURSOR == ONE_IN_WITHOUT_CURSOR - 1,
        };
        let two = |index: usize| {
            let other = (index + 1 + index / options.teams) % options.teams;
            let mut two = vec![teams[index % options.teams].clone()];
            if other != index % options.teams {
                two.push(teams[other].clone());
            }
            two
        };
        let native = |index: usize| {
            let encoding = if (index / 2).is_multiple_of(2) { Encoding::Proto } else { Encoding::Json };
            plan(format!("native-{index}"), index, Kind::Native(encoding), two(index))
        };
        let guest = |index: usize| {
            let team = teams[index % options.teams].clone();
            let plan = plan(format!("guest-{index}"), index, Kind::Native(Encoding::Json), vec![team]);
            Plan { is_guest: true, from_now: false, ..plan }
        };
        // The names begin as those of guests: nobody waits for them while the run goes on.
        let outside = |name: String, index: usize| {
            let team = teams[(index + 1) % options.teams].clone();
            let plan = plan(name, index, Kind::Native(Encoding::Proto), vec![team]);
            Plan { is_guest: true, is_outside: true, messages_per_second: OUTSIDE_PER_SECOND, from_now: false, ..plan }
        };
        let leavers: Vec<Plan> =
            (0..options.leavers).map(|index| outside(format!("guest-leaver-{index}"), index)).collect();
        let outsiders = (0..options.outsiders).map(|index| outside(format!("guest-outsider-{index}"), index + 1));
        let outsiders: Vec<Plan> = outsiders.collect();
        let socketio = |index: usize| {
            let kinds = [
                (4, Transport::Polling),
                (4, Transport::WebSocket),
                (2, Transport::Polling),
                (2, Transport::WebSocket),
                (4, Transport::Upgrade),
            ];
            let (version, transport) = kinds[index % kinds.len()];
            // Begins with 0 for each team: without cursors it would wait a second for them.
            let plan = plan(format!("socketio-{index}"), index, Kind::SocketIo(version, transport), two(index + 1));
            Plan { from_now: false, ..plan }
        };
        let follower = |index: usize| {
            let team = teams[index % options.teams].clone();
            Plan { from_now: false, ..plan(format!("follower-{index}"), index, Kind::Grpc, vec![team]) }
        };
        let reader = |index: usize| plan(format!("reader-{index}"), index, Kind::Grpc, teams.clone());
        let natives: Vec<Plan> = (0..options.native).map(native).chain((0..options.guests).map(guest)).collect();
        let socketio: Vec<Plan> = (0..options.socketio).map(socketio).collect();
        let followers: Vec<Plan> = (0..options.followers).map(follower).collect();
        let readers: Vec<Plan> = (0..options.readers).map(reader).collect();
        let places = |plan: &Plan| {
            let places = plan.teams.iter().map(|team| (team.clone(), plan.name.clone()));
            places.collect::<Vec<(String, String)>>()
        };
        let guests: Vec<_> = natives.iter().filter(|plan| plan.is_guest).flat_map(places).collect();
        let leaving: Vec<_> = leavers.iter().flat_map(places).collect();
        let has_work = !guests.is_empty() || !leaving.is_empty();
        let admin = has_work.then(|| AdminPlan { name: "admin".to_owned(), guests, leavers: leaving, seed });

        let mut members: Teams = teams.iter().map(|team| (team.clone(), vec!["owner".to_owned()])).collect();
        for plan in natives.iter().chain(&leavers).chain(&socketio).chain(&followers).chain(&readers) {
            for team in &plan.teams {
                members.entry(team.clone()).or_default().push(plan.name.clone());
            }
        }
        let natives = [natives, leavers, outsiders].concat();
        Self { members, natives, socketio, followers, readers, admin }
    }
}

/// A gateway's name and where clients reach it.
#[derive(Debug, Clone)]
pub(super) struct GatewayAddress {
    pub(super) name: String,
    pub(super) ws: String,
    pub(super) http: String,
}
