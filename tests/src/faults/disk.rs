//! Owns file systems of a test's own, each in an image file, and what happens to them: they lose power, or get full.
//!
//! # How power is lost
//!
//! What a process has written lies in the kernel's page cache, and in the file system's journal in memory, until the file
//! system hands it to its device. The device is here an image file behind a loop device. So a copy of the image holds what
//! a machine would find on its disk after its power was cut, if that disk keeps everything that it was handed.
//! [`lose_power`] lets the processes stand still, every thread of them, and copies the images from outside: nobody is told
//! to sync, and a copy during which the device was written to is taken again. [`Disk::come_back`] mounts the copy, whose
//! journal is then replayed, as after a power cut.
//!
//! A copy holds also what the device was handed and not told to flush: a disk whose cache is lost with the power is not
//! played here.
//!
//! # Nothing is left mounted
//!
//! [`in_own_mounts`] runs a test in a mount namespace of its own. The kernel takes the mounts and loop devices away with the
//! last process in it, whatever ended them.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::{ErrorKind, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_devstack::Process;
use rustix::{
    fs::{major, minor},
    process::{Pid, kill_process},
};

pub use rustix::process::Signal;

/// Says to a test program that it is in a mount namespace of its own.
const INSIDE: &str = "HUDDLE_TEST_IN_OWN_MOUNTS";
/// How long a test in a mount namespace of its own may take: less than what the test runner ends.
const TEST_TIMEOUT: Duration = Duration::from_secs(280);
/// How long processes may take until every thread of theirs stands still.
const STANDSTILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what is killed may take to let go of its files.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(20);
/// Copies of an image until there is one during which nothing was written.
const COPY_ATTEMPTS_MAX: usize = 50;
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Takes the room that is left.
const BALLAST: &str = "ballast";
const BALLAST_CHUNK_BYTES: usize = 1024 * 1024;
/// Room that the smallest write could still take.
const BALLAST_CRUMB_BYTES: usize = 1024;

/// Runs `test` in a mount namespace of its own. `name` is that of the test in its program, such as `power::f12_some_guarantee`:
/// the program is started once more, for this test alone.
///
/// # Errors
/// When `test` fails; when this is not root, who alone may mount what a loop device holds.
pub async fn in_own_mounts(name: &str, test: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    if env::var_os(INSIDE).is_some() {
        return test().await;
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "this test mounts file systems in image files, and only root may: run it as root, with util-linux and e2fsprogs, \
         where loop devices can be had"
    );
    let files = tempfile::Builder::new().prefix("huddle-own-mounts-").tempdir()?;
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(env::current_exe()?).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    // What it leaves when it is ended in the middle goes with this directory. Postgres may be another user.
    fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755))?;
    command.env("TMPDIR", files.path());
    let mut process = Process::spawn(name, command, &files.path().join("output"))?;
    let status = process.wait(TEST_TIMEOUT).await?;
    let output = process.output()?;
    print!("{output}");
    ensure!(status.success(), "{name} failed in its mount namespace: {status}");
    ensure!(output.contains("1 passed"), "there is no test {name} in this program");
    Ok(())
}

/// A file system in an image file, mounted. Unmounted when it is dropped.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    directory: PathBuf,
}

