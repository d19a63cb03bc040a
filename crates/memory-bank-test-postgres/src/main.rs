//! Lends a migrated database and a Redis to tests in other languages: says in one line of JSON how to reach them, and
//! takes them back when its input ends, however the borrower came to its end.

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
