//! Generates from `proto/` what is committed: `crates/proto/src/generated` (messages, gRPC code, the JSON mapping and the
//! descriptor set) and the reference page of the native protocol.
//!
//! Usage: `huddle-proto-generate <proto dir> <code dir> <introduction> <page>`. The introduction is read and the page
//! written. The compiler is written in Rust: no `protoc` is needed.

mod protocol_page;
mod source_comments;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use prost::Message;

const FILES: &[&str] = &[
    "huddle/event/v1/event.proto",
    "huddle/gateway/v1/error.proto",
    "huddle/gateway/v1/gateway.proto",
    "huddle/history/v1/history.proto",
    "huddle/directory/v1/directory.proto",
    "huddle/signal/v1/signal.proto",
];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let [Some(proto_dir), Some(out_dir), Some(introduction), Some(page)] = [(); 4].map(|()| arguments.next()) else {
        anyhow::bail!("usage: huddle-proto-generate <proto dir> <code dir> <introduction> <page>");
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

    let text = fs::read_to_string(&introduction).with_context(|| format!("cannot read {}", introduction.display()))?;
    let text = protocol_page::page(&descriptors, &text).context("cannot make the page of the protocol")?;
    fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;

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
