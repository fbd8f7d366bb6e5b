//! The reference page of the native protocol: a hand-written introduction, then tables from the definitions.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use crate::source_comments::SourceComments;

const GATEWAY: &str = "huddle.gateway.v1";
const EVENT: &str = "huddle.event.v1";
/// Where the part about events is linked to.
const EVENTS_ANCHOR: &str = "a-teams-events";
/// The server frame that holds an event.
const EVENT_FRAME: &str = "event";
/// Begins the sentence about retries in the comment of every error code.
const RETRY_MARK: &str = "Retry: ";

/// Returns the page: `introduction`, then what `files` say.
///
/// # Errors
/// When a message or enum that the page is made of is not among the definitions, or lacks a comment.
pub(crate) fn page(files: &FileDescriptorSet, introduction: &str) -> Result<String> {
    let page = Page { files, comments: SourceComments::of(files) };
    let mut text = String::from(
        "<!-- Made by `cargo xtask generate` from protocol.intro.md and proto/huddle. Edit those. -->\n\n",
    );
    text.push_str(introduction.trim_end());
    text.push_str("\n\n");
    page.frames(&mut text, "Frames from the client", "ClientFrame", "request")?;
    page.frames(&mut text, "Frames from the gateway", "ServerFrame", "content")?;
    page.events(&mut text)?;
    page.error_codes(&mut text)?;
    page.close_codes(&mut text)?;
    Ok(text.trim_end().to_owned() + "\n")
}

struct Page<'a> {
    files: &'a FileDescriptorSet,
    comments: SourceComments,
}

