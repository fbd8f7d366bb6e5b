//! The list of revoked tokens, where one is configured: whether a service can read it, and who can change it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use huddle_service::revoked;

use super::{
    check::{Check, Outcome},
    finding::{Finding, Id},
};
use crate::config::Config;

/// The right to write of the group and of others.
const OTHERS_WRITE: u32 = 0o022;

/// Nothing where no list is configured.
pub(crate) fn check(config: &Config) -> Option<Check> {
    let path = config.auth.revoked_file.clone()?;
    Some(Check::blocking(Id::RevokedTokens, move || look(&path)))
}

fn look(path: &Path) -> Outcome {
    let found = match revoked::read(path) {
        Ok(ids) => format!("{} token(s) are refused before they expire", ids.len()),
        Err(error) => {
            let text = error.to_string();
            let remedy = "make it a list of token ids (`jti`), one a line, which the services' user can read; an empty file \
                          revokes nothing";
            return Finding::problem(Id::RevokedUnreadable, text, remedy).about("`auth.revoked_file`").into();
        }
    };
    let findings = writable_by_others(path).into_iter().collect();
    Outcome::found_or(findings, Id::RevokedTokens, found)
}

fn writable_by_others(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.mode();
    (mode & OTHERS_WRITE != 0).then(|| {
        let found = format!("users other than its owner can write it (mode {:o})", mode & 0o777);
        let remedy = format!("chmod 644 {}", path.display());
        Finding::warning(Id::RevokedWritable, found, remedy).about(path.display().to_string())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_list_that_is_none_or_that_others_can_write_is_found() {
        let folder = std::env::temp_dir().join(format!("huddle-doctor-revoked-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let list = folder.join("revoked");
        let ids = |outcome: Outcome| match outcome {
            Outcome::Found(findings) => findings.iter().map(|finding| finding.id).collect::<Vec<_>>(),
            Outcome::Skipped(reason) => panic!("{reason}"),
        };
        let write = |content: &str, mode| {
            fs::write(&list, content).unwrap();
            fs::set_permissions(&list, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert_eq!(ids(look(&list)), [Id::RevokedUnreadable]);
        write("one\ntwo\n", 0o640);
        assert_eq!(ids(look(&list)), [Id::RevokedTokens]);
        write("one\ntwo\n", 0o620);
        assert_eq!(ids(look(&list)), [Id::RevokedWritable]);
        write("one two\n", 0o640);
        assert_eq!(ids(look(&list)), [Id::RevokedUnreadable]);
        assert!(check(&Config::default()).is_none());
        fs::remove_dir_all(folder).unwrap();
    }
}
