//! The comments of protobuf definitions, by the full name of what they stand above.

use std::collections::HashMap;

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Field numbers within descriptors, of which the paths of source locations are made (`descriptor.proto`).
mod path {
    pub(super) const FILE_MESSAGE: i32 = 4;
    pub(super) const FILE_ENUM: i32 = 5;
    pub(super) const MESSAGE_FIELD: i32 = 2;
    pub(super) const MESSAGE_ONEOF: i32 = 8;
    pub(super) const ENUM_VALUE: i32 = 2;
}

/// Full name, such as `huddle.gateway.v1.Send.team`, → its comment with the line breaks taken out.
#[derive(Debug, Default)]
pub(crate) struct SourceComments(HashMap<String, String>);

impl SourceComments {
    /// Collects the comments of all messages, fields, oneofs, enums and their values. Nested types are not looked at:
    /// Huddle has none.
    pub(crate) fn of(files: &FileDescriptorSet) -> Self {
        let mut comments = Self::default();
        files.file.iter().for_each(|file| comments.add_file(file));
        comments
    }

    /// The comment above `name`; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn add_file(&mut self, file: &FileDescriptorProto) {
        let by_path: HashMap<&[i32], String> = file
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .filter_map(|location| Some((location.path.as_slice(), one_line(location.leading_comments.as_deref()?))))
            .collect();
        for (index, message) in (0..).zip(&file.message_type) {
            self.add_message(&by_path, index, message, file.package());
        }
        for (index, one) in (0..).zip(&file.enum_type) {
            self.add_enum(&by_path, index, one, file.package());
        }
    }

    fn add_message(&mut self, by_path: &HashMap<&[i32], String>, index: i32, message: &DescriptorProto, package: &str) {
        let name = format!("{package}.{}", message.name());
        let own = [path::FILE_MESSAGE, index];
        let fields = (0..).zip(&message.field).map(|(at, field)| (path::MESSAGE_FIELD, at, field.name()));
        let oneofs = (0..).zip(&message.oneof_decl).map(|(at, oneof)| (path::MESSAGE_ONEOF, at, oneof.name()));
        for (kind, at, member) in fields.chain(oneofs) {
            self.add(by_path, &[own[0], own[1], kind, at], format!("{name}.{member}"));
        }
        self.add(by_path, &own, name);
    }

    fn add_enum(&mut self, by_path: &HashMap<&[i32], String>, index: i32, one: &EnumDescriptorProto, package: &str) {
        let name = format!("{package}.{}", one.name());
        for (at, value) in (0..).zip(&one.value) {
            let value_path = [path::FILE_ENUM, index, path::ENUM_VALUE, at];
            self.add(by_path, &value_path, format!("{name}.{}", value.name()));
        }
        self.add(by_path, &[path::FILE_ENUM, index], name);
    }

    fn add(&mut self, by_path: &HashMap<&[i32], String>, path: &[i32], name: String) {
        if let Some(comment) = by_path.get(path) {
            self.0.insert(name, comment.clone());
        }
    }
}

/// Lines within a paragraph are joined; an empty line ends a paragraph, which one space stands for.
fn one_line(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}