impl Page<'_> {
    /// A frame's own fields, then one part per kind of frame.
    fn frames(&self, text: &mut String, title: &str, frame: &str, oneof: &str) -> Result<()> {
        let name = format!("{GATEWAY}.{frame}");
        let message = self.message(&name)?;
        writeln!(text, "## {title}\n\n`{name}`: {}\n", self.comment(&name)?)?;
        self.field_table(text, &name, message.field.iter().filter(|field| field.oneof_index.is_none()))?;
        writeln!(text, "And one of these (the oneof `{oneof}`), by its name:\n")?;
        writeln!(text, "| Name | Number | Meaning |\n|---|---|---|")?;
        let kinds: Vec<_> = message.field.iter().filter(|field| field.oneof_index.is_some()).collect();
        for kind in &kinds {
            let meaning = self.comment(&format!("{name}.{}", kind.name()))?;
            let anchor = if kind.name() == EVENT_FRAME { EVENTS_ANCHOR } else { kind.name() };
            writeln!(text, "| [`{}`](#{anchor}) | {} | {} |", kind.name(), kind.number(), cell(meaning))?;
        }
        text.push('\n');
        // An event has a part of its own, with its kinds.
        for kind in kinds.into_iter().filter(|kind| kind.name() != EVENT_FRAME) {
            self.message_part(text, kind.name(), kind)?;
        }
        Ok(())
    }

    fn events(&self, text: &mut String) -> Result<()> {
        let name = format!("{EVENT}.Event");
        let message = self.message(&name)?;
        writeln!(text, "## A team's events\n\n`{name}`: {}\n", self.comment(&name)?)?;
        self.field_table(text, &name, message.field.iter().filter(|field| field.oneof_index.is_none()))?;
        writeln!(text, "And one of these (the oneof `kind`), by its name:\n")?;
        writeln!(text, "| Name | Number | Meaning | Fields |\n|---|---|---|---|")?;
        for kind in message.field.iter().filter(|field| field.oneof_index.is_some()) {
            let kind_name = type_name(kind);
            let mut fields = Vec::new();
            for field in &self.message(kind_name)?.field {
                let meaning = self.comment(&format!("{kind_name}.{}", field.name()))?;
                fields.push(format!("`{}` ({}): {}", field.name(), type_text(field), cell(meaning)));
            }
            let meaning = cell(self.comment(kind_name)?);
            writeln!(text, "| `{}` | {} | {meaning} | {} |", kind.name(), kind.number(), fields.join("<br>"))?;
        }
        let entity = format!("{EVENT}.Entity");
        writeln!(text, "\n### Entity\n\n{}\n", self.comment(&entity)?)?;
        self.field_table(text, &entity, self.message(&entity)?.field.iter())?;
        let role = format!("{EVENT}.Role");
        writeln!(text, "### Role\n\n{}\n", self.comment(&role)?)?;
        writeln!(text, "| Name | Number | Meaning |\n|---|---|---|")?;
        for value in &self.enumeration(&role)?.value {
            let meaning = cell(self.comment(&format!("{role}.{}", value.name()))?);
            writeln!(text, "| `{}` | {} | {meaning} |", value.name(), value.number())?;
        }
        text.push('\n');
        Ok(())
    }

    fn error_codes(&self, text: &mut String) -> Result<()> {
        let name = format!("{GATEWAY}.ErrorCode");
        writeln!(text, "## Error codes\n\n{}\n", self.comment(&name)?)?;
        writeln!(text, "| Name | Number | Meaning | Retry |\n|---|---|---|---|")?;
        for value in &self.enumeration(&name)?.value {
            let comment = self.comment(&format!("{name}.{}", value.name()))?;
            let (meaning, retry) = comment.split_once(RETRY_MARK).unwrap_or((comment, "–"));
            let (meaning, retry) = (cell(meaning.trim_end()), cell(retry.trim_end_matches('.')));
            writeln!(text, "| `{}` | {} | {meaning} | {retry} |", value.name(), value.number())?;
        }
        text.push('\n');
        Ok(())
    }

    fn close_codes(&self, text: &mut String) -> Result<()> {
        let name = format!("{GATEWAY}.CloseCode");
        writeln!(text, "## Close codes\n\n{}\n", self.comment(&name)?)?;
        writeln!(text, "| Code | Name | Meaning |\n|---|---|---|")?;
        for value in self.enumeration(&name)?.value.iter().filter(|value| value.number() != 0) {
            let meaning = cell(self.comment(&format!("{name}.{}", value.name()))?);
            writeln!(text, "| {} | `{}` | {meaning} |", value.number(), value.name())?;
        }
        Ok(())
    }

    /// What the frame called `title` holds.
    fn message_part(&self, text: &mut String, title: &str, frame: &FieldDescriptorProto) -> Result<()> {
        let name = type_name(frame);
        let message = self.message(name)?;
        writeln!(text, "### {title}\n\n{}\n", self.comment(name)?)?;
        if message.field.is_empty() {
            writeln!(text, "It has no fields.\n")?;
            return Ok(());
        }
        self.field_table(text, name, message.field.iter())
    }

    fn field_table<'f>(
        &self,
        text: &mut String,
        message: &str,
        fields: impl Iterator<Item = &'f FieldDescriptorProto>,
    ) -> Result<()> {
        writeln!(text, "| Field | Number | Type | Meaning |\n|---|---|---|---|")?;
        for field in fields {
            let meaning = cell(self.comment(&format!("{message}.{}", field.name()))?);
            writeln!(text, "| `{}` | {} | {} | {meaning} |", field.name(), field.number(), type_text(field))?;
        }
        text.push('\n');
        Ok(())
    }

    fn comment(&self, name: &str) -> Result<&str> {
        let comment = self.comments.get(name);
        anyhow::ensure!(!comment.is_empty(), "{name} has no comment");
        Ok(comment)
    }

    fn message(&self, name: &str) -> Result<&DescriptorProto> {
        let files = self.files.file.iter();
        let mut all = files.flat_map(|file| file.message_type.iter().map(move |message| (file.package(), message)));
        let found = all.find(|(package, message)| is_named(name, package, message.name()));
        found.map(|(_, message)| message).with_context(|| format!("there is no message {name}"))
    }

    fn enumeration(&self, name: &str) -> Result<&EnumDescriptorProto> {
        let files = self.files.file.iter();
        let mut all = files.flat_map(|file| file.enum_type.iter().map(move |one| (file.package(), one)));
        let found = all.find(|(package, one)| is_named(name, package, one.name()));
        found.map(|(_, one)| one).with_context(|| format!("there is no enum {name}"))
    }
}

fn is_named(name: &str, package: &str, own: &str) -> bool {
    name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) == Some(own)
}

/// The full name of a field's message or enum; the compiler puts a dot before it.
fn type_name(field: &FieldDescriptorProto) -> &str {
    field.type_name().trim_start_matches('.')
}

fn type_text(field: &FieldDescriptorProto) -> String {
    let own = type_name(field);
    let short = own.rsplit('.').next().unwrap_or(own);
    let mut text = match field.r#type() {
        Type::String => "string".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Uint32 => "uint32".to_owned(),
        Type::Uint64 => "uint64".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Enum if short == "ErrorCode" => "[ErrorCode](#error-codes)".to_owned(),
        Type::Message if short == "Event" => format!("[Event](#{EVENTS_ANCHOR})"),
        Type::Enum | Type::Message => format!("[{short}](#{})", short.to_lowercase()),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    if field.proto3_optional() {
        text.push_str(", optional");
    }
    if field.label() == Label::Repeated {
        text.push_str(", repeated");
    }
    text
}

/// A text within a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
