//! The clock of a program, which can jump: libfaketime (Debian's package `libfaketime`) answers for the system. Without that library
//! clocks do not jump; the run says so, and fails under continuous integration.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::leave_out;
use crate::harness::random::Random;

/// The clock of one program. Time since the start of the system, which timeouts use, does not jump.
pub(crate) struct Clock {
    library: PathBuf,
    folder: TempDir,
}

impl Clock {
    /// So many clocks that are right; `None` without the library, which the run then says.
    ///
    /// # Panics
    /// Without the library under continuous integration.
    pub(crate) fn several(count: usize) -> Option<Vec<Self>> {
        let clocks: Option<Vec<Self>> = (0..count).map(|_| Self::new()).collect();
        if clocks.is_none() {
            leave_out("no clock jumps without libfaketime (`scripts/setup databases`)");
        }
        clocks
    }

    /// A clock that is right; `None` without the library.
    fn new() -> Option<Self> {
        let architecture = std::env::consts::ARCH;
        let library = format!("/usr/lib/{architecture}-linux-gnu/faketime/libfaketimeMT.so.1");
        let library = Path::new(&library).exists().then(|| library.into())?;
        let clock = Self { library, folder: TempDir::new().unwrap() };
        clock.set(0);
        Some(clock)
    }

    /// A jump: seconds to a day, or years; back or forth.
    pub(crate) fn jump(random: &mut Random) -> i64 {
        i64::try_from(random.next() % 86_400).unwrap() * *random.pick(&[1, -1, 1000, -1000])
    }

    /// How many seconds the clock is ahead.
    pub(crate) fn set(&self, ahead: i64) {
        // A reader sees the former text or the new one.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{ahead:+}\n")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// The variables of a program with this clock.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_clock_jumps_there_and_back() {
        let Some(clocks) = Clock::several(1) else { return };
        let clock = &clocks[0];
        let year = || {
            let output = Command::new("date").arg("+%Y").envs(clock.variables()).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<i64>().unwrap()
        };
        let before = year();
        clock.set(10 * 366 * 86_400);
        assert!(year() >= before + 10);
        clock.set(-10 * 366 * 86_400);
        assert!(year() <= before - 10);
        clock.set(0);
        assert!(year() <= before + 1);
    }
}
