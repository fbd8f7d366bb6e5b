//! Broken configurations and command lines.

use std::{fs, time::Duration};

use anyhow::Result;

use crate::program::run;

/// Nothing is waited for: a wrong configuration is found before anything is connected to.
const AT_ONCE: Duration = Duration::from_secs(5);
const GOOD_SECRET: &str = "a secret that is long enough to sign with";
/// What is wrong with the command line or the configuration.
const EXIT_USAGE: i32 = 2;

/// A configuration file and what the error says about it. Lines and columns count from 1.
const BROKEN_FILES: [(&str, &str, &[&str]); 16] = [
    ("a bracket is missing", "[auth\nissuer = \"x\"\n", &["huddle.toml:1:"]),
    ("a quote is missing", "[auth]\n\nissuer = \"x\n", &["huddle.toml:3:", "issuer"]),
    ("a key is given twice", "[log]\nreplicas = 1\nreplicas = 3\n", &["huddle.toml:3:", "replicas"]),
    ("a text for a number", "[log]\npartitions = \"many\"\n", &["huddle.toml:2:", "`log.partitions`"]),
    ("a number for a text", "[auth]\n# Who?\nuser_claim = 7\n", &["huddle.toml:3:", "`auth.user_claim`"]),
    ("a number below all", "[log]\npartitions = -1\n", &["huddle.toml:2:", "`log.partitions`"]),
    ("no such key", "[gateway]\n\nlisten_on = \"127.0.0.1:1\"\n", &["huddle.toml:3:", "listen_on"]),
    ("no such section", "[gatway]\nlisten = \"127.0.0.1:1\"\n", &["huddle.toml:1:", "gatway"]),
    ("no duration", "[gateway]\nheartbeat = \"20 parsecs\"\n", &["huddle.toml:2:", "`gateway.heartbeat`", "5s"]),
    ("no size", "[gateway]\nframe_max = \"large\"\n", &["huddle.toml:2:", "`gateway.frame_max`", "KiB"]),
    ("no address", "[gateway]\nlisten = \"localhost\"\n", &["huddle.toml:2:", "`gateway.listen`"]),
    ("out of bounds", "[log]\nreplicas = 2\n", &["huddle.toml:2:", "`log.replicas`", "1, 3 or 5"]),
    (
        "open to everybody",
        "[gateway]\nlisten = \"0.0.0.0:0\"\nlabellab.legacy_teams = [\"7\"]\n",
        &["`gateway.labellab.legacy_teams`", "0.0.0.0:0", "`gateway.labellab.trusted_networks`"],
    ),
    ("a short secret", "[auth]\nsecret = \"hunter2\"\n", &["huddle.toml", "`auth.secret`", "32"]),
    ("a short service token", "[auth]\nservice_token = \"hunter2\"\n", &["huddle.toml", "`auth.service_token`", "32"]),
    ("no log filter", "[telemetry]\nfilter = \"huddle=loud\"\n", &["telemetry.filter", "huddle=loud"]),
];

#[tokio::test]
async fn a_broken_configuration_file_ends_every_service_at_once_and_names_line_and_key() -> Result<()> {
    let files = tempfile::tempdir()?;
    let path = files.path().join("huddle.toml");
    for (what, text, words) in BROKEN_FILES {
        fs::write(&path, text)?;
        for command in [
            &["config", "check"][..],
            &["gateway"],
            &["persistence"],
            &["history"],
            &["directory"],
            &["migrate"],
            &["up", "--memory"],
        ] {
            if command == ["migrate"] && words.iter().any(|word| word.starts_with("`auth.")) {
                // It needs no keys, so it does not look at them.
                continue;
            }
            let arguments = command.iter().map(|word| (*word).to_owned());
            let arguments: Vec<_> = arguments.chain(["--config".to_owned(), path.display().to_string()]).collect();
            let ended = run(&arguments, &[], AT_ONCE).await?;
            ended.assert(&format!("{what}, {command:?}"), EXIT_USAGE, words);
            assert!(!ended.said.contains("hunter2"), "{what}: the secret is shown: {}", ended.said);
        }
    }
    Ok(())
}

