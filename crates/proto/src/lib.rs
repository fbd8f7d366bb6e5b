//! The wire formats: code generated from `proto/`, and its conversions to and from the domain.
//!
//! `cargo xtask generate` makes `src/generated`; nothing in there is edited by hand.

mod event_conversion;
mod refusal;

pub use event_conversion::{
    EventError, decode_new_event, encode_new_event, entity_to_wire, mentions_to_wire, tags_from_wire,
};
pub use refusal::{ERROR_CODE_METADATA, Refusal, STORED_SEQ_METADATA};

/// The descriptors of all of `huddle.*`, encoded as a `google.protobuf.FileDescriptorSet`: for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.binpb");

/// `huddle.event`: the entries of a team's log.
pub mod event {
    /// Version 1.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        reason = "generated code"
    )]
    pub mod v1 {
        include!("generated/huddle.event.v1.rs");
        include!("generated/huddle.event.v1.serde.rs");
    }
}

/// `huddle.gateway`: the native WebSocket protocol and the closed set of error codes.
pub mod gateway {
    /// Version 1.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        reason = "generated code"
    )]
    pub mod v1 {
        include!("generated/huddle.gateway.v1.rs");
        include!("generated/huddle.gateway.v1.serde.rs");
    }
}

/// `huddle.history`: reading what is stored.
pub mod history {
    /// Version 1.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        missing_debug_implementations,
        reason = "generated code"
    )]
    pub mod v1 {
        include!("generated/huddle.history.v1.rs");
    }
}

/// `huddle.signal`: what gateways tell each other about a team and nobody keeps.
pub mod signal {
    /// Version 1.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        missing_debug_implementations,
        reason = "generated code"
    )]
    pub mod v1 {
        include!("generated/huddle.signal.v1.rs");
    }
}

/// `huddle.directory`: teams, members and roles.
pub mod directory {
    /// Version 1.
    #[allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        missing_debug_implementations,
        reason = "generated code"
    )]
    pub mod v1 {
        include!("generated/huddle.directory.v1.rs");
    }
}