impl Disk {
    /// Makes a file system of `mebibytes` in the file `image` and mounts it at `directory`, which is made if needed. Only
    /// within [`in_own_mounts`].
    pub fn mount(image: &Path, directory: &Path, mebibytes: u64) -> Result<Self> {
        ensure!(
            env::var_os(INSIDE).is_some(),
            "a disk would stay mounted: this test is not in its own mount namespace"
        );
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let file = File::create_new(image).with_context(|| format!("cannot make {}", image.display()))?;
        file.set_len(mebibytes * 1024 * 1024)?;
        // Nothing is left that the kernel would initialise in the background.
        let options = ["-q", "-F", "-m", "0", "-N", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=1"];
        run(Command::new("mkfs.ext4").args(options).arg(image))?;
        let disk = Self { image: image.to_owned(), directory: directory.to_owned() };
        disk.attach()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Mounts what was on the disk when [`lose_power`] was called; the processes that used it are gone by now.
    pub fn come_back(&mut self) -> Result<()> {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        loop {
            match run(Command::new("umount").arg(&self.directory)) {
                Ok(()) => break,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => thread::sleep(POLL_INTERVAL),
            }
        }
        let copy = self.copy_path();
        fs::rename(&copy, &self.image).with_context(|| format!("no copy of {}", self.image.display()))?;
        self.attach()
    }

    /// Hands the device everything that was written so far, as the kernel does by itself after half a minute or so.
    pub fn write_back(&self) -> Result<()> {
        run(Command::new("sync").arg("--file-system").arg(&self.directory))
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> Result<()> {
        let path = self.directory.join(BALLAST);
        let mut ballast = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        for chunk in [BALLAST_CHUNK_BYTES, BALLAST_CRUMB_BYTES] {
            let chunk = vec![0x5a; chunk];
            loop {
                match ballast.write_all(&chunk) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("cannot fill the disk"),
                }
            }
        }
        // What only seems to have room is found out here.
        match ballast.sync_all() {
            Err(error) if error.kind() != ErrorKind::StorageFull => Err(error).context("cannot fill the disk"),
            _ => Ok(()),
        }
    }

    /// Gives back what [`Disk::fill`] has taken.
    pub fn make_room(&self) -> Result<()> {
        let path = self.directory.join(BALLAST);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    fn attach(&self) -> Result<()> {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&self.image).arg(&self.directory))
    }

    fn copy_path(&self) -> PathBuf {
        self.image.with_extension("copy")
    }

    /// Copies the image as it is, at a moment at which nothing is on its way to the device.
    fn copy(&self) -> Result<()> {
        for _ in 0..COPY_ATTEMPTS_MAX {
            let before = self.writes()?;
            let options = ["--sparse=always", "--reflink=never"];
            run(Command::new("cp").args(options).arg(&self.image).arg(self.copy_path()))?;
            if before.is_some() && before == self.writes()? {
                return Ok(());
            }
            thread::sleep(POLL_INTERVAL);
        }
        bail!("{} was written to during each of {COPY_ATTEMPTS_MAX} copies", self.image.display())
    }

    /// How many writes the device has done, unless one is on its way.
    fn writes(&self) -> Result<Option<u64>> {
        let device = fs::metadata(&self.directory)?.dev();
        let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let numbers: Vec<u64> = stat.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [_, _, _, _, writes, _, _, _, in_flight, ..] = numbers[..] else { bail!("{path} reads {stat}") };
        Ok((in_flight == 0).then_some(writes))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        // At once, whoever still uses it: the test is over. What fails here goes with the namespace.
        let _ = umount.arg("--lazy").arg(&self.directory).output();
    }
}

/// Cuts the power of all `disks` at one moment. The processes `pids` stand still from then on, and are to be killed by
/// whoever started them; then each disk can [`come_back`](Disk::come_back).
pub fn lose_power(disks: &[Disk], pids: &BTreeSet<u32>) -> Result<()> {
    for pid in pids {
        signal(*pid, Signal::STOP)?;
    }
    let deadline = Instant::now() + STANDSTILL_TIMEOUT;
    // A thread in the middle of a system call ends it first.
    while !pids.iter().try_fold(true, |all, pid| anyhow::Ok(all && stands_still(*pid)?))? {
        ensure!(Instant::now() < deadline, "the processes {pids:?} do not stand still");
        thread::sleep(Duration::from_micros(200));
    }
    disks.iter().try_for_each(Disk::copy)
}

/// The process `pid` and everything that it has started, directly or not.
pub fn family(pid: u32) -> Result<BTreeSet<u32>> {
    let mut family = BTreeSet::from([pid]);
    let parents = parents()?;
    loop {
        let children = parents.iter().filter(|(_, parent)| family.contains(parent)).map(|(child, _)| *child);
        let before = family.len();
        let all: BTreeSet<u32> = family.iter().copied().chain(children).collect();
        family = all;
        if family.len() == before {
            return Ok(family);
        }
    }
}

/// Sends a signal to a process that the test has started, or that such a process has.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    let raw = Pid::from_raw(i32::try_from(pid)?).context("a pid of zero")?;
    kill_process(raw, signal).with_context(|| format!("cannot signal the process {pid}"))
}

/// Every process with its parent.
fn parents() -> Result<Vec<(u32, u32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended meanwhile.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(parent) = fields(&stat).nth(1) {
            parents.push((pid, parent.parse()?));
        }
    }
    Ok(parents)
}

fn stands_still(pid: u32) -> Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("there is no process {pid}"))? {
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        if !matches!(fields(&stat).next(), Some("T" | "Z" | "X")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The fields of a line in `/proc/*/stat` after the program's name, which may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace()
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
