//! Generates `crates/proto/src/generated` from `proto/`: messages, gRPC code, the JSON mapping and the descriptor set.
//!
//! Usage: `huddle-proto-generate <proto dir> <out dir>`. The compiler is written in Rust: no `protoc` is needed.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use prost::Message;

const FILES: &[&str] = &[
    "huddle/event/v1/event.proto",
    "huddle/gateway/v1/error.proto",
    "huddle/gateway/v1/gateway.proto",
    "huddle/history/v1/history.proto",
    "huddle/directory/v1/directory.proto",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(proto_dir), Some(out_dir)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: huddle-proto-generate <proto dir> <out dir>");
    };
    fs::create_dir_all(&out_dir).with_context(|| format!("cannot make {}", out_dir.display()))?;

    let mut compiler = protox::Compiler::new([&proto_dir])?;
    compiler.include_source_info(true).include_imports(true).open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();

    tonic_prost_build::configure()
        .out_dir(&out_dir)
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors.clone())
        .context("cannot generate the messages and services")?;

    // Comments stay out of the set that the binaries embed for gRPC reflection.
    let mut lean = descriptors;
    for file in &mut lean.file {
        file.source_code_info = None;
    }
    let encoded = lean.encode_to_vec();
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .preserve_proto_field_names()
        .ignore_unknown_fields()
        .out_dir(&out_dir)
        .build(&[".huddle.event.v1", ".huddle.gateway.v1"])
        .context("cannot generate the JSON mapping")?;
    fs::write(out_dir.join("descriptors.binpb"), encoded).context("cannot write the descriptor set")?;
    Ok(())
}
