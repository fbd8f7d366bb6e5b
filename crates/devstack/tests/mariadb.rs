//! A real MariaDB server, as root and not.

use huddle_devstack::{MariaDb, Tools};

#[tokio::test]
async fn a_server_takes_scripts_under_its_password_and_ends_with_its_owner() -> anyhow::Result<()> {
    let mariadb = MariaDb::start(&Tools::locate()?).await?;
    let script = "CREATE DATABASE t CHARACTER SET utf8mb4; USE t; CREATE TABLE t (a TEXT);
        INSERT INTO t VALUES ('é\r\n🐙'); SELECT hex(a) FROM t;";
    assert_eq!(mariadb.execute("mysql", script).await?, "hex(a)\nC3A90D0AF09F9099\n");
    assert!(mariadb.execute("mysql", "SELECT nonsense").await.is_err());

    let url = mariadb.url_of("t");
    let password = url.split([':', '@']).nth(2).unwrap_or("?").to_owned();
    assert!(url.starts_with("mysql://huddle:") && password.len() == 32);
    assert!(!format!("{mariadb:?}").contains(&password));

    let address = url.split(['@', '/']).nth(3).unwrap_or_default().to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    let directory = mariadb.data_dir().to_owned();
    drop(mariadb);
    assert!(std::net::TcpStream::connect(&address).is_err());
    assert!(!directory.exists());
    Ok(())
}
