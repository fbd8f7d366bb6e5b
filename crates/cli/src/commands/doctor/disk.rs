//! Free space and kinds of file systems.

use std::{io, path::Path};

use huddle_service::config::ByteCount;

use super::{
    finding::{Finding, Id},
    text::size,
};

/// Below this, in bytes, a disk that is to be written to is worth a warning, ...
const FREE_LOW: ByteCount = ByteCount::mebibytes(1024);
/// ... and below this it is as good as full.
const FREE_NONE: ByteCount = ByteCount::mebibytes(64);

/// Bytes that this user may still write to the disk that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What `free` bytes mean to somebody who will want up to `wanted` of them; `None` when all is well.
pub(crate) fn judge(free: u64, wanted: u64, remedy: &str) -> Option<Finding> {
    let found = format!("{} are free", size(free));
    if free < wanted.min(FREE_NONE.as_u64()) {
        return Some(Finding::problem(Id::DiskFull, found, remedy));
    }
    (free < wanted.min(FREE_LOW.as_u64())).then(|| Finding::warning(Id::DiskLow, found, remedy))
}

/// What a file system means to SQLite's write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Local,
    /// With its name.
    Network(&'static str),
    /// A program serves it.
    Fuse,
    Memory,
}

/// The file system that holds `path`.
#[cfg(target_os = "linux")]
pub(crate) fn file_system(path: &Path) -> io::Result<FileSystem> {
    let magic = rustix::fs::statfs(path)?.f_type;
    // The field is signed on some machines; the constants are 32 bits wide.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 32 bits are the constant")]
    Ok(by_magic(magic as u32))
}

/// The file system that holds `path`, as far as this system tells.
#[cfg(not(target_os = "linux"))]
pub(crate) fn file_system(path: &Path) -> io::Result<FileSystem> {
    rustix::fs::statvfs(path).map(|_| FileSystem::Local).map_err(Into::into)
}

/// See statfs(2), and linux/magic.h.
#[cfg(any(target_os = "linux", test))]
fn by_magic(magic: u32) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Network("NFS"),
        0x517b => FileSystem::Network("SMB"),
        0xff53_4d42 => FileSystem::Network("CIFS"),
        0xfe53_4d42 => FileSystem::Network("SMB2"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x00c3_6400 => FileSystem::Network("Ceph"),
        0x5346_414f | 0x6b41_4653 => FileSystem::Network("AFS"),
        0x7375_7245 => FileSystem::Network("Coda"),
        0x0bd0_0bd0 => FileSystem::Network("Lustre"),
        0x0116_1970 => FileSystem::Network("GFS2"),
        0x7461_636f => FileSystem::Network("OCFS2"),
        0x6573_5546 => FileSystem::Fuse,
        0x0102_1994 | 0x8584_58f6 => FileSystem::Memory,
        _ => FileSystem::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Severity;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        for (magic, expected) in [
            (0x6969, FileSystem::Network("NFS")),
            (0xff53_4d42, FileSystem::Network("CIFS")),
            (0x0102_1997, FileSystem::Network("9p")),
            (0x6573_5546, FileSystem::Fuse),
            (0x0102_1994, FileSystem::Memory),
            (0xef53, FileSystem::Local),
        ] {
            assert_eq!(by_magic(magic), expected, "{magic:x}");
        }
    }

    #[test]
    fn a_disk_is_judged_by_what_is_still_wanted_of_it() {
        let judged = |free: u64, wanted: u64| judge(free << 20, wanted << 20, "").map(|finding| finding.severity);
        assert_eq!(judged(2_000, 64_000), None);
        assert_eq!(judged(500, 64_000), Some(Severity::Warning));
        assert_eq!(judged(10, 64_000), Some(Severity::Problem));
        // A file that may not grow by more needs no more.
        assert_eq!(judged(500, 100), None);
        assert_eq!(judged(10, 5), None);
    }

    #[test]
    fn this_machine_has_a_disk() {
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
        assert!(!matches!(file_system(Path::new("/proc")).unwrap(), FileSystem::Network(_)));
    }
}
