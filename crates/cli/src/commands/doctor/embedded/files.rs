//! The directory's files from outside: who can read them, and what kind of file system they are on.

use std::{fs, io, path::Path};

use serde::Deserialize;

use super::{FILE, Instance};
use crate::commands::doctor::{
    check::Outcome,
    disk::{self, FileSystem},
    finding::{Finding, Id},
    secrets::{self, Held, mode},
};

const SECRETS: &str = "secrets.json";
/// What people wrote is in these, as far as they are there.
const DATA_FILES: [&str; 3] = [FILE, "huddle.db-wal", "huddle.db-shm"];
/// What a private file's mode may hold.
const PRIVATE: u32 = 0o600;

/// The secrets that `huddle up` made for itself.
#[derive(Deserialize)]
struct Secrets {
    user_secret: String,
}

pub(super) fn permissions(instance: &Instance) -> Outcome {
    let mut seen = 0;
    let mut findings = Vec::new();
    for name in DATA_FILES {
        let path = instance.directory.join(name);
        let mode = match mode(&path) {
            Ok(mode) => mode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Outcome::Skipped(format!("{} cannot be looked at: {error}", path.display())),
        };
        seen += 1;
        if mode & !PRIVATE != 0 {
            let found = format!("other users of this machine have access to it (mode {mode:03o})");
            findings
                .push(Finding::warning(Id::FileExposed, found, format!("`chmod 600 {}`", path.display())).about(name));
        }
    }
    if seen == 0 {
        return Outcome::Skipped("there is no file".to_owned());
    }
    Outcome::found_or(findings, Id::Permissions, "nobody but the files' owner can read them")
}

/// The configured secrets, and the one that `huddle up` keeps in the directory.
pub(super) fn secrets(instance: &Instance, held: &Held) -> Outcome {
    let mut findings = held.findings();
    let fine = match own_secret(&instance.directory.join(SECRETS)) {
        Ok(None) => format!("{SECRETS} is its owner's alone"),
        Ok(Some(finding)) => {
            findings.push(finding);
            String::new()
        }
        Err(NotThere) if instance.config.auth.secret.is_some() => held.fine(),
        Err(NotThere) => format!("{SECRETS} is made by the first start"),
    };
    Outcome::found_or(findings, Id::Secrets, fine)
}

/// There is no such file.
struct NotThere;

fn own_secret(path: &Path) -> Result<Option<Finding>, NotThere> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| {
        let remedy = "run doctor as the user that runs the server, and give this user the file";
        Finding::problem(Id::SecretDamaged, format!("it cannot be read: {error}"), remedy).about(&name)
    };
    let mode = match mode(path) {
        Ok(mode) => mode,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NotThere),
        Err(error) => return Ok(Some(unreadable(error))),
    };
    if mode & !PRIVATE != 0 {
        let found =
            format!("other users of this machine may have read it (mode {mode:03o}), and `huddle up` refuses it");
        let remedy = format!(
            "remove it: the next start makes new secrets, and all tokens made before end; or, if nobody has read it, \
             `chmod 600 {name}`"
        );
        return Ok(Some(Finding::problem(Id::SecretReadable, found, remedy).about(&name)));
    }
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) => return Ok(Some(unreadable(error))),
    };
    let Ok(secrets) = serde_json::from_slice::<Secrets>(&text) else {
        // The parser's own words may quote the file.
        let remedy = "restore it from a backup; or remove it: the next start makes new secrets, and all tokens made \
                      before end";
        return Ok(Some(Finding::problem(Id::SecretDamaged, "it cannot be understood", remedy).about(&name)));
    };
    if secrets.user_secret.len() < huddle_auth::SECRET_BYTES_MIN || secrets::is_guessable(&secrets.user_secret) {
        return Ok(Some(secrets::guessable(&name)));
    }
    Ok(None)
}

pub(super) fn file_system(instance: &Instance) -> Outcome {
    let remedy = "stop the server, and move the directory to a disk of this machine";
    match disk::file_system(&instance.directory) {
        Ok(FileSystem::Local) => Outcome::ok(Id::FileSystem, "a disk of this machine"),
        Ok(FileSystem::Network(name)) => {
            Finding::problem(Id::FileSystemNetwork, format!("the directory is on {name}"), remedy).into()
        }
        Ok(FileSystem::Fuse) => {
            let found = "the directory is on a file system that a program serves (FUSE)";
            Finding::warning(Id::FileSystemFuse, found, remedy).into()
        }
        Ok(FileSystem::Memory) => Finding::warning(Id::FileSystemMemory, "the directory is in memory", remedy).into(),
        Err(error) => Outcome::Skipped(format!("the directory cannot be looked at: {error}")),
    }
}
