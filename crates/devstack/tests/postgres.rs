//! Real Postgres servers, as root and not: they start, die, and come back with their data.

use std::process::Command;

use huddle_devstack::{Postgres, PostgresOptions, Tools};

/// Runs SQL with the psql that comes with the server.
fn query(url: &str, sql: &str) -> anyhow::Result<String> {
    let mut psql = Command::new(Tools::locate()?.postgres_bin()?.join("psql"));
    let output = psql.args([url, "-v", "ON_ERROR_STOP=1", "-Atc", sql]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn a_killed_server_comes_back_on_its_port_with_its_data() -> anyhow::Result<()> {
    let mut postgres = Postgres::start(&Tools::locate()?, PostgresOptions::for_tests()).await?;
    let (url, pid) = (postgres.create_database("huddle").await?, postgres.pid());
    query(&url, "create table t as select 7 as n")?;

    postgres.kill9()?;
    assert!(query(&url, "select 1").is_err());
    postgres.restart().await?;

    assert_ne!(postgres.pid(), pid);
    assert_eq!(query(&url, "select n from t")?, "7");
    assert_eq!(postgres.create_database("huddle").await?, url);
    Ok(())
}

#[tokio::test]
async fn a_kept_data_directory_serves_the_next_start() -> anyhow::Result<()> {
    let (tools, directory) = (Tools::locate()?, tempfile::tempdir()?);
    let options = PostgresOptions { data_dir: Some(directory.path().join("postgres")), ..PostgresOptions::default() };
    let mut first = Postgres::start(&tools, options.clone()).await?;
    query(&first.url(), "create table t as select 7 as n")?;
    assert_eq!(query(&first.url(), "show fsync")?, "on");
    first.stop().await?;
    drop(first);
    let second = Postgres::start(&tools, options).await?;
    assert_eq!(query(&second.url(), "select n from t")?, "7");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_refused() -> anyhow::Result<()> {
    let postgres = Postgres::start(&Tools::locate()?, PostgresOptions::for_tests()).await?;
    let wrong = format!("postgres://huddle:wrong@127.0.0.1:{}/postgres", postgres.port());
    assert!(query(&wrong, "select 1").is_err());
    assert!(!format!("{postgres:?}").contains(postgres.url().split([':', '@']).nth(2).unwrap_or("?")));
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_worked_around() -> anyhow::Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let options = PostgresOptions { preferred_port: Some(taken.local_addr()?.port()), ..PostgresOptions::for_tests() };
    let postgres = Postgres::start(&Tools::locate()?, options).await?;
    assert_eq!(query(&postgres.url(), "select 1")?, "1");
    Ok(())
}
