//! The directory service: teams, members and roles for gRPC callers. Every change is an event in the team's log: this
//! service judges and publishes it, persistence makes it true.
//!
//! It reads the store and never writes to it. `proto/huddle/directory/v1` is its specification. Build a [`Server`] from
//! [`Parts`], then [`run`](Server::run) it.
//!
//! Changes of one team are judged one after another, each by what the ones before it left behind. That holds within one
//! process. Of two processes that change one team in the same instant, each may judge by what was before the other's
//! change: two owners who remove each other through two processes can leave a team without an owner, which the service
//! token can mend.
#![deny(missing_docs)]

mod add_member;
mod archive_team;
mod authorise;
mod change;
mod change_member_role;
mod config;
mod convert;
mod create_team;
mod directory;
mod get_membership;
mod get_memberships;
mod get_team;
mod get_user_names;
mod list_members;
mod list_user_teams;
mod remove_member;
mod rename_team;
mod server;
mod service;
mod turns;

pub use config::Config;
pub use directory::CALL_TIME_MAX;
pub use huddle_grpc::{BindError, ServeError, StartError};
pub use server::{Parts, Server};
