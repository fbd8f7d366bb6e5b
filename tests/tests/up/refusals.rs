//! What it refuses: each with what to do about it, and with the data left as it was.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use huddle_devstack::{Process, Tools};
use huddle_tests::{Stage, huddle};

use crate::program::{command, start, start_and_ready, stop};

const END_TIMEOUT: Duration = Duration::from_secs(10);
const EXIT_FAILURE: i32 = 1;
const EXIT_USAGE: i32 = 2;
/// Nobody has this address (RFC 5737), so nothing listens there whatever happens.
const PUBLIC: &str = "192.0.2.1:8080";
const OWN_SECRET: &str = "auth.secret=a secret that somebody chose on purpose";
/// Of the user `nobody`, or at least nobody's.
const UNPRIVILEGED: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn the_development_secret_is_refused_where_others_can_connect() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    for setting in ["gateway.listen", "history.listen", "directory.listen"] {
        let listen = format!("{setting}={PUBLIC}");
        for (data, arguments) in [(true, &["--set", &listen][..]), (false, &["--memory", "--set", &listen])] {
            let up = if data {
                start(&stage, setting, arguments)?
            } else {
                Process::spawn(setting, command(arguments)?, &stage.log(setting))?
            };
            let words = [&format!("`{setting}`"), PUBLIC, "`auth.secret`", "openssl rand", "127.0.0.1"];
            assert_refused(up, EXIT_USAGE, &words).await?;
            assert!(!stage.data.exists(), "something was made before the refusal");
        }
        // Set on purpose it is good enough: what is wrong now is only that the address is nobody's.
        let up = start(&stage, setting, &["--set", &listen, "--set", OWN_SECRET])?;
        assert_refused(up, EXIT_FAILURE, &["cannot listen on", PUBLIC, setting]).await?;
        assert!(!stage.data.join("secrets.json").exists(), "a secret was made that nobody needs");
        fs::remove_dir_all(&stage.data)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_file_that_others_can_read_is_refused() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let (mut up, told, _) = start_and_ready(&stage, "first").await?;
    stop(&mut up).await?;
    let secrets = stage.data.join("secrets.json");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o644))?;
    let before = contents(&stage.data)?;
    let up = start(&stage, "refused", &[])?;
    assert_refused(up, EXIT_FAILURE, &["secrets.json", "644", "chmod 600"]).await?;
    assert_eq!(contents(&stage.data)?, before);

    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600))?;
    let (mut up, again, _) = start_and_ready(&stage, "second").await?;
    // The tokens of the first start are as good as those of this one.
    let mut told = told;
    told["url"] = again["url"].clone();
    stage.assert_messages("all", &told, 0).await?;
    stop(&mut up).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_it_cannot_use_is_named_and_left_as_it_is() -> Result<()> {
    let files = tempfile::tempdir()?;
    let stage = Stage::below(files.path());
    let (mut up, told, _) = start_and_ready(&stage, "first").await?;
    stage.huddle("send", &told, "alice", &["send", "hello, bob"]).await?;
    stop(&mut up).await?;
    let file = stage.data.join("huddle.db");
    let good = fs::read(&file)?;

    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99990101000000, 'of another time', 1, x'00', 0)";
    for (what, words) in [
        ("cut off", &["damaged", "backup"][..]),
        ("scribbled over", &["damaged", "backup"]),
        ("no database", &["huddle.db"]),
        ("another program's", &["another program", "--data-dir"]),
        ("of a newer version", &["newer version"]),
    ] {
        match what {
            "cut off" => fs::write(&file, &good[..good.len() / 2])?,
            "scribbled over" => {
                let mut bad = good.clone();
                let length = bad.len();
                bad[100..length].iter_mut().for_each(|byte| *byte ^= 0x5a);
                fs::write(&file, bad)?;
            }
            "no database" => {
                fs::write(&file, b"this is a text, and a longer one than the head of a database is: ".repeat(99))?;
            }
            "another program's" => {
                fs::remove_file(&file)?;
                sqlite(&file, "CREATE TABLE recipes (name TEXT)")?;
            }
            _ => {
                fs::write(&file, &good)?;
                sqlite(&file, newer)?;
            }
        }
        let before = contents(&stage.data)?;
        let up = start(&stage, what, &[])?;
        let path = file.canonicalize()?.display().to_string();
        assert_refused(up, EXIT_FAILURE, &[&[path.as_str()], words].concat()).await.context(what)?;
        assert_eq!(contents(&stage.data)?, before, "{what}");
    }

    fs::write(&file, &good)?;
    let (mut up, told, _) = start_and_ready(&stage, "last").await?;
    stage.assert_messages("all", &told, 1).await?;
    stop(&mut up).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_it_cannot_write_is_named() -> Result<()> {
    let files = tempfile::tempdir()?;
    // Root may write everywhere, so the program must run as somebody else, who can get at both.
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755))?;
    let stage = Stage::below(files.path());
    let program = files.path().join("huddle");
    fs::copy(huddle()?.get_program(), &program)?;
    let unprivileged = |data: &Path| {
        let mut command = Command::new(&program);
        command.args(["up", "--data-dir"]).arg(data).current_dir("/");
        if is_root() {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    };
    let give = |path: &Path| if is_root() { chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)) } else { Ok(()) };

    let closed = files.path().join("closed");
    fs::create_dir(&closed)?;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555))?;
    let up = Process::spawn("nothing-yet", unprivileged(&closed.join("data")), &stage.log("nothing-yet"))?;
    assert_refused(up, EXIT_FAILURE, &["closed/data", "writable", "--data-dir"]).await?;

    // Data that was written when it could be.
    let (mut up, _, _) = start_and_ready(&stage, "first").await?;
    stop(&mut up).await?;
    for entry in fs::read_dir(&stage.data)? {
        give(&entry?.path())?;
    }
    give(&stage.data)?;
    fs::set_permissions(&stage.data, fs::Permissions::from_mode(0o555))?;
    for entry in fs::read_dir(&stage.data)? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o400))?;
    }
    let before = contents(&stage.data)?;
    let up = Process::spawn("read-only", unprivileged(&stage.data), &stage.log("read-only"))?;
    assert_refused(up, EXIT_FAILURE, &["my data", "writable", "--data-dir"]).await?;
    assert_eq!(contents(&stage.data)?, before);
    fs::set_permissions(&stage.data, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Asserts that `up` ends with `code` by itself and says each of `words`.
async fn assert_refused(mut up: Process, code: i32, words: &[&str]) -> Result<()> {
    let status = up.wait(END_TIMEOUT).await?;
    let said = up.output()?;
    assert_eq!(status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    Ok(())
}

/// The files in `directory`, each with its length and a digest of what is in it. The lock may be there or not: it holds
/// no data.
fn contents(directory: &Path) -> Result<BTreeMap<String, (usize, u64)>> {
    let mut contents = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "huddle.lock" {
            let bytes = fs::read(entry.path())?;
            contents.insert(name, (bytes.len(), BuildHasherDefault::<DefaultHasher>::default().hash_one(&bytes)));
        }
    }
    Ok(contents)
}

/// Runs one statement with Python's own SQLite.
fn sqlite(file: &Path, statement: &str) -> Result<()> {
    let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db: db.execute(sys.argv[2])\ndb.close()";
    let output = Command::new(Tools::locate()?.python()?).args(["-c", script]).arg(file).arg(statement).output()?;
    ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
