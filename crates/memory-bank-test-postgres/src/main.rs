//! Lends a migrated database and a Redis to tests in other languages: prints one line of JSON with their addresses, and
//! removes both when its input ends, even if the borrower was killed.

use std::io::{self, Read, Write};

use memory_bank_test_postgres::{MIGRATOR, TestDatabase, TestRedis};

fn main() -> io::Result<()> {
    let database = TestDatabase::migrated();
    let redis = TestRedis::start();
    let (url, operator, redis_url) = (database.url(), database.url_of(MIGRATOR), redis.url());
    writeln!(io::stdout(), r#"{{"database":"{url}","operator":"{operator}","redis":"{redis_url}"}}"#)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