#[tokio::test]
async fn secrets_in_files_are_read_or_named_and_never_shown() -> Result<()> {
    let files = tempfile::tempdir()?;
    let file = |name: &str, content: &[u8]| {
        let path = files.path().join(name);
        fs::write(&path, content).map(|()| path.display().to_string())
    };
    let good = file("good", format!("{GOOD_SECRET}\n").as_bytes())?;
    file("empty", b" \n")?;
    file("short", b"hunter2\n")?;
    file("binary", &[0xff; 64])?;
    file("large", &vec![b'x'; 65 * 1024])?;
    let check = async |text: &str, environment: &[(&str, &str)]| {
        let path = file("huddle.toml", text.as_bytes())?;
        run(&["config", "check", "--config", &path].map(str::to_owned), environment, AT_ONCE).await
    };
    check("[auth]\nsecret_file = \"good\"\n", &[]).await?.assert("a good one", 0, &[]);
    for (what, text, words) in [
        (
            "given twice",
            format!("[auth]\nsecret = {GOOD_SECRET:?}\nsecret_file = {good:?}\n"),
            &["`auth.secret`", "twice", ":2:", ":3:"][..],
        ),
        (
            "no such file",
            "[auth]\nsecret_file = \"nowhere\"\n".to_owned(),
            &["huddle.toml:2:", "`auth.secret_file`", "nowhere"],
        ),
        ("a directory", "[auth]\nsecret_file = \".\"\n".to_owned(), &["huddle.toml:2:", "`auth.secret_file`"]),
        ("empty", "[auth]\nsecret_file = \"empty\"\n".to_owned(), &["`auth.secret_file`", "empty"]),
        ("short", "[auth]\nsecret_file = \"short\"\n".to_owned(), &["`auth.secret`", "32"]),
        ("binary", "[auth]\nsecret_file = \"binary\"\n".to_owned(), &["`auth.secret_file`", "UTF-8"]),
        ("large", "[auth]\nsecret_file = \"large\"\n".to_owned(), &["`auth.secret_file`", "larger"]),
        ("no path", "[auth]\nsecret_file = 7\n".to_owned(), &["huddle.toml:2:", "`auth.secret_file`"]),
    ] {
        let ended = check(&text, &[]).await?;
        ended.assert(what, EXIT_USAGE, words);
        assert!(!ended.said.contains("hunter2") && !ended.said.contains(GOOD_SECRET), "{what}: {}", ended.said);
    }
    let twice = check("[auth]\nsecret_file = \"good\"\n", &[("HUDDLE_AUTH__SECRET", GOOD_SECRET)]).await?;
    twice.assert("given twice", EXIT_USAGE, &["HUDDLE_AUTH__SECRET", "twice"]);
    assert!(!twice.said.contains(GOOD_SECRET), "{}", twice.said);
    Ok(())
}

#[tokio::test]
async fn wrong_flags_and_variables_are_named() -> Result<()> {
    let line = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (arguments, environment, words) in [
        ("gateway --frobnicate", &[][..], &["--frobnicate"][..]),
        ("fly", &[], &["fly"]),
        ("gateway now", &[], &["now"]),
        ("gateway --config /nowhere/huddle.toml", &[], &["/nowhere/huddle.toml"]),
        ("config check --set log.partitions=many", &[], &["--set log.partitions", "`log.partitions`"]),
        ("config check --set log.colour=red", &[], &["--set log.colour", "colour"]),
        ("config check --set log", &[], &["--set"]),
        ("config check", &[("HUDDLE_LOG__PARTITIONS", "many")], &["HUDDLE_LOG__PARTITIONS", "`log.partitions`"]),
        ("config check", &[("HUDDLE_GATWAY__LISTEN", "x")], &["HUDDLE_GATWAY__LISTEN", "gatway"]),
        ("gateway", &[], &["`auth.service_token`", "openssl rand"]),
        ("up --memory --cluster", &[], &["--memory", "--cluster"]),
        ("up --memory --data-dir /nowhere", &[], &["--memory", "--data-dir"]),
        ("up --memory --set embedded.partitions=0", &[], &["--set embedded.partitions", "`embedded.partitions`", "1"]),
        ("send --team a.b --token x hello", &[], &["a.b"]),
        ("token --user a.b", &[], &["a.b"]),
        ("tail --team demo", &[], &["--token"]),
    ] {
        let mut arguments = line(arguments);
        if arguments == ["gateway"] {
            arguments.extend(line("--set admin.gateway=127.0.0.1:0"));
        }
        run(&arguments, environment, AT_ONCE).await?.assert(&format!("{arguments:?}"), EXIT_USAGE, words);
    }
    Ok(())
}

#[tokio::test]
async fn nobody_lets_users_in_without_the_list_of_revoked_tokens() -> Result<()> {
    let files = tempfile::tempdir()?;
    let path = files.path().join("huddle.toml");
    let ports = ["gateway", "history", "directory"].map(|service| format!("{service} = \"127.0.0.1:0\"\n")).concat();
    let token = "a service token that is long enough";
    fs::write(&path, format!("[admin]\n{ports}[auth]\nservice_token = {token:?}\nrevoked_file = \"revoked.txt\"\n"))?;
    let list = files.path().join("revoked.txt");
    for (content, words) in [
        (None, &["`auth.revoked_file`", "revoked.txt", "No such file", "remove the setting"][..]),
        (Some("# signed out\n9f5c 2026-07-03\n"), &["`auth.revoked_file`", "revoked.txt: line 2", "one token id"]),
    ] {
        if let Some(content) = content {
            fs::write(&list, content)?;
        }
        for command in [&["config", "check"][..], &["gateway"], &["history"], &["directory"], &["up", "--memory"]] {
            let arguments = command.iter().map(|word| (*word).to_owned());
            let arguments: Vec<_> = arguments.chain(["--config".to_owned(), path.display().to_string()]).collect();
            let ended = run(&arguments, &[], AT_ONCE).await?;
            ended.assert(&format!("{content:?}, {command:?}"), EXIT_USAGE, words);
            assert!(!ended.said.contains("9f5c"), "what is in the list is shown: {}", ended.said);
        }
    }
    fs::write(&list, "# signed out\n9f5c\n")?;
    let arguments = ["config", "check", "--config", &path.display().to_string()].map(str::to_owned);
    run(&arguments, &[], AT_ONCE).await?.assert("a good list", 0, &[]);
    Ok(())
}
